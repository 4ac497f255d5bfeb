"""The family that foretells the stream best: which it is, that it is what that family alone would be, and
that nothing decides on it but the rows and their order."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from stream_mix.mixture import (
    AUTO,
    MAXIMUM_LIKELIHOOD,
    Adaptive,
    Averaged,
    Decreasing,
    Forever,
    HalfLife,
    Learned,
    Memory,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    expand,
    flush,
    from_state,
    health,
    learn,
    merge,
    named_family,
    posterior,
    shards,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.batch import fit
from stream_mix.mixture.contest import SURE, TRIAL, Contest, spoken_for

from .hostiles import assert_sound, hostile, kernels_here, survives
from .streams import holes

MARGIN = 0.03
"""Nats a row by which the family in use may foretell new rows worse than the best one, after 3,000 rows."""


def drawn(kind: str, n: int, seed: int, d: int = 3) -> Array:
    """Rows (n, d) of three clusters of that kind, all of one mixture for one seed."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(3, d)) * 6.0
    round, upright = rng.uniform(0.5, 2.0, (3, 1)), rng.uniform(0.3, 3.0, (3, d))
    turned = rng.normal(size=(3, d, d))
    label, z = rng.integers(3, size=n), rng.normal(size=(n, d))
    roots = {
        "spherical": round[:, :, None] * np.eye(d),
        "diag": upright[:, :, None] * np.eye(d),
        "tied": np.tile(turned[0], (3, 1, 1)),
        "full": turned,
    }
    found: Array = centres[label] + np.einsum("nij,nj->ni", roots[kind][label], z)
    return found


def auto(batch_size: int = 32, memory: Memory | None = None, d: int = 3, **more: object) -> Model:
    memory = memory or Forever()
    spec = Spec(3, **named_family("auto"), batch_size=batch_size, memory=memory, **more)  # type: ignore[arg-type]  # Spec checks them
    return Model.new(spec, d)


def course(model: Model, x: Array, step: int = 128) -> tuple[Model, list[tuple[int, str]]]:
    """The model after the rows, and from which row on it was of which family."""
    found = [(0, model.spec.family)]
    for start in range(0, len(x), step):
        model, _ = learn(model, Rows.of(x[start : start + step]))
        if model.spec.family != found[-1][1]:
            found.append((model.learned, model.spec.family))
    return model, found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", AUTO)
def test_new_rows_are_foretold_as_by_the_best_family(kind: str, seed: int) -> None:
    x = drawn(kind, 5000, seed)
    old, new = Rows.of(x[:3000]), x[3000:]
    told = {}
    for name in (*AUTO, "auto"):
        model, _ = learn(Model.new(Spec(3, **named_family(name)), 3), old)
        told[name] = float(posterior(model, new).log_density.mean())
    assert told.pop("auto") >= max(told.values()) - MARGIN


@pytest.mark.parametrize("kind", AUTO)
def test_few_rows_speak_for_no_richer_family(kind: str) -> None:
    for seed in range(5):
        model, _ = learn(auto(batch_size=8), Rows.of(drawn(kind, 31, seed)))
        assert model.spec.family == AUTO[0]


@pytest.mark.parametrize("d", [2, 10])
def test_round_rows_never_speak_for_another_family(d: int) -> None:
    x = np.random.default_rng(d).normal(size=(20_000, d)) * 3.0 + 100.0
    assert course(auto(256, d=d), x)[1] == [(0, "spherical")]


