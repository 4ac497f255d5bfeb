"""Where squared error counts, a row that weighs as much as a component gets one of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import (
    Adaptive,
    Averaged,
    Decreasing,
    HalfLife,
    Model,
    Rows,
    TimeHalfLife,
    Window,
    flush,
    learn,
    merge,
    parameters,
    shards,
    state_hash,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.changes import Change
from stream_mix.mixture.learning import all_learned, judge_batches
from stream_mix.mixture.live import isas, live_of, model_of
from stream_mix.mixture.memory import Memory
from stream_mix.mixture.model import posterior
from stream_mix.mixture.outweighing import cheapest

from .lively import assert_like, begun, reference
from .streams import spec

K = 8
FAR = np.array([3e4, -2e4])


def stream(n: int = 3000, seed: int = 0, at: int | None = None) -> Array:
    """Rows (n, 2) of K clusters, one of them far from all others: number `at`, the third last by default."""
    rng = np.random.default_rng(seed)
    centres = 12.0 * np.array([[i % 4, i // 4] for i in range(K)], dtype=np.float64)
    x = centres[rng.integers(K, size=n)] + rng.normal(size=(n, 2))
    x[n - 3 if at is None else at] = FAR
    return x


def kind(family: str = "kmeans", **choices: object) -> Model:
    return Model.new(replace(spec(family, **{"batch_size": 64, **choices}), n_components=K), 2)


def after(x: Array, model: Model, cuts: tuple[int, ...] = ()) -> tuple[Model, tuple[Change, ...]]:
    """The model that learned the rows in these pieces, and what happened since the start was settled."""
    changes: tuple[Change, ...] = ()
    for start, stop in zip((0, *cuts), (*cuts, len(x)), strict=True):
        model, done = learn(model, Rows.of(x[start:stop]))
        changes += done.changes
    model, done = flush(model)
    return model, tuple(change for change in (*changes, *done.changes) if change.offset > 1000)


def squared_error(model: Model, x: Array) -> float:
    away = x[:, None] - parameters(model).means
    return float(np.square(away).sum(axis=2).min(axis=1).sum())


MEMORIES = [HalfLife(1e5), HalfLife(1000.0), Decreasing(0.9, 800.0), Averaged(0.9, 800.0)]


@pytest.mark.parametrize("at", [1500, 2997, 600], ids=["in a run", "in the last batch", "before a start"])
def test_the_one_row_that_makes_the_error_gets_a_centre(at: int) -> None:
    x = stream(at=at)
    model, _ = after(x, kind())
    plain, _ = after(np.delete(x, at, axis=0), kind())
    # Seven centres for eight clusters: two that are neighbours share one, 12 apart.
    assert squared_error(model, x) < squared_error(plain, np.delete(x, at, axis=0)) + 750 * 2 * 6.5**2
    assert np.linalg.norm(parameters(model).means - FAR, axis=1).min() < 1e-6


@pytest.mark.parametrize("decade", range(5, 91, 5))
def test_a_giant_gets_one_centre_and_costs_the_others_no_digits(decade: int) -> None:
    for seed in range(6):
        x = stream(seed=seed, at=1100)
        x[1100] = np.random.default_rng(seed).normal(size=2) * 10.0**decade
        x = x[:1536]
        model, changes = after(x, kind(random_state=seed))
        means = parameters(model).means
        giant = np.abs(means).max(axis=1) > 1e4
        assert giant.sum() == 1
        assert [change.kind for change in changes] == ["merged", "born"]
        # Whose rows are where no other is near: that centre is the mean of its cluster.
        others, ordinary = means[~giant], np.delete(x, 1100, axis=0)
        label = np.square(ordinary[:, None] - others).sum(axis=2).argmin(axis=1)
        for k, mean in enumerate(others):
            np.testing.assert_allclose(mean, ordinary[label == k].mean(axis=0), atol=0.5)
        assert model.components[0] == 0  # about whose mean all rows are judged


@pytest.mark.parametrize("memory", MEMORIES, ids=repr)
def test_it_does_so_under_every_memory_that_is_reviewed(memory: Memory) -> None:
    model, changes = after(stream(), kind(memory=memory))
    assert np.linalg.norm(parameters(model).means - FAR, axis=1).min() < 1e-6
    assert [change.kind for change in changes] == ["merged", "born"]


def test_without_a_look_at_it_the_row_keeps_nearly_all_of_its_error() -> None:
    x = stream()
    model, _ = after(x[:2000], kind())
    model, _ = after(x[2000:], replace(model, sample=None))
    assert squared_error(model, x) > 0.9 * float(np.square(FAR).sum())


def test_every_row_still_counts_once() -> None:
    x = stream()
    moments = after(x, kind())[0].moments
    z = moments.basis.forward(x)
    mass = moments.mass
    assert mass.sum() == pytest.approx(len(x), rel=1e-12)
    mean = mass @ moments.mean / mass.sum()
    np.testing.assert_allclose(mean, z.mean(axis=0), rtol=1e-9)
    spread = moments.scatter.sum(axis=0) + mass @ np.square(moments.mean - mean)
    np.testing.assert_allclose(spread, np.square(z - z.mean(axis=0)).sum(axis=0), rtol=1e-9)


def test_what_happened_is_told_under_ids_that_nobody_had() -> None:
    x = stream()
    model, changes = after(x, kind())
    merged, born = changes
    assert (merged.kind, born.kind) == ("merged", "born")
    heir, gone = merged.parents
    assert merged.component == heir
    assert {heir, gone} < set(range(K))
    assert born.component == K
    assert set(model.components) == set(range(K)) - {gone} | {K}
    assert posterior(model, [FAR]).label.tolist() == [K]
    # The next one has another, though the last may be gone.
    again, _ = learn(model, Rows.of(np.vstack([np.tile(-100.0 * FAR, (1, 1)), stream(63, at=0)])))
    assert max(again.components) == K + 1


@pytest.mark.parametrize("watch", [True, False])
def test_how_rows_are_grouped_changes_nothing(watch: bool) -> None:
    x = stream(at=1800)
    whole, _ = after(x, kind(watch=watch))
    for cuts in ((1792,), (1799, 1801), (1800,), (64, 2000, 2001)):
        assert state_hash(after(x, kind(watch=watch), cuts)[0]) == state_hash(whole)


@pytest.mark.parametrize("watch", [True, False])
@pytest.mark.parametrize("weight", [1.0, 40.0])
def test_compiled_runs_do_what_python_does(watch: bool, weight: float) -> None:
    x = stream(at=1800)
    x[1800] = FAR / weight
    rows = Rows.of(x, np.where(np.arange(len(x)) == 1800, weight, 1.0))
    begun = all_learned(kind(watch=watch), rows[:1024])
    model = all_learned(begun, rows[1024:])
    with reference():
        slow = all_learned(begun, rows[1024:])
    assert max(model.components) == K
    assert_like(model, slow)


@pytest.mark.parametrize("isa", isas())
def test_single_rows_that_are_live_do_what_batches_of_one_do(isa: str) -> None:
    x = stream(1100, at=1050)
    model = begun("kmeans", HalfLife(1e5), x[:1040], K)
    live = live_of(model, isa=isa)
    assert live is not None
    rows = Rows.of(x[1040:])
    # It takes all rows up to that one, and leaves that to Python.
    assert live.learn_rows(rows.x, rows.w, rows.t) == 10
    left, _ = learn(model_of(live, model), Rows.of(x[1050:1051]))
    twin, _ = learn(model, Rows.of(x[1040:1051]))
    assert max(left.components) == K
    assert_like(left, twin)


@pytest.mark.parametrize("watch", [True, False])
def test_judged_or_not_the_same_is_learned_next_to_the_limit(watch: bool) -> None:
    model, _ = after(stream()[:1024], kind(watch=watch))
    batch = stream()[1024:1088]
    moments, means = model.moments, parameters(model).means
    corner = means[(means @ np.array([-0.6, 0.8])).argmax()]  # the nearest to what is out there
    variance = float(parameters(model).covariances[0])
    limit = np.sqrt(2.0 * max(moments.mass.sum() / K, 100.0) * variance)
    for share in np.linspace(0.98, 1.02, 41):
        batch[7] = corner + limit * np.sqrt(share) * np.array([-0.6, 0.8])
        rows = Rows.of(batch)
        learned, judged = learn(model, rows)[0], judge_batches(model, rows)[0]
        assert state_hash(learned) == state_hash(judged)


def test_what_is_said_of_a_row_is_said_before_it_is_learned() -> None:
    x = stream(2048, at=2000)
    model, _ = after(x[:1984], kind())
    found = posterior(model, x[1984:])
    after_it, _, said = judge_batches(model, Rows.of(x[1984:]))
    assert max(after_it.components) == K
    np.testing.assert_allclose(said.log_density, found.log_density, rtol=1e-9)
    assert said.label.tolist() == found.label.tolist()


def test_a_row_that_lacks_a_value_is_seated_where_it_was_seen() -> None:
    x = stream()
    x[-3, 1] = np.nan
    model, _ = after(x, kind())
    assert np.abs(parameters(model).means[:, 0] - FAR[0]).min() < 1e-6


def test_ordinary_rows_never_move_a_component() -> None:
    x = stream(30_000, at=0)
    x[0] = 0.0
    for choices in ({}, {"memory": HalfLife(30.0)}, {"batch_size": 1}):
        assert after(x[: 4000 if choices else None], kind(**choices))[0].components == tuple(range(K))


def test_a_row_that_costs_less_than_any_two_components_is_left() -> None:
    # A hundred and fifty average rows' error, where to join two clusters costs thousands of them.
    x = stream()
    x[-3] = np.array([18.0, -22.0])
    assert after(x, kind())[0].components == tuple(range(K))


@pytest.mark.parametrize(
    ("family", "choices"),
    [
        ("kmeans", {"assignment": "soft"}),
        ("spherical", {}),
        ("kmeans", {"robust": True}),
        ("kmeans", {"memory": TimeHalfLife(1e9)}),
        ("kmeans", {"memory": Window(2500)}),
        ("kmeans", {"memory": Adaptive((100.0, 1e4))}),
        ("kmeans", {"memory": HalfLife(60.0)}),
    ],
    ids=str,
)
def test_where_squared_error_is_not_all_that_counts_nothing_happens(
    family: str, choices: dict[str, object]
) -> None:
    x = stream()
    if "memory" not in choices:
        assert not [c for c in after(x, kind(family, **choices))[1] if c.kind == "born"]
        return
    model = kind(family, **choices)
    done = learn(model, Rows.of(x, t=np.arange(len(x), dtype=np.float64)))[1]
    assert not [change for change in done.changes if change.offset > 1000]


def test_shards_stay_of_one_kin() -> None:
    x = stream()
    model, _ = after(x[:2000], kind())
    one, other = shards(model, 2)
    one, _ = after(x[2000:], one)
    joined, how = merge(one, other)
    assert how.exact
    assert joined.components == model.components


def test_the_cheapest_pair_is_the_one_that_all_pairs_say() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        k = int(rng.integers(2, 9))
        mass, means = rng.exponential(size=k) * (rng.random(k) < 0.9), rng.normal(size=(k, 3))
        costs = {
            (i, j): mass[i] * mass[j] / max(mass[i] + mass[j], 1e-300) * np.square(means[i] - means[j]).sum()
            for i in range(k)
            for j in range(k)
            if i != j
        }
        into, freed, cost = cheapest(mass, means)
        assert cost == pytest.approx(min(costs.values()), rel=1e-9, abs=1e-12)
        assert costs[into, freed] == pytest.approx(cost, rel=1e-9, abs=1e-12)
        assert mass[into] >= mass[freed]


def test_more_such_rows_than_components_end_and_all_count() -> None:
    x = stream(2048, at=0)
    x[0] = 0.0
    angles = np.linspace(0.0, 6.0, 40)
    x[1984:2024] = 1e4 * (1.0 + angles[:, None]) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    model, changes = after(x, kind())
    assert 0 < sum(change.kind == "born" for change in changes) < K
    assert model.moments.mass.sum() == pytest.approx(len(x), rel=1e-12)
    z = model.basis.forward(x)
    np.testing.assert_allclose(
        model.moments.mass @ model.moments.mean / len(x), z.mean(axis=0), rtol=1e-9, atol=1e-9
    )
