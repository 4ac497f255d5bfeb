"""Memories keep what they say: compared with weights computed from the whole history."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stream_mix.mixture import Basis, Forever, HalfLife, Memory, Moments, TimeHalfLife, Window
from stream_mix.mixture.memory import Store, total

from .naive import same_moments

BASIS = Basis(np.zeros(1), np.ones(1))


def history(memory: Memory, x: np.ndarray, t: np.ndarray, cuts: list[int]) -> Moments:
    """What a memory holds after the rows came in batches that end at the cuts."""
    store: Store = ()
    before, seen = math.nan, 0
    for part in np.split(np.arange(len(x)), cuts):
        if not len(part):
            continue
        now = float(np.fmax.reduce(t[part], initial=before))
        w = memory.row_weights(t[part], now, seen)
        r = np.ones((len(part), 1)) if w is None else w[:, None]
        store = memory.fold(store, Moments.of_rows("diag", BASIS, x[part], r), before, now)
        before, seen = now, seen + len(part)
    return memory.told(store)


def weighted(x: np.ndarray, w: np.ndarray) -> Moments:
    return Moments.of_rows("diag", BASIS, x, w[:, None])


cuts = st.lists(st.integers(0, 40), max_size=6).map(sorted)


@given(cuts=cuts, seed=st.integers(0, 99))
def test_forever_is_a_plain_sum(cuts: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(40, 1))
    assert same_moments(history(Forever(), x, np.full(40, np.nan), cuts), weighted(x, np.ones(40)))


@given(cuts=cuts, seed=st.integers(0, 99), rows=st.floats(2.5, 100.0))
def test_a_half_life_halves_whatever_the_batches(cuts: list[int], seed: int, rows: float) -> None:
    x = np.random.default_rng(seed).normal(size=(40, 1))
    ages = np.arange(39, -1, -1)
    assert same_moments(
        history(HalfLife(rows), x, np.full(40, np.nan), cuts), weighted(x, 2.0 ** (-ages / rows)), 1e-9
    )


@given(cuts=cuts, seed=st.integers(0, 99), seconds=st.floats(4.0, 100.0))
def test_a_half_life_in_event_time_takes_late_rows_at_what_they_count_by_now(
    cuts: list[int], seed: int, seconds: float
) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(40, 1)), 1.7e9 + np.cumsum(rng.exponential(1.0, 40)) + rng.normal(0, 3.0, 40)
    assert same_moments(
        history(TimeHalfLife(seconds), x, t, cuts), weighted(x, 2.0 ** (-(t.max() - t) / seconds)), 1e-7
    )


def test_rows_without_a_time_count_as_of_now() -> None:
    t = np.array([10.0, np.nan, 20.0])
    np.testing.assert_allclose(TimeHalfLife(10.0).row_weights(t, 20.0, 0), [0.5, 1.0, 1.0])
    np.testing.assert_allclose(TimeHalfLife(10.0).row_weights(np.full(2, np.nan), math.nan, 0), [1.0, 1.0])


@given(rows=st.integers(1, 60), step=st.integers(1, 9), n=st.integers(1, 200))
def test_a_window_holds_the_last_rows_to_within_a_bucket(rows: int, step: int, n: int) -> None:
    assume(step <= rows)
    memory = Window(rows)
    x = np.arange(n, dtype=np.float64)[:, None]
    held = history(memory, x, np.full(n, np.nan), list(range(step, n, step)))
    least, most = min(n, rows), rows + max(memory.bucket, step) + step
    assert least <= held.rows <= most
    last = x[n - held.rows :]
    assert held.mean[0, 0] == pytest.approx(last.mean())
    assert held.scatter[0, 0] == pytest.approx(((last - last.mean()) ** 2).sum(), abs=1e-6)


def test_a_batch_larger_than_the_window_keeps_only_its_end() -> None:
    np.testing.assert_array_equal(Window(2).row_weights(np.zeros(4), 0.0, 0), [0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, True])
def test_senseless_lengths_are_refused(value: float) -> None:
    for memory, name in ((HalfLife, "half_life"), (TimeHalfLife, "time_half_life"), (Window, "window")):
        with pytest.raises(ValueError, match=name):
            memory(value)


def test_a_length_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="half_life is '60'"):
        HalfLife("60")  # type: ignore[arg-type]  # wrong on purpose


def test_a_window_of_no_whole_number_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"window is 0\.5, expected an integer"):
        Window(0.5)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("kind", ["diag", "tied", "full"])
@pytest.mark.parametrize("memory", [HalfLife(1.0), TimeHalfLife(1.0)])
def test_what_is_all_but_forgotten_keeps_its_shape(kind: str, memory: Memory) -> None:
    basis = Basis(np.zeros(2), np.ones(2))
    z = np.random.default_rng(0).normal(size=(40, 2)) + 3.0
    before = Moments.of_rows(kind, basis, z, np.ones((40, 1)))
    nothing = Moments.zeros(kind, basis, 1)
    after = total(memory.fold((before,), replace(nothing, rows=5000), 0.0, 5000.0))
    assert after.mass[0] == 1e-6
    np.testing.assert_array_equal(after.mean, before.mean)
    np.testing.assert_allclose(after.scatter / after.mass[0], before.scatter / before.mass[0])
    np.testing.assert_array_equal(after.seen, np.full((1, 2), after.mass[0]))