@pytest.mark.parametrize("d", [2, 5])
def test_round_clusters_cost_next_to_nothing_where_another_family_takes_over(d: int) -> None:
    # Among few rows that may be one that fits alike: what counts is how well rows are foretold after that.
    rng = np.random.default_rng(d)
    centres = 20.0 * np.eye(3, d)
    x = centres[rng.integers(3, size=4000)] + rng.normal(size=(4000, d))
    chosen, _ = learn(auto(64, d=d), Rows.of(x[:3000]))
    plain, _ = learn(replace(auto(64, d=d), spec=replace(auto(64, d=d).spec, families=())), Rows.of(x[:3000]))
    assert plain.spec.family == "spherical"
    assert len(set(chosen.components)) == len(set(plain.components)) == chosen.k
    cost = posterior(plain, x[3000:]).log_density - posterior(chosen, x[3000:]).log_density
    assert cost.mean() < MARGIN


def test_the_simpler_of_two_that_are_nearly_as_good() -> None:
    for learned in (100, 1_000_000):
        enough = 2.0 * math.log(learned)
        assert spoken_for([0.0, 100.0, 99.0 + enough, 0.0], [0.0, 9.0, 9.0, 0.0], learned) == 1
        assert spoken_for([0.0, 100.0, 101.0 + enough, 0.0], [0.0, 9.0, 9.0, 0.0], learned) == 2
        assert spoken_for([0.0, enough, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], learned) is None
        nats = enough + 1.0
        doubtful = (nats / SURE) ** 2 + 1e-6
        assert spoken_for([0.0, 0.0, nats, 0.0], [0.0, 0.0, doubtful, 0.0], learned) is None
        assert spoken_for([0.0, 0.0, nats, 0.0], [0.0, 0.0, doubtful - 1e-3, 0.0], learned) == 2


def test_what_takes_over_is_what_that_family_has_learned() -> None:
    x = drawn("full", 200, 1)
    _, families = course(auto(batch_size=1), x, step=1)
    took, family = families[1]
    model, _ = learn(auto(batch_size=1), Rows.of(x[:took]))
    contest = model.contest
    assert contest is not None
    candidate = contest.candidates[contest.chosen]
    assert candidate.spec.family == model.spec.family == family != AUTO[0]
    np.testing.assert_array_equal(posterior(model, x).log_density, posterior(candidate, x).log_density)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**10])
@pytest.mark.parametrize("kind", AUTO)
def test_neither_place_nor_unit_decides(kind: str, scale: float) -> None:
    x = drawn(kind, 1500, 4)
    families = course(auto(), x)[1]
    assert course(auto(), x * scale)[1] == families
    assert course(auto(), (x + 1000.0) * scale)[1] == families


@pytest.mark.parametrize(
    ("memory", "batch_size"),
    [
        (Forever(), 1), (Forever(), 40), (HalfLife(3000.0), 40), (TimeHalfLife(900.0), 40),
        (Window(4000), 40), (Adaptive.suited(3, 16), 40),
    ],
)  # fmt: skip
def test_how_rows_are_grouped_changes_nothing(memory: Memory, batch_size: int) -> None:
    n = 800 if batch_size == 1 else 2400
    x = holes(drawn("full", n, 2), 0.05)
    rows = Rows.of(x, np.random.default_rng(0).uniform(0.5, 2.0, n), np.arange(n, dtype=np.float64))
    whole, done = learn(auto(batch_size, memory), rows)
    model, told = auto(batch_size, memory), Learned()
    sizes = np.random.default_rng(1).integers(1, 200, 400).cumsum()
    edges = [0, *sizes[sizes < n].tolist(), n]
    for start, stop in pairwise(edges):
        if start > n // 2:
            model = from_state(to_state(model))
        model, some = learn(model, rows[start:stop])
        told = told.plus(some)
    assert model.spec.family != AUTO[0]
    assert state_hash(model) == state_hash(whole)
    assert told.changes == done.changes


def test_weights_say_what_rows_count_beside_each_other() -> None:
    x = drawn("diag", 1200, 5)
    light, heavy = (learn(auto(), Rows.of(x, np.full(len(x), w)))[0] for w in (1.0, 64.0))
    assert light.contest is not None
    assert heavy.contest is not None
    assert light.spec.family == heavy.spec.family
    assert light.contest.rest == heavy.contest.rest


