"""Merging: exact for shards of one start, by what components are like for models trained apart."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import (
    Averaged,
    Decreasing,
    Forever,
    HalfLife,
    Memory,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    expand,
    flush,
    learn,
    merge,
    parameters,
    posterior,
    rows_until_batch,
    shards,
    state_hash,
)
from stream_mix.mixture.arranging import arranged
from stream_mix.mixture.arrays import Array, Ints

from .streams import ALL_FAMILIES, spec

CENTRES = np.array([[0.0, 0.0], [400.0, 0.0], [0.0, 400.0]])
MEMORIES = [
    Forever(), HalfLife(300.0), TimeHalfLife(200.0), Window(400),
    Decreasing(0.7, 200.0), Averaged(0.6, 200.0),
]  # fmt: skip


def stream(n: int, seed: int) -> Rows:
    """Rows of clusters so far apart that responsibilities are 0 or 1."""
    rng = np.random.default_rng(seed)
    x = CENTRES[rng.integers(0, 3, n)] + rng.normal(size=(n, 2)) * [1.0, 3.0]
    return Rows.of(x, rng.uniform(0.5, 2.0, n), 1e6 + np.arange(float(n)))


@cache
def settled(family: str, memory: Memory, batch_size: int = 50) -> Model:
    """A model past its start; made once, since nothing changes it."""
    model, _ = learn(Model.new(spec(family, memory=memory, batch_size=batch_size), 2), stream(600, 0))
    assert model.next_start == 0
    return model


def after(model: Model, rows: Rows) -> Model:
    return flush(learn(model, rows)[0])[0]


def assert_same(one: Model, other: Model, tolerance: float = 1e-10) -> None:
    assert (one.components, one.learned, one.generation, one.late) == (
        other.components, other.learned, other.generation, other.late
    )  # fmt: skip
    np.testing.assert_equal(one.t, other.t)
    np.testing.assert_allclose(one.evidence, other.evidence, rtol=1e-9)
    assert_same_moments(one, other, tolerance)


def assert_same_moments(one: Model, other: Model, tolerance: float = 1e-10) -> None:
    mine, its = one.moments.rebase(other.basis), other.moments
    assert mine.rows == its.rows
    for name in ("mass", "seen", "mean", "scatter"):
        array = getattr(its, name)
        size = float(np.abs(array).max())
        np.testing.assert_allclose(getattr(mine, name), array, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", [Forever(), TimeHalfLife(200.0)], ids=str)
@settings(max_examples=8)
@given(share=st.floats(0.0, 1.0), n=st.integers(2, 4), seed=st.integers(0, 99))
def test_shards_of_one_start_are_one_model_over_all_rows(
    family: str, memory: Memory, share: float, n: int, seed: int
) -> None:
    before = settled(family, memory)
    rows = stream(1500, 1 + seed)
    rng = np.random.default_rng(seed)
    whose = np.where(rng.random(1500) < share, 0, rng.integers(0, n, 1500))
    parts = list(shards(before, n))
    for i in range(n):
        mine = whose == i
        parts[i] = after(parts[i], Rows(rows.x[mine], rows.w[mine], rows.t[mine]))
    merged, *rest = parts
    for part in rest:
        merged, said = merge(merged, part)
        assert said.exact
        assert said.loss == 0.0
    assert_same_moments(merged, after(before, rows))


@pytest.mark.parametrize("memory", MEMORIES, ids=str)
@pytest.mark.parametrize("family", ["full", "tied", "kmeans"])
def test_shards_merged_at_once_are_the_model(family: str, memory: Memory) -> None:
    model, _ = learn(settled(family, memory), stream(330, 5))
    whole, _ = flush(model)
    merged, *rest = shards(model, 3)
    for part in rest:
        merged, _ = merge(merged, part)
    assert_same(merged, whole)
    assert [bucket.rows for bucket in merged.store] == [bucket.rows for bucket in whole.store]


@pytest.mark.parametrize("memory", MEMORIES, ids=str)
@settings(max_examples=15)
@given(cuts=st.tuples(st.integers(0, 300), st.integers(0, 300)), seed=st.integers(0, 99))
def test_exact_merging_commutes_and_associates(memory: Memory, cuts: tuple[int, int], seed: int) -> None:
    family = ALL_FAMILIES[seed % len(ALL_FAMILIES)]
    rows = stream(900, seed)
    low, high = 150 + cuts[0], 450 + cuts[1]
    one, two, three = shards(settled(family, memory, batch_size=40), 3)
    one, two, three = (
        learn(part, some)[0]
        for part, some in zip((one, two, three), (rows[:low], rows[low:high], rows[high:]), strict=True)
    )
    assert_same(merge(one, two)[0], merge(two, one)[0])
    assert_same(merge(merge(one, two)[0], three)[0], merge(one, merge(two, three)[0])[0])


def test_a_shard_that_moved_its_basis_still_merges_exactly() -> None:
    one, two = shards(settled("full", HalfLife(50.0), batch_size=10), 2)
    far = replace(stream(1000, 3), x=stream(1000, 3).x * 200.0)
    moved = after(two, far)
    assert not moved.basis.same(one.basis)
    merged, said = merge(after(one, stream(200, 4)), moved)
    other_way, _ = merge(moved, after(one, stream(200, 4)))
    assert said.exact
    assert_same(merged, other_way, 1e-9)


def test_both_are_brought_to_the_later_time() -> None:
    one, two = shards(settled("diag", TimeHalfLife(100.0)), 2)
    late = stream(50, 3)
    late = Rows(late.x, late.w, late.t + 1000.0)
    merged, _ = merge(one, after(two, late))
    kept = one.moments.mass.sum() * 2.0 ** -(((late.t[-1] - one.t)) / 100.0)
    assert merged.t == late.t[-1]
    assert merged.moments.mass.sum() == pytest.approx(kept + after(two, late).moments.mass.sum(), rel=1e-12)


def test_a_window_is_brought_down_to_its_length_by_what_is_learned_next() -> None:
    one, two = (after(part, stream(600, i)) for i, part in enumerate(shards(settled("diag", Window(400)), 2)))
    merged, _ = merge(one, two)
    assert merged.moments.rows == one.moments.rows + two.moments.rows
    rows = stream(2000, 9)
    merged = after(merged, rows)
    assert 400 <= merged.moments.rows <= 400 + 2 * 50
    assert_same_moments(merged, after(one, rows))


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("sizes", [(120, 30), (120, 1500), (1500, 120), (0, 130), (1500, 0)])
def test_a_model_whose_start_is_not_settled_tells_its_rows(family: str, sizes: tuple[int, int]) -> None:
    first, second = stream(sizes[0], 1), stream(sizes[1], 2)
    blank = Model.new(spec(family, batch_size=40), 2)
    one, two = learn(blank, first)[0], learn(blank, second)[0]
    merged, said = merge(one, two)
    assert said.exact
    order = [second, first] if one.next_start and not two.next_start else [first, second]
    assert state_hash(merged) == state_hash(learn(blank, Rows.concatenated(order))[0])
    assert 0 < rows_until_batch(merged) <= 40


def test_rows_told_by_a_model_are_not_late() -> None:
    choices = spec("diag", lateness=5.0)
    now, before = stream(900, 1), stream(60, 2)
    one, _ = learn(Model.new(choices, 2), Rows(now.x, now.w, now.t + 1e4))
    two, _ = learn(Model.new(choices, 2), before)
    merged, _ = merge(one, replace(two, late=3))
    assert (merged.learned + len(merged.pending), merged.late) == (960, 3)
    assert merged.spec == choices


# Models trained apart


def mixture_of(seed: int, k: int = 5, d: int = 3) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(k, d)) * 6.0, rng.normal(size=(k, d, d))


def drawn(mixture: tuple[Array, Array], n: int, seed: int) -> Array:
    centres, roots = mixture
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(centres), n)
    noise = np.einsum("nij,nj->ni", roots[which], rng.normal(size=(n, centres.shape[1])))
    found: Array = centres[which] + noise
    return found


def trained(x: Array, seed: int, family: str = "full", k: int = 5, **choices: Any) -> Model:
    made = Spec(k, family, batch_size=100, random_state=seed, **choices)
    return learn(Model.new(made, x.shape[1]), Rows.of(x))[0]


def score(model: Model, x: Array) -> float:
    return float(posterior(model, x).log_density.mean())


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_two_halves_with_seeds_of_their_own_are_as_good_as_one_model(family: str, seed: int) -> None:
    mixture = mixture_of(seed)
    x, held_out = drawn(mixture, 8000, 100 + seed), drawn(mixture, 4000, 200 + seed)
    one, two = trained(x[:4000], 1, family), trained(x[4000:], 2, family)
    merged, said = merge(one, two)
    assert not said.exact
    assert (merged.k, merged.learned, merged.moments.rows) == (5, 8000, 8000)
    # Not worse than the better half, nor than one model over all, but for a small margin; halves that ended
    # in different optima cannot be joined for nothing, and the loss says so.
    best = max(score(model, held_out) for model in (one, two, trained(x, 3, family)))
    assert score(merged, held_out) > best - 0.01 - (said.loss if said.loss > 0.02 else 0.0)
    assert said.loss < 0.02 or family not in ("full", "diag")


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), kept=st.integers(1, 14))
def test_the_whole_keeps_its_mass_mean_and_covariance(seed: int, kept: int) -> None:
    family = ALL_FAMILIES[seed % len(ALL_FAMILIES)]
    mixture = mixture_of(seed)
    one = trained(drawn(mixture, 700, seed), 1, family)
    two = trained(drawn(mixture_of(seed + 1), 900, seed + 1), 2, family, k=7)
    merged, said = merge(one, two, kept)
    assert merged.k == merged.spec.n_components == len(set(merged.components))
    assert min(kept, 5) <= merged.k <= kept
    assert said.loss >= 0.0
    whole = [np.concatenate([part.rebase(one.basis).mean for part in (one.moments, two.moments)])]
    mass = np.concatenate([one.moments.mass, two.moments.mass])
    assert merged.moments.mass.sum() == pytest.approx(mass.sum(), rel=1e-12)
    np.testing.assert_allclose(
        merged.moments.mass @ merged.moments.mean, mass @ whole[0], rtol=1e-9, atol=1e-9 * mass.sum()
    )
    np.testing.assert_allclose(spread(merged), spread(one, two), rtol=1e-9, atol=1e-9 * mass.sum())


def spread(*models: Model) -> Array:
    """Sum of squared deviations (d,) from the common mean, in the first one's basis."""
    moments = [model.moments.rebase(models[0].basis) for model in models]
    seen = np.concatenate([one.seen for one in moments])
    means = np.concatenate([one.mean for one in moments])
    centre = (seen * means).sum(axis=0) / seen.sum(axis=0)
    within = np.zeros(models[0].d)
    for one in moments:
        pooled = one.shape_of_scatter.pooled(one.scatter)
        within = within + (pooled if pooled.ndim == 1 else np.diagonal(pooled))
    total: Array = within + (seen * np.square(means - centre)).sum(axis=0)
    return total


