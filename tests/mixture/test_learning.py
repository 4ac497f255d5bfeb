"""Learning as a fold: grouping changes nothing, states come back bit for bit, one pass finds the clusters."""

from __future__ import annotations

import itertools

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
    from_state,
    health,
    judge_batches,
    learn,
    parameters,
    posterior,
    rows_until_batch,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array

from .streams import ALL_FAMILIES, blobs, holes, oval, spec

MEMORIES: list[Memory] = [
    Forever(), HalfLife(300.0), TimeHalfLife(60.0), Window(400),
    Decreasing(0.7, 200.0), Averaged(0.6, 200.0),
]  # fmt: skip


def stream(n: int = 600, seed: int = 0) -> Rows:
    """Rows with holes, weights and event times."""
    rng = np.random.default_rng(seed)
    x, _, _ = blobs(n, k=3, d=3, seed=seed)
    return Rows.of(
        holes(x, 0.05, seed), w=rng.uniform(0.5, 2.0, n), t=1.7e9 + np.cumsum(rng.exponential(1.0, n))
    )


def taught(model: Model, rows: Rows, cuts: list[int]) -> Model:
    """The model after the rows came in groups that end at the cuts."""
    for start, stop in itertools.pairwise([0, *cuts, len(rows)]):
        model, _ = learn(model, rows[start:stop])
    return model


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: type(memory).__name__)
@settings(max_examples=2)
@given(cuts=st.lists(st.integers(0, 600), max_size=8).map(sorted))
def test_how_rows_are_grouped_changes_no_bit(family: str, memory: Memory, cuts: list[int]) -> None:
    rows = stream()
    model = Model.new(spec(family, memory=memory), 3)
    assert state_hash(taught(model, rows, cuts)) == state_hash(taught(model, rows, []))


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("at", [0, 1, 50, 333])
def test_a_state_goes_on_as_if_nothing_had_happened(family: str, at: int) -> None:
    rows = stream()
    before, _ = learn(Model.new(spec(family, memory=Window(400)), 3), rows[:at])
    again = from_state(to_state(before))
    assert state_hash(again) == state_hash(before)
    one, _ = learn(before, rows[at:])
    two, _ = learn(again, rows[at:])
    assert state_hash(one) == state_hash(two)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_one_pass_finds_the_clusters(family: str, batch_size: int) -> None:
    x, label, centres = blobs(1500, k=4, d=2, seed=7)
    model, done = learn(Model.new(Spec(4, family, batch_size=batch_size), 2), Rows.of(x))
    model, rest = flush(model)
    assert done.rows + rest.rows == len(x) == model.learned
    found = parameters(model)
    nearest = np.linalg.norm(found.means[:, None] - centres, axis=2)
    assert sorted(nearest.argmin(axis=1)) == [0, 1, 2, 3]
    assert nearest.min(axis=1).max() < 0.3
    told = posterior(model, x).label
    right = sum(np.bincount(told[label == c]).max() for c in range(4))
    assert right >= 0.99 * len(x)


def test_one_row_shows_in_the_next_prediction() -> None:
    model = Model.new(Spec(2, "diag", batch_size=1), 1)
    assert model.warming
    assert rows_until_batch(model) == 1
    model, done = learn(model, Rows.of([[5.0]]))
    assert done.rows == 1
    assert not model.warming
    assert parameters(model).means[0, 0] == pytest.approx(5.0)
    assert {change.kind for change in done.changes} == {"born"}


def test_rows_wait_for_their_batch_and_flush_learns_the_rest() -> None:
    x, _, _ = blobs(130)
    model, done = learn(Model.new(spec("full"), 2), Rows.of(x))
    assert (done.rows, done.batches, len(model.pending), rows_until_batch(model)) == (100, 2, 30, 20)
    model, done = flush(model)
    assert (done.rows, done.batches, model.rows, model.learned) == (30, 1, 130, 130)
    assert flush(model)[1].rows == 0


def test_learning_leaves_its_input_and_the_old_model_alone() -> None:
    rows = stream(200)
    copy = rows.copy()
    model = Model.new(spec("full"), 3)
    before = state_hash(model)
    later, _ = learn(model, rows)
    kept = state_hash(later)
    rows.x[:] = -1e9
    assert state_hash(model) == before
    assert state_hash(later) == kept
    np.testing.assert_array_equal(copy.w, rows.w)