def test_a_few_giants_decide_nothing() -> None:
    x = drawn("spherical", 4000, 3)
    x[np.random.default_rng(0).permutation(4000)[:4]] *= 1e6
    clean, _ = learn(auto(256), Rows.of(drawn("spherical", 4000, 3)))
    model, _ = learn(auto(256, robust=True), Rows.of(x))
    assert model.spec.family == clean.spec.family == "spherical"


def test_a_change_of_family_is_told_and_clusters_keep_their_names() -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0, 0.0], [60.0, 0.0, 0.0], [0.0, 60.0, 0.0]])
    x = centres[np.arange(2000) % 3] + rng.normal(size=(2000, 3)) @ rng.normal(size=(3, 3)) * 2.0
    model, _ = learn(auto(16), Rows.of(x[:16]))
    before = posterior(model, centres).label.tolist()
    model, done = learn(model, Rows.of(x[16:]))
    kinds = {change.kind for change in done.changes}
    assert kinds == {"rebased"}
    assert [change.component for change in done.changes] == [-1] * len(done.changes)
    assert posterior(model, centres).label.tolist() == before
    assert model.spec.family in ("tied", "full")
    assert health(model)["family"] == model.spec.family


def test_candidates_rest_once_they_know_enough_and_a_late_change_is_found() -> None:
    model = auto(batch_size=256)
    due = TRIAL * model.spec.start_rows(3)
    model, _ = learn(model, Rows.of(drawn("spherical", 4096, 6)))
    assert model.contest is not None
    assert {one.learned for one in model.contest.candidates} < set(range(due, due + 600))
    assert model.contest.start > model.learned
    assert model.spec.family == "spherical"
    x = drawn("full", 300_000, 7)
    for start in range(0, len(x), 8192):
        model, _ = learn(model, Rows.of(x[start : start + 8192]))
    assert model.contest is not None
    assert model.spec.family != "spherical"
    assert model.rows == 4096 + 300_000
    assert model.sample is not None
    assert model.sample.last >= model.learned
    assert max(one.learned for one in model.contest.candidates) < 0.02 * model.learned


@pytest.mark.parametrize("memory", [HalfLife(4000.0), Window(6000)])
def test_resting_candidates_hold_the_same_stretch_of_the_stream(memory: HalfLife | Window) -> None:
    model, block, longest = auto(256, memory), 256, math.ceil(memory.rows / Window.BUCKETS)
    for part in np.split(drawn("tied", 30_000, 8), 10):
        model, _ = learn(model, Rows.of(part))
        assert model.contest is not None
        one = model.contest.candidates[0]
        own, mass = one.spec.memory, float(one.moments.mass.sum())
        assert isinstance(own, HalfLife | Window)
        holds = own.rows if isinstance(own, Window) else own.rows / math.log(2.0)
        if model.learned > 6000:
            assert memory.rows / own.rows > 1.5
            # A start's worth of rows, or nearly.
            assert mass > 0.5 * model.spec.start_rows(3)
        if isinstance(own, Window):
            assert mass <= own.rows + longest + block
    assert mass <= holds + block


@pytest.mark.parametrize("memory", [
    HalfLife(200.0), TimeHalfLife(100.0), Adaptive.suited(3, 32),
    Decreasing(0.7, 300.0), Averaged(0.6, 300.0),
])  # fmt: skip
def test_candidates_of_short_memories_or_of_such_as_follow_the_rows_never_rest(memory: Memory) -> None:
    rows = Rows.of(drawn("tied", 4000, 8), t=np.arange(4000.0))
    model, _ = learn(auto(32, memory), rows)
    assert model.contest is not None
    assert {one.learned for one in model.contest.candidates} == {model.contest.start}