def test_ours_keep_their_ids_and_theirs_are_told_with_what_it_cost() -> None:
    mixture = mixture_of(3)
    one, two = trained(drawn(mixture, 4000, 1), 1), trained(drawn(mixture, 4000, 2), 2)
    merged, said = merge(one, two)
    assert merged.components == one.components
    assert merged.store[0].lineage == one.store[0].lineage
    assert said.changes == ()
    nearest = [
        int(np.square(parameters(two).means - mean).sum(axis=1).argmin()) for mean in parameters(one).means
    ]
    assert {match.component: match.theirs for match in said.matches} == {
        i: (nearest[i],) for i in range(5)
    }
    assert all(match.ours == (match.component,) and 0.0 < match.loss < 0.01 for match in said.matches)
    # A shard of the first still adds itself exactly.
    assert merge(merged, shards(one, 2)[1])[1].exact


def test_components_that_differ_stay_where_there_is_room_and_are_folded_in_where_there_is_none() -> None:
    left, right = (drawn((np.array([[at, 0.0], [at, 9.0]]), np.tile(np.eye(2), (2, 1, 1))), 1000, 7)
                   for at in (0.0, 50.0))  # fmt: skip
    one, two = trained(left, 1, k=2), trained(right, 2, k=2)
    roomy, said = merge(one, two, 4)
    assert (roomy.components, said.matches) == ((0, 1, 2, 3), ())
    assert [(change.kind, change.component) for change in said.changes] == [("born", 2), ("born", 3)]
    both = np.concatenate([left, right])
    assert score(roomy, both) > score(merge(one, two)[0], both) + 0.5
    tight, said = merge(one, two)
    assert tight.k == 2
    # The two on either side are joined with each other: they are nearer than those across.
    assert sorted((match.ours, match.theirs) for match in said.matches) == [((), (0, 1)), ((0, 1), ())]
    assert [(change.kind, change.parents) for change in said.changes] == [("merged", (0, 1)), ("born", ())]
    assert tight.store[0].lineage != one.store[0].lineage
    fewer, _ = merge(one, two, 1)
    assert fewer.k == 1
    learn(roomy, Rows.of(both))  # goes on with its new number of components