def test_ids_stay_with_their_clusters_through_the_starts() -> None:
    x, label, _ = blobs(1200, k=5, d=2, seed=3)
    model, told = Model.new(Spec(5, "full", batch_size=25), 2), []
    for start in range(0, 1200, 25):
        model, _ = learn(model, Rows.of(x[start : start + 25]))
        told.append(posterior(model, x).label)
    settled = list(told[4:])
    for c in range(5):
        assert len({int(np.bincount(t[label == c]).argmax()) for t in settled}) == 1


def test_a_half_life_follows_a_moving_cluster_and_forever_does_not() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1.0, (6000, 1)) + np.linspace(0, 60, 6000)[:, None]
    means = {}
    for name, memory in (("half_life", HalfLife(100.0)), ("window", Window(200)), ("forever", Forever())):
        model, _ = learn(Model.new(Spec(1, "full", memory=memory, batch_size=50), 1), Rows.of(x))
        means[name] = parameters(model).means[0, 0]
    assert abs(means["half_life"] - 58.5) < 1.0
    assert abs(means["window"] - 59.0) < 1.0
    assert means["forever"] < 35.0


def test_a_feature_that_appears_late_is_learned_quickly() -> None:
    x, _, _ = blobs(2000, k=2, d=2, seed=4)
    extra = np.random.default_rng(0).normal(1e4, 5.0, 600)
    for family in ALL_FAMILIES:
        model, _ = learn(Model.new(Spec(2, family, batch_size=20), 2), Rows.of(x[:1400]))
        model, _ = learn(expand(model, 3), Rows.of(np.column_stack([x[1400:], extra])))
        means = parameters(model).means
        assert np.abs(means[:, 2] - 1e4).max() < 5.0, family
        if family in ("diag", "full"):
            sizes = parameters(model).covariances
            late = sizes[..., 2] if family == "diag" else sizes[:, 2, 2]
            assert ((late > 15.0) & (late < 40.0)).all(), family


def test_the_basis_follows_data_that_left_it() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(0, 1.0, (1000, 2)), rng.normal(1e7, 1.0, (9000, 2))])
    model, done = learn(Model.new(Spec(1, "full", memory=HalfLife(100.0), batch_size=20), 2), Rows.of(x))
    assert "rebased" in {change.kind for change in done.changes}
    np.testing.assert_allclose(parameters(model).means[0], 1e7, rtol=1e-6)
    np.testing.assert_allclose(np.diagonal(parameters(model).covariances[0]), 1.0, rtol=0.4)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_moving_and_stretching_the_data_changes_no_label(family: str) -> None:
    x, _, _ = blobs(1000, k=3, d=2, seed=5)
    stretch = np.array([1e-6, 1e6]) if family in ("diag", "tied", "full") else np.array([1e3, 1e3])
    base, _ = learn(Model.new(Spec(3, family), 2), Rows.of(x))
    for moved in (x + 1e8, x * stretch, (x + 1e4) * stretch):
        model, _ = learn(Model.new(Spec(3, family), 2), Rows.of(moved))
        np.testing.assert_array_equal(posterior(model, moved).label, posterior(base, x).label)
        np.testing.assert_allclose(posterior(model, moved).p, posterior(base, x).p, atol=1e-5)


def test_log_densities_are_per_unit_of_the_data() -> None:
    x = oval(2000)
    plain, _ = learn(Model.new(Spec(1, "full"), 3), Rows.of(x))
    grown, _ = learn(Model.new(Spec(1, "full"), 3), Rows.of(x * 1000.0))
    np.testing.assert_allclose(
        posterior(grown, x * 1000.0).log_density,
        posterior(plain, x).log_density - 3 * np.log(1000.0),
        atol=1e-7,
    )
    assert posterior(plain, x).log_density.mean() == pytest.approx(plain.log_likelihood, abs=0.1)