def test_a_feature_that_comes_late() -> None:
    x = drawn("full", 3000, 9)
    model, _ = learn(auto(d=2), Rows.of(x[:1500, :2]))
    model, _ = learn(expand(model, 3), Rows.of(x[1500:]))
    assert model.contest is not None
    assert {one.d for one in model.contest.candidates} == {3}
    assert np.isfinite(posterior(model, x).log_density).all()


def test_as_many_components_as_the_rows_speak_for() -> None:
    rng = np.random.default_rng(0)
    centres = rng.permutation(12).reshape(4, 3) * 9.0
    x = centres[rng.integers(4, size=600)] + rng.normal(size=(600, 3)) * [0.3, 1.0, 2.0]
    spec = Spec(1, up_to=9, **named_family("auto"), batch_size=64)
    model, done = learn(Model.new(spec, 3), Rows.of(x))
    assert model.k == 4
    assert model.spec.family != "spherical"
    assert model.spec.asked == spec
    assert len(set(model.components)) == model.k
    assert sum(change.kind == "rebased" for change in done.changes) >= 1


def test_shards_keep_the_family_and_merge_exactly() -> None:
    model, _ = learn(auto(), Rows.of(drawn("full", 3200, 3)))
    parts = [learn(part, Rows.of(drawn("spherical", 960, i)))[0] for i, part in enumerate(shards(model, 2))]
    assert [part.contest for part in parts] == [None, None]
    both, merged = merge(*parts)
    assert merged.exact
    assert both.spec.family == model.spec.family == "full"


def test_models_of_other_families_merge_as_that_of_the_first() -> None:
    x = drawn("full", 4000, 3)
    first, _ = learn(auto(), Rows.of(x[:2000]))
    other, _ = learn(auto(), Rows.of(drawn("spherical", 2000, 3)))
    assert (first.spec.family, other.spec.family) == ("full", "spherical")
    both, merged = merge(first, other)
    assert not merged.exact
    assert both.spec.family == "full"
    assert both.learned == 4000
    assert both.contest is not None
    # Nobody rests yet, and rows of blocks that were not whole are not lost.
    assert {one.learned for one in both.contest.candidates} == {4000}
    assert both.contest.start == both.learned
    after, _ = learn(both, Rows.of(x[2000:]))
    assert after.rows == 6000
    with pytest.raises(ValueError, match="merge: the other model's families is"):
        merge(first, replace(other, spec=replace(other.spec, families=())))


def deciding(model: Model, x: Array) -> tuple[Model, int]:
    """The model after the first of the rows, once those that wait say that its family is another."""
    for done in range(0, len(x), 4):
        model, _ = learn(model, Rows.of(x[done : done + 4]))
        if flush(model)[0].spec.family != model.spec.family:
            return model, done + 4
    raise AssertionError("no rows that wait ever say so")


def test_rows_that_wait_say_which_family_is_merged() -> None:
    begun, _ = learn(auto(256), Rows.of(drawn("spherical", 800, 3)))
    waiting, more = deciding(begun, drawn("full", 2000, 3))
    assert waiting.spec.family == "spherical"
    other, _ = learn(auto(256), Rows.of(drawn("spherical", 1200, 3)))
    for one, two in ((waiting, other), (other, waiting)):
        both, _ = merge(one, two)
        assert both.spec.family == flush(one)[0].spec.family
        assert both.contest is not None
        assert both.contest.family == both.spec.family
        assert {candidate.learned for candidate in both.contest.candidates} == {both.learned} == {2000 + more}
        assert state_hash(both) == state_hash(merge(flush(one)[0], flush(two)[0])[0])


@pytest.mark.parametrize("kind", ["full", "spherical"])
def test_a_start_that_is_not_settled_takes_the_others_rows(kind: str) -> None:
    x = np.concatenate([drawn("full", 300, 3), drawn(kind, 300, 3)])
    whole, _ = learn(auto(), Rows.of(x))
    first, _ = learn(auto(), Rows.of(x[:300]))
    other, _ = learn(auto(), Rows.of(x[300:]))
    assert (first.spec.family == other.spec.family) == (kind == "full")
    both, merged = merge(first, other)
    assert merged.exact
    assert state_hash(both) == state_hash(whole)


