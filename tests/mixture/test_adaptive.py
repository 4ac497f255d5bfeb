"""A memory that finds its half-life: laws of its records, and what it chooses where streams stand or move."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import (
    Adaptive,
    Forever,
    HalfLife,
    Model,
    Moments,
    Rows,
    Spec,
    Window,
    estimate,
    expand,
    flush,
    from_state,
    learn,
    merge,
    posterior,
    shards,
    state_hash,
    to_state,
)
from stream_mix.mixture.adaptive import ENOUGH, Choice, decided, half_life_of, judged_anew, levelled
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.following import going_on
from stream_mix.protocol.codec import pack_state, unpack_state

from .lively import ISAS, assert_like, begun, on, reference
from .naive import same_moments
from .streams import ALL_FAMILIES, blobs, holes, oval

LADDER = Adaptive((16.0, 64.0, 256.0, math.inf))


def jump(n: int, at: int, seed: int = 0) -> Array:
    """Rows (n, 2) about three centres that all move at once, before row `at`."""
    x, _, _ = blobs(n, 3, 2, seed)
    moved = np.array([[20.0, -17.0]]) * (np.arange(n) >= at)[:, None]
    found: Array = x + moved
    return found


def moving(n: int, seed: int = 0) -> Array:
    """Rows (n, 2) of two round clusters that go about each other, and never stand."""
    rng = np.random.default_rng(seed)
    angle = np.arange(n) / 250.0 + math.pi * rng.integers(0, 2, n)
    return 5.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(size=(n, 2))


def assert_chosen_alike(one: Choice | None, other: Choice | None) -> None:
    assert one is not None
    assert other is not None
    assert replace(one, evidence=(), weighed=(0, 0)) == replace(other, evidence=(), weighed=(0, 0))
    np.testing.assert_allclose(one.evidence, other.evidence, atol=1e-7)
    np.testing.assert_allclose(one.weighed, other.weighed, rtol=1e-10)


def told(model: Model, x: Array, size: int = 64) -> tuple[Model, list[tuple[int, str]], list[int]]:
    """The model after rows that came in groups, drifts, and the record in use after each group."""
    changes, chosen = [], []
    for start in range(0, len(x), size):
        model, done = learn(model, Rows.of(x[start : start + size]))
        changes += [(change.offset, change.kind) for change in done.changes if change.kind == "drift"]
        chosen.append(-1 if model.choice is None else model.choice.chosen)
    return model, changes, chosen


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [5, 32])
@pytest.mark.parametrize(("rate", "same"), [(50.0, HalfLife(50.0)), (math.inf, Forever())])
def test_one_rate_is_that_memory_to_the_bit(
    family: str, batch_size: int, rate: float, same: HalfLife | Forever
) -> None:
    x = jump(800, 600)
    with reference():
        mine, theirs = (
            learn(Model.new(Spec(3, family, memory=memory, batch_size=batch_size), 2), Rows.of(x))[0]
            for memory in (Adaptive((rate,)), same)
        )
    for name in ("mass", "seen", "mean", "scatter"):
        np.testing.assert_array_equal(getattr(mine.moments, name), getattr(theirs.moments, name), name)
    assert mine.evidence == theirs.evidence


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_stream_that_stands_is_learned_as_if_for_ever_to_the_bit(family: str) -> None:
    x, _, _ = blobs(6000, 3, 2)
    with reference():
        mine, changes, chosen = told(Model.new(Spec(3, family, memory=LADDER, batch_size=64), 2), x)
        theirs, _ = learn(Model.new(Spec(3, family, batch_size=64), 2), Rows.of(x))
    assert not changes
    assert set(chosen) <= {-1, 4}
    assert mine.moments.mass.sum() > 5000
    np.testing.assert_array_equal(mine.moments.mean, theirs.moments.mean)
    np.testing.assert_array_equal(mine.moments.scatter, theirs.moments.scatter)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [4, 16])
def test_a_jump_is_one_drift_soon_after_and_then_memory_grows_again(family: str, batch_size: int) -> None:
    spec = Spec(3, family, memory=LADDER, batch_size=batch_size)
    model, changes, chosen = told(Model.new(spec, 2), jump(6000, 2400), 16)
    assert [kind for _, kind in changes] == ["drift"]
    assert 2400 < changes[0][0] <= 2500
    # Before it all counts for ever, soon after it next to nothing of before, and in the end again nearly all.
    assert chosen[2399 // 16] == 4
    shortest = min(half_life_of(LADDER, Choice(record, ())) for record in chosen[2400 // 16 :])
    assert shortest <= 64.0
    assert chosen[-1] >= 2
    _, _, centres = blobs(10, 3, 2)
    means = model.basis.backward(model.moments.mean)
    distances = np.linalg.norm(means[:, None] - (centres + np.array([20.0, -17.0])), axis=2)
    assert (distances.min(axis=1) < 1.0).all()
    assert 200 < model.moments.mass.sum() < 3700


def test_clusters_on_the_move_are_followed() -> None:
    x = moving(6000)
    model = Model.new(Spec(2, memory=Adaptive.suited(2, 4), batch_size=4), 2)
    model, changes, _ = told(model, x, 4)
    assert 1 <= len(changes) <= 4
    assert half_life_of(model.spec.memory, model.choice) < 500
    angle = 6000 / 250.0
    ends = 5.0 * np.array([[math.cos(angle), math.sin(angle)], [-math.cos(angle), -math.sin(angle)]])
    means = model.basis.backward(model.parameters.means)
    assert (np.linalg.norm(means[:, None] - ends, axis=2).min(axis=1) < 1.5).all()


@pytest.mark.parametrize("family", ["kmeans", "full"])
@pytest.mark.parametrize("batch_size", [4, 9])
def test_how_rows_come_in_groups_changes_no_bit(family: str, batch_size: int) -> None:
    x = jump(1200, 800)
    x[400:440, 1] = np.nan
    models = []
    for size in (1, 37, 1200):
        spec = Spec(3, family, memory=LADDER, batch_size=batch_size)
        models.append(flush(told(Model.new(spec, 2), x, size)[0])[0])
    assert len(set(map(state_hash, models))) == 1
    assert models[0].choice is not None
    assert models[0].choice.drifted


@pytest.mark.parametrize("rows", [300, 700, 1000])
def test_a_state_goes_on_as_the_model_would(rows: int) -> None:
    x = jump(1200, 600)
    model, _, _ = told(Model.new(Spec(3, "diag", memory=LADDER, batch_size=8), 2), x[:rows])
    again = from_state(unpack_state(pack_state(to_state(model))))
    assert state_hash(again) == state_hash(model)
    assert again.choice == model.choice
    after, other = (learn(one, Rows.of(x[rows:]))[0] for one in (model, again))
    assert state_hash(after) == state_hash(other)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_row_by_row_compiled_is_what_learn_does(isa: str, family: str) -> None:
    x = jump(480, 300, seed=2)
    model = begun(family, LADDER, x[:200])
    weighted = Rows.of(x[200:], w=np.random.default_rng(0).uniform(0.5, 2.0, 280))
    with reference():
        slow, _ = learn(model, weighted)
    fast, left = on(isa, model, weighted)
    assert not left
    assert slow.choice is not None
    assert fast.choice is not None
    assert_chosen_alike(fast.choice, slow.choice)
    assert slow.choice.same_until > 500
    for i in range(len(slow.store)):
        one, other = (replace(m, store=(m.store[i],), choice=None) for m in (fast, slow))
        assert_like(one, other, 1e-8)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [16, 80])
def test_batch_after_batch_compiled_is_what_learn_does(family: str, batch_size: int) -> None:
    x = jump(2240, 1200, seed=2)
    model, _, _ = told(Model.new(Spec(3, family, memory=LADDER, batch_size=batch_size), 2), x[:640])
    weighted = Rows.of(x[640:], w=np.random.default_rng(0).uniform(0.5, 2.0, 1600))
    with reference():
        slow, slowly = learn(model, weighted)
    fast, quickly = learn(model, weighted)
    assert slow.choice is not None
    assert fast.choice is not None
    assert_chosen_alike(fast.choice, slow.choice)
    assert (quickly.changes, quickly.rows) == (slowly.changes, slowly.rows)
    assert [change.kind for change in quickly.changes] == ["drift"]
    for i in range(len(slow.store)):
        one, other = (replace(m, store=(m.store[i],), choice=None) for m in (fast, slow))
        assert_like(one, other, 1e-8)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ["diag", "full"])
def test_rows_with_holes_are_learned_alike_row_by_row(isa: str, family: str) -> None:
    x = holes(oval(120), 0.2)
    model = begun(family, LADDER, oval(200, 1))
    with reference():
        slow, _ = learn(model, Rows.of(x))
    fast, left = on(isa, model, Rows.of(x))
    assert (left > 0) == (family == "full")
    for i in range(len(slow.store)):
        one, other = (replace(m, store=(m.store[i],), choice=None) for m in (fast, slow))
        assert_like(one, other, 1e-8)


@pytest.mark.parametrize("isa", ISAS)
def test_the_basis_moves_under_all_records_alike(isa: str) -> None:
    x = np.concatenate([blobs(300)[0], blobs(300, seed=1)[0] * 1e-3 + 1e4])
    model = begun("full", LADDER, x[:300])
    with reference():
        slow, _ = learn(model, Rows.of(x[300:]))
    fast, left = on(isa, model, Rows.of(x[300:]))
    assert not left
    assert not slow.basis.same(model.basis)
    np.testing.assert_allclose(fast.basis.scale, slow.basis.scale, rtol=1e-6)
    assert all(record.basis.same(fast.basis) for record in fast.store)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_levelled_record_has_equal_weights_and_one_variance_a_feature(family: str) -> None:
    x, label, _ = blobs(500)
    x = np.concatenate([x, x[label == 0]]) * [1.0, 3.0]
    model, _ = learn(Model.new(Spec(3, family, batch_size=100), 2), Rows.of(x))
    found = estimate(model.spec.family_value, levelled(model.moments), model.spec.prior)
    np.testing.assert_allclose(found.weights, 1.0 / 3.0, rtol=1e-9)
    np.testing.assert_array_equal(found.means, model.moments.mean)
    variances = np.diagonal(found.matrices, axis1=1, axis2=2)
    np.testing.assert_allclose(variances, np.tile(variances[0], (3, 1)), rtol=1e-9)
    off = found.matrices - variances[:, :, None] * np.eye(2)
    assert np.abs(off).max() < 1e-12
    # What it does not change is the spread of all components together.
    shape = model.moments.shape_of_scatter
    before, after = (shape.variances(m.scatter, 3).sum() for m in (model.moments, levelled(model.moments)))
    assert after == pytest.approx(before, rel=1e-9)


def test_no_row_speaks_for_more_than_its_share() -> None:
    choice = Choice(2, (0.0, 1.0, 0.0))
    told = [np.array([1e9, 1.0]), np.array([-1e9]), np.zeros(2)]
    found = judged_anew(choice, told, np.array([1.0, 0.5]))
    assert found.evidence == (2.0 + 0.5 / 0.75, 0.0, 0.0)
    assert found.chosen == 2


@pytest.mark.parametrize("factor", [2.0**-40, 0.25, 8.0])
def test_weights_say_what_rows_count_beside_each_other(factor: float) -> None:
    rng = np.random.default_rng(0)
    plain = scaled = Choice(2, (0.0, 1.0, 0.0))
    for _ in range(5):
        w, foretold = rng.exponential(size=4), list(rng.normal([[0.5], [0.5], [0.0]], 1.0, (3, 4)))
        plain, scaled = (judged_anew(c, foretold, f * w) for c, f in ((plain, 1.0), (scaled, factor)))
    assert plain.evidence == scaled.evidence
    assert max(plain.evidence) > 0.0


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize("compiled", [True, False])
def test_heavy_rows_of_a_stream_that_stands_are_no_drift(batch_size: int, compiled: bool) -> None:
    rows = Rows.of(blobs(2500, 3, 2, 5, spread=3.0)[0], w=np.full(2500, 10.0))
    spec = Spec(3, memory=Adaptive((24.0, 96.0, 384.0, math.inf)), batch_size=batch_size)
    with nullcontext() if compiled else reference():
        model, learned = learn(Model.new(spec, 2), rows)
    assert "drift" not in [change.kind for change in learned.changes]
    assert model.choice is not None
    assert not model.choice.drifted


def test_records_go_on_from_the_one_that_took_over() -> None:
    model, _, _ = told(Model.new(Spec(3, "diag", memory=LADDER, batch_size=8), 2), blobs(600)[0])
    store = tuple(replace(record, rows=i) for i, record in enumerate(model.store))

    def taken(
        best: int, old: int, drifted: bool = False, same_until: int = 0
    ) -> tuple[list[int], int, bool, bool]:
        nats = tuple(ENOUGH + 1.0 if i == best else 0.0 for i in range(5))
        after, choice, drift = decided(LADDER, store, Choice(old, nats, drifted, same_until), 1000)
        assert choice.same_until == (1256 if drift else same_until)
        return [record.rows for record in after], choice.chosen, choice.drifted, drift

    assert taken(2, 4) == ([0, 1, 2, 2, 2], 2, True, True)
    assert taken(1, 2, drifted=True) == ([0, 1, 1, 1, 1], 1, True, False)
    assert taken(1, 2, same_until=1001) == ([0, 1, 1, 1, 1], 1, True, False)
    assert taken(1, 2, same_until=1000) == ([0, 1, 1, 1, 1], 1, True, True)
    assert taken(3, 1, drifted=True) == ([0, 1, 2, 3, 4], 3, False, False)
    assert taken(0, 1) == ([0] * 5, 0, False, False)
    assert taken(0, 4) == ([0] * 5, 0, True, True)
    assert taken(1, 0, drifted=True) == ([0, 1, 2, 3, 4], 1, True, False)
    assert decided(LADDER, store, Choice(4, (ENOUGH,) * 5), 1000)[0] is store


def test_shards_merged_again_are_one_stream() -> None:
    x, _, _ = blobs(1200)
    model, _, _ = told(Model.new(Spec(3, memory=LADDER, batch_size=8), 2), x[:600])
    one, two = shards(model, 2)
    one, _ = learn(one, Rows.of(x[600:904]))
    two, _ = learn(two, Rows.of(x[904:]))
    both, merged = merge(one, two)
    assert merged.exact
    assert both.learned == 1200
    assert both.choice is not None
    assert both.choice.evidence == (0.0,) * 5
    for record, a, b in zip(both.store, one.store, two.store, strict=True):
        assert same_moments(record, a.add(b))


def test_models_that_started_apart_are_matched_record_by_record() -> None:
    x, _, _ = blobs(1400)
    spec = Spec(3, memory=LADDER, batch_size=8)
    one, two = (told(Model.new(spec, 2), part)[0] for part in (x[:704], x[704:]))
    both, merged = merge(one, two)
    assert not merged.exact
    assert merged.loss < 0.1
    assert [len(both.store), both.moments.k] == [5, 3]
    assert both.moments.mass.sum() == pytest.approx(one.moments.mass.sum() + two.moments.mass.sum())


def test_features_that_appear_later_are_learned_by_all_records() -> None:
    x = oval(1200)
    model, _, _ = told(Model.new(Spec(2, memory=LADDER, batch_size=8), 2), x[:600, :2])
    model = expand(model, 3)
    model, _ = learn(model, Rows.of(x[600:]))
    assert all(record.seen[:, 2].sum() > 0 for record in model.store)
    found = posterior(model, x)
    assert np.isfinite(found.log_density).all()


@pytest.mark.parametrize("memory", [HalfLife(100.0), Window(500), Forever()])
def test_memories_begin_and_cease_to_stand_side_by_side(memory: HalfLife | Window | Forever) -> None:
    x, _, _ = blobs(1600)
    spec = Spec(3, memory=memory, batch_size=8)
    model, _ = learn(Model.new(spec, 2), Rows.of(x[:800]))
    before = model.moments
    model = going_on(model, replace(spec, memory=LADDER))
    assert same_moments(model.moments, before)
    assert all(record.mass.sum() <= 16.0 / math.log(2.0) + 1e-9 for record in model.store[:2])
    model, _ = learn(model, Rows.of(x[800:1200]))
    held = model.moments
    model = going_on(model, replace(spec, memory=memory))
    assert same_moments(model.moments, held)
    model, _ = learn(model, Rows.of(x[1200:]))
    assert model.learned == 1600


def test_the_ladder_follows_components_and_batches() -> None:
    assert Adaptive.suited(15, 1).rates == (240.0, 960.0, 3840.0, 15360.0, math.inf)
    assert Adaptive.suited(2, 256).rates[0] == 128.0
    assert [isinstance(memory, Forever) for memory in LADDER.memories] == [False] * 4 + [True]


@pytest.mark.parametrize("rates", [(), (4.0, 4.0), (9.0, 3.0), (0.0, 1.0), (-1.0,), (math.nan, 2.0)])
def test_rates_that_do_not_rise_are_refused(rates: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected rising numbers of rows > 0"):
        Adaptive(rates)


def test_moments_of_nothing_can_be_levelled() -> None:
    model, _, _ = told(Model.new(Spec(3, memory=LADDER, batch_size=8), 2), blobs(600)[0])
    nothing = Moments.zeros("full", model.basis, 3)
    assert not levelled(nothing).mass.any()