def test_outlier_scores_are_uniform_on_the_models_own_data() -> None:
    x = np.random.default_rng(0).normal(size=(20_000, 3))
    model, _ = learn(Model.new(Spec(1, "full"), 3), Rows.of(x))
    scores = np.sort(posterior(model, x).outlier)
    assert np.abs(scores - np.linspace(0, 1, len(x))).max() < 0.02
    assert posterior(model, [[30.0, 0.0, 0.0]]).outlier[0] > 1.0 - 1e-12


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_outlier_scores_are_uniform_over_components_of_any_size_and_spread(share: float) -> None:
    rng = np.random.default_rng(0)
    spread = rng.choice([0.1, 1.0, 5.0], 20_000, p=[0.6, 0.3, 0.1])
    x = spread[:, None] * rng.normal(size=(20_000, 2)) + 40.0 * np.log10(spread)[:, None]
    model, _ = learn(Model.new(Spec(3, "full"), 2), Rows.of(x))
    scores = np.sort(posterior(model, holes(x, share) if share else x).outlier)
    assert np.abs(scores - np.linspace(0, 1, len(x))).max() < 0.03
    # Far from all, and also where only a rare broad component reaches.
    assert posterior(model, [[1e3, 1e3]]).outlier[0] > 1.0 - 1e-12
    assert posterior(model, [[30.0, 30.0]]).outlier[0] > 0.85


def test_weights_count_like_repeated_rows() -> None:
    x, _, _ = blobs(300, k=2, d=2, seed=1)
    w = np.random.default_rng(0).integers(1, 4, 300).astype(float)
    weighted, _ = flush(learn(Model.new(Spec(2, "full", batch_size=10**6), 2), Rows.of(x, w=w))[0])
    repeated, _ = flush(
        learn(Model.new(Spec(2, "full", batch_size=10**6), 2), Rows.of(np.repeat(x, w.astype(int), axis=0)))[
            0
        ]
    )
    np.testing.assert_allclose(parameters(weighted).means, parameters(repeated).means, rtol=1e-6)
    np.testing.assert_allclose(weighted.moments.mass, repeated.moments.mass, rtol=1e-6)


def test_what_does_not_fit_is_refused_in_one_line() -> None:
    model = Model.new(spec("full"), 2)
    with pytest.raises(ValueError, match="rows have 3 features, expected 2"):
        learn(model, Rows.of(np.zeros((1, 3))))
    with pytest.raises(ValueError, match="x has 3 features, expected 2"):
        posterior(model, np.zeros((1, 3)))
    with pytest.raises(ValueError, match="learned no batch yet"):
        parameters(model)
    with pytest.raises(ValueError, match="fewer than the model's 2"):
        expand(model, 1)
    with pytest.raises(ValueError, match="version 99, expected 1"):
        from_state({"state_version": 99})


def test_health_says_how_it_stands() -> None:
    model, _ = learn(Model.new(Spec(3, "full"), 3), stream(600))
    report = health(model)
    assert report["rows"] == 600
    assert report["pending"] == 600 % 256
    assert 1.0 <= float(report["effective_components"] or 0) <= 3.0 + 1e-9
    assert np.isfinite(float(report["log_likelihood"] or np.nan))


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_seen_while_there_are_fewer_than_components(family: str) -> None:
    model: Model = Model.new(Spec(6, family, batch_size=1), 2)
    points: Array = np.array([[1.0, 1.0], [1.0, 1.0], [9.0, -4.0]])
    for i in range(3):
        model, _ = learn(model, Rows.of(points[i : i + 1]))
        told = posterior(model, points)
        assert np.isfinite(told.p).all()
        assert np.isfinite(told.log_density).all()
        np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("hard", ["soft", "hard"])
def test_judging_and_learning_a_batch_at_once_is_both_in_turn_to_the_last_bit(family: str, hard: str) -> None:
    x, _, _ = blobs(1000, k=3, d=3)
    x = np.where(np.arange(1000)[:, None] < 900, x, holes(x, 0.2))
    rows = Rows.of(x, w=np.random.default_rng(0).uniform(0.5, 2.0, 1000))
    one = two = Model.new(spec(family, assignment=hard), 3)
    for start in range(0, 1000, 50):
        batch = rows[start : start + 50]
        apart = posterior(one, batch.x)
        one, done = learn(one, batch)
        two, at_once, told = judge_batches(two, batch)
        assert state_hash(one) == state_hash(two)
        assert done == at_once
        for name in ("p", "label", "log_density", "outlier"):
            np.testing.assert_array_equal(getattr(told, name), getattr(apart, name))
    with pytest.raises(ValueError, match="0 rows wait and 20 came"):
        judge_batches(two, rows[:20])