def test_a_model_that_may_not_change_takes_no_other_family() -> None:
    first, _ = learn(auto(), Rows.of(drawn("full", 2000, 3)))
    other, _ = learn(auto(), Rows.of(drawn("spherical", 2000, 3)))
    with pytest.raises(ValueError, match="merge: the other model's family is 'spherical', expected 'full'"):
        merge(first, shards(other, 1)[0])


@pytest.mark.parametrize("seed", range(20))
def test_hostile_streams(seed: int) -> None:
    kernels = kernels_here()
    survives(hostile(seed), "auto", kernels[seed % len(kernels)])


def test_candidates_are_sound_on_a_hostile_stream() -> None:
    x = np.random.default_rng(0).normal(size=(900, 3)) * [1e-9, 1.0, 1e9] + [1e12, 0.0, 0.0]
    x[300:600, 1] = 5.0
    x[::50] = np.nan
    model, _ = learn(auto(), Rows.of(x))
    assert model.contest is not None
    for one in (model, *model.contest.candidates):
        assert_sound(one, x)


def test_a_fit_takes_the_family_that_foretells_parts_of_the_rows() -> None:
    for kind in AUTO:
        x = drawn(kind, 900, 2)
        spec = Spec(3, **named_family("auto"))
        fits = {}
        for name in AUTO:
            fits[name] = fit(Rows.of(x), Spec(3, name), max_iter=100, tol=1e-3).model
        found = fit(Rows.of(x), spec, max_iter=100, tol=1e-3).model
        again = fit(Rows.of(x[::-1]), spec, max_iter=100, tol=1e-3).model
        assert found.spec.families == AUTO
        assert state_hash(again) == state_hash(found)
        new = drawn(kind, 4000, 2)[900:]
        told = {name: float(posterior(one, new).log_density.mean()) for name, one in fits.items()}
        assert float(posterior(found, new).log_density.mean()) >= max(told.values()) - 2.0 * MARGIN
        assert state_hash(replace(found, spec=fits[found.spec.family].spec)) == state_hash(
            fits[found.spec.family]
        )
        after, _ = flush(learn(found, Rows.of(x))[0])
        assert after.contest is None
        assert after.spec.family == found.spec.family


def test_a_fit_of_rows_that_some_families_cannot_be_fitted_to() -> None:
    x = np.repeat(np.arange(6.0)[:, None], 2, axis=1)
    spec = Spec(2, **named_family("auto"), prior=MAXIMUM_LIKELIHOOD)
    assert fit(Rows.of(x), spec, max_iter=20, tol=1e-3).model.spec.family in ("spherical", "diag")
    found = fit(Rows.of(x[:1]), Spec(1, **named_family("auto")), max_iter=5, tol=0.0).model
    assert found.spec.family == AUTO[0]


@pytest.mark.parametrize(
    ("choices", "line"),
    [
        ({"families": ("kmeans", "full")}, "expected some of 'diag', 'full', 'spherical', 'tied', each once"),
        ({"families": ("full", "full")}, "families are .*, each once"),
        ({"families": ("diag", "tied")}, "family is 'full', expected one of the families"),
    ],
)
def test_families_that_make_no_sense(choices: dict[str, tuple[str, ...]], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        Spec(3, **choices)  # type: ignore[arg-type]  # what is refused


def test_health_says_what_speaks_for_another_family() -> None:
    model = auto()
    assert health(model)["contender"] is None
    model, _ = learn(model, Rows.of(drawn("tied", 32, 3)))
    assert model.contest is not None
    wondering = replace(model.contest, evidence=(0.0, 3.0, 5.0, 0.0))
    assert health(replace(model, contest=wondering))["contender"] == 5.0
    assert isinstance(model.contest, Contest)