def test_like_components_are_joined_even_where_there_is_room() -> None:
    mixture = mixture_of(3)
    one, two = trained(drawn(mixture, 4000, 1), 1), trained(drawn(mixture, 4000, 2), 2)
    assert merge(one, two, 10)[0].k == 5


def test_covariances_decide_between_components_of_one_centre() -> None:
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(4000, 2)) * [9.0, 0.3]
    tall = rng.normal(size=(4000, 2)) * [0.3, 9.0]
    x = rng.permutation(np.concatenate([wide, tall]))
    one, two = trained(x[:4000], 1, k=2), trained(x[4000:], 4, k=2)

    def is_wide(model: Model) -> list[bool]:
        return [bool(found[0, 0] > found[1, 1]) for found in parameters(model).covariances]

    assert sorted(is_wide(one)) == sorted(is_wide(two)) == [False, True]
    _, said = merge(one, two)
    for match in said.matches:
        assert is_wide(one)[match.ours[0]] == is_wide(two)[match.theirs[0]]


def test_a_feature_that_only_one_of_them_knows() -> None:
    x = drawn(mixture_of(3), 4000, 1)
    few = x.copy()
    few[:, 2] = np.nan
    one, two = trained(few[:2000, :2], 1), trained(x[2000:], 2)
    merged, _ = merge(expand(one, 3), two)
    other_way, _ = merge(two, expand(one, 3))
    for model in (merged, other_way):
        found = posterior(model, x)
        assert np.isfinite(found.log_density).all()
        assert parameters(model).means[:, 2].std() > 1.0
    assert score(other_way, x) == pytest.approx(score(merged, x), abs=0.05)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@settings(max_examples=4)
