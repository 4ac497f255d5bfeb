"""Rows in any order lead to as good a clustering as rows in random order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import (
    Adaptive,
    HalfLife,
    Model,
    Rows,
    TimeHalfLife,
    Window,
    flush,
    from_state,
    learn,
    merge,
    parameters,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.memory import Memory

from .streams import ALL_FAMILIES, spec

K = 6


def clusters(n: int = 4000, *, in_order: bool, seed: int = 0) -> tuple[Array, Array]:
    """Rows (n, 2) about K centres, in the order of their clusters or not; the centres."""
    rng = np.random.default_rng(seed)
    centres = 12.0 * np.array([[i % 3, i // 3] for i in range(K)], dtype=np.float64)
    label = rng.integers(0, K, n)
    if in_order:
        label = np.sort(label)
    return centres[label] + rng.normal(size=(n, 2)), centres


def after(x: Array, family: str, *, cuts: tuple[int, ...] = (), **choices: object) -> Model:
    """A model that learned the rows, in these pieces."""
    model = Model.new(replace(spec(family, batch_size=64, **choices), n_components=K), x.shape[1])
    for start, stop in zip((0, *cuts), (*cuts, len(x)), strict=True):
        model, _ = learn(model, Rows.of(x[start:stop]))
    return flush(model)[0]


def missed(model: Model, centres: Array) -> int:
    """Centres that no component is near."""
    distances = np.linalg.norm(parameters(model).means[:, None] - centres, axis=2)
    return int((distances.min(axis=0) > 2.0).sum())


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_in_the_order_of_their_clusters_find_all_of_them(family: str) -> None:
    x, centres = clusters(in_order=True)
    model = after(x, family)
    assert missed(model, centres) == 0
    # And every row still counts once.
    assert model.moments.mass.sum() == pytest.approx(len(x), rel=1e-9)
    assert model.learned == model.moments.rows == len(x)


def test_without_reviews_they_do_not() -> None:
    x, centres = clusters(in_order=True)
    model = Model.new(replace(spec("full", batch_size=64), n_components=K), 2)
    for start in range(0, len(x), 64):
        model, _ = learn(replace(model, sample=None), Rows.of(x[start : start + 64]))
    assert missed(flush(model)[0], centres) > 1


@pytest.mark.parametrize("family", ["kmeans", "full"])
def test_rows_in_random_order_are_never_reviewed(family: str) -> None:
    x, _ = clusters(20_000, in_order=False)
    sample = after(x, family).sample
    assert sample is not None
    assert sample.rest == 0


@pytest.mark.parametrize("family", ["kmeans", "full"])
def test_how_rows_are_grouped_changes_no_bit(family: str) -> None:
    x, _ = clusters(in_order=True)
    whole = state_hash(after(x, family))
    for cuts in ((1, 777, 2050), tuple(range(64, 4000, 64)), (3999,)):
        assert state_hash(after(x, family, cuts=cuts)) == whole


def test_components_that_come_get_new_ids_and_are_told() -> None:
    x, _ = clusters(in_order=True)
    model = Model.new(replace(spec("full", batch_size=64), n_components=K), 2)
    seen, alive = set(model.components), set(model.components)
    for start in range(0, len(x), 100):
        model, done = learn(model, Rows.of(x[start : start + 100]))
        for change in done.changes:
            if change.kind == "split":
                assert change.component not in seen
                assert set(change.parents) <= seen
            if change.kind in ("split", "born"):
                seen.add(change.component)
                alive.add(change.component)
            elif change.kind == "died":
                alive.remove(change.component)
            elif change.kind == "merged":
                alive -= set(change.parents[1:])
        assert set(model.components) == alive
    assert len(seen) > K


@pytest.mark.parametrize("at", [700, 2001, 3333])
def test_a_state_goes_on_as_the_model_would_have(at: int) -> None:
    x, _ = clusters(in_order=True)
    model = after(x[:at], "full")
    again = from_state(to_state(model))
    assert state_hash(again) == state_hash(model)
    rest = Rows.of(x[at:])
    assert state_hash(learn(again, rest)[0]) == state_hash(learn(model, rest)[0])


def test_missing_values_and_weights_and_forgetting_are_reviewed_too() -> None:
    x, centres = clusters(8000, in_order=True)
    rng = np.random.default_rng(1)
    holes = np.where(rng.random(x.shape) < 0.1, np.nan, x)
    holes[np.isnan(holes).all(axis=1), 0] = 0.0
    model = Model.new(replace(spec("diag", batch_size=64, memory=HalfLife(6000.0)), n_components=K), 2)
    model, _ = learn(model, Rows.of(holes, rng.uniform(0.5, 2.0, len(x))))
    assert missed(model, centres) <= 1
    assert np.isfinite(parameters(model).means).all()


def test_merged_models_share_a_sample_and_go_on() -> None:
    x, centres = clusters(in_order=False)
    ours, theirs = after(x[:2500], "full"), after(x[2500:], "full")
    both, _ = merge(ours, theirs)
    assert both.sample is not None
    assert both.sample.last >= both.learned
    more, _ = clusters(3000, in_order=True, seed=1)
    assert missed(learn(both, Rows.of(more))[0], centres) == 0


def test_weights_far_apart_are_no_reason_for_a_review() -> None:
    x, _ = clusters(20_000, in_order=False)
    w = np.exp(2.0 * np.random.default_rng(0).normal(size=len(x)))
    model = Model.new(replace(spec("full", batch_size=64), n_components=K), 2)
    model, _ = learn(model, Rows.of(x, w))
    assert model.sample is not None
    assert model.sample.rest == 0
    # Nor does their scale say how many rows there were.
    light = np.where(np.arange(len(x)) < 10_000, 1e-6, 1.0)
    model, _ = learn(Model.new(model.spec, 2), Rows.of(x, light))
    assert model.sample is not None
    assert model.sample.last < 25_000


@pytest.mark.parametrize("memory", [Window(3000), TimeHalfLife(100.0), Adaptive.suited(K, 64)])
def test_where_reviews_know_too_little_no_sample_is_kept(memory: Memory) -> None:
    x, _ = clusters(in_order=False)
    model = Model.new(replace(spec("full", batch_size=64, memory=memory), n_components=K), 2)
    assert learn(model, Rows.of(x, t=np.arange(4000.0)))[0].sample is None


def test_ids_are_new_after_a_merge_and_a_review_too() -> None:
    x, _ = clusters(in_order=False)
    half = replace(spec("full", batch_size=64), n_components=3)
    ours, _ = learn(Model.new(half, 2), Rows.of(x[x[:, 1] < 6.0]))
    theirs, _ = learn(Model.new(half, 2), Rows.of(x[x[:, 1] >= 6.0]))
    model, _ = merge(ours, theirs, K)
    assert sorted(model.components) == list(range(K))
    later, _ = clusters(12_000, in_order=True, seed=3)
    for start in range(0, len(later), 100):
        model, _ = learn(model, Rows.of(100.0 + later[start : start + 100]))
        assert len(set(model.components)) == model.k
    assert max(model.components) >= K


def test_one_row_far_out_does_not_lead_the_review_astray() -> None:
    x, centres = clusters(in_order=True)
    x[1500] = 1e12
    assert missed(after(x, "full"), centres) <= 1