@given(order=st.permutations(range(3)))
def test_features_in_another_order_are_the_same_model(family: str, order: list[int]) -> None:
    x = drawn(mixture_of(3), 800, 1)
    columns: Ints = np.array(order)
    model = trained(x[:790], 1, family)
    turned = arranged(model, columns)
    np.testing.assert_allclose(posterior(turned, x[:, columns]).p, posterior(model, x).p, atol=1e-10)
    assert len(turned.pending) == len(model.pending) == 90
    small = trained(x[:210], 1, family)
    assert_same_moments(
        flush(learn(arranged(small, columns), Rows.of(x[210:300, columns]))[0])[0],
        arranged(flush(learn(small, Rows.of(x[210:300]))[0])[0], columns),
        1e-9,
    )


def test_merging_leaves_both_as_they_were() -> None:
    mixture = mixture_of(3)
    one, two = trained(drawn(mixture, 950, 1), 1), trained(drawn(mixture, 950, 2), 2, k=4)
    before = state_hash(one), state_hash(two)
    merge(one, two)
    assert before == (state_hash(one), state_hash(two))


@pytest.mark.parametrize(
    ("choices", "d", "message"),
    [
        ({"family": "diag"}, 2, "merge: the other model's family is 'diag', expected 'full'"),
        ({"assignment": "hard"}, 2, "merge: the other model's assignment is 'hard', expected 'soft'"),
        ({"degrees_of_freedom": 4.0}, 2, r"degrees_of_freedom is 4\.0, expected None"),
        ({"robust": True}, 2, "merge: the other model's robust is True, expected False"),
        ({"memory": HalfLife(9.0)}, 2, r"memory is HalfLife\(rows=9.0\), expected Forever\(\)"),
        ({}, 3, "merge: the other model's number of features is 3, expected 2"),
    ],
)
def test_models_of_different_kinds_are_refused_in_one_line(
    choices: dict[str, Any], d: int, message: str
) -> None:
    one = settled("full", Forever())
    with pytest.raises(ValueError, match=message):
        merge(one, Model.new(spec(**{"family": "full", **choices}), d))


def test_what_makes_no_sense_is_refused_in_one_line() -> None:
    one, blank = settled("full", Forever()), Model.new(spec("full", n_components=4), 2)
    for value in (0, True, 2.5):
        with pytest.raises(ValueError, match="merge: n_components is"):
            merge(one, one, value)  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(ValueError, match="shards: n is"):
            shards(one, value)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match="start is not settled and the other has 3 components, expected 4"):
        merge(blank, one)
    with pytest.raises(ValueError, match="needs 470 more rows for its start to be settled"):
        shards(learn(blank, stream(30, 1))[0], 2)

