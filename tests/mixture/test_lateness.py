"""The bound on lateness: decided by the rows and their order alone."""

from __future__ import annotations

import itertools
import math

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
    from_state,
    health,
    learn,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array, Bools
from stream_mix.mixture.lateness import late, stretches

from .streams import spec

MEMORIES: list[Memory] = [
    Forever(), HalfLife(300.0), TimeHalfLife(60.0), Window(400),
    Decreasing(0.7, 200.0), Averaged(0.6, 200.0),
]  # fmt: skip


def one_by_one(t: Array, lateness: float) -> list[bool]:
    newest, out = -math.inf, []
    for when in t.tolist():
        out.append(when < newest - lateness)
        newest = max(newest, when) if when == when else newest
    return out


def stream(n: int, seed: int, share: float = 0.2) -> Rows:
    """Rows of which a share is late by up to 100 s, and some have no time."""
    rng = np.random.default_rng(seed)
    t = 1.7e9 + np.arange(float(n)) - np.where(rng.random(n) < share, rng.uniform(0, 100, n), 0.0)
    t[rng.random(n) < 0.1] = np.nan
    return Rows.of(rng.choice([0.0, 9.0], (n, 1)) + rng.normal(size=(n, 2)), rng.uniform(0.5, 2.0, n), t)


def kept(rows: Rows, out: Bools) -> Rows:
    return Rows(rows.x[~out], rows.w[~out], rows.t[~out])


times = st.lists(st.one_of(st.just(math.nan), st.floats(-50.0, 50.0)), max_size=30)


@given(t=times, lateness=st.floats(0.0, 60.0), at=st.integers(0, 30))
def test_agrees_with_one_row_at_a_time_wherever_the_stream_is_cut(
    t: list[float], lateness: float, at: int
) -> None:
    x = np.array(t, dtype=np.float64)
    slow = np.array(one_by_one(x, lateness), dtype=bool)
    newest = float(np.fmax.reduce(x[:at], initial=math.nan))
    assert [*late(x[:at], math.nan, lateness), *late(x[at:], newest, lateness)] == slow.tolist()
    # What was left out changes nothing, and nothing else is left out when it is gone.
    assert not late(x[~slow], math.nan, lateness).any()
    told = [behind for stretch, behind in stretches(slow) for _ in range(stretch.start, stretch.stop)]
    assert told == slow.tolist()


@pytest.mark.parametrize("memory", MEMORIES, ids=lambda memory: type(memory).__name__)
@pytest.mark.parametrize("batch_size", [1, 50])
@settings(max_examples=3)
@given(cuts=st.lists(st.integers(0, 700), max_size=6).map(sorted), seed=st.integers(0, 9))
def test_a_stream_with_late_rows_is_the_stream_without_them(
    memory: Memory, batch_size: int, cuts: list[int], seed: int
) -> None:
    rows = stream(700, seed)
    choices = spec("diag", memory=memory, batch_size=batch_size, lateness=20.0, n_components=2)
    model = Model.new(choices, 2)
    for start, stop in itertools.pairwise([0, *cuts, 700]):
        model, _ = learn(model, rows[start:stop])
        model = from_state(to_state(model))
    out = np.array(one_by_one(rows.t, 20.0))
    assert model.late == out.sum() > 50
    without, _ = learn(Model.new(choices, 2), kept(rows, out))
    assert without.late == 0
    assert state_hash(model) != state_hash(without)
    assert to_state(model)["learned"] == without.learned
    for bucket, other in zip(model.store, without.store, strict=True):
        for name in ("mass", "seen", "mean", "scatter"):
            np.testing.assert_array_equal(getattr(bucket, name), getattr(other, name))


def test_the_count_is_told_and_is_part_of_the_state() -> None:
    rows = stream(900, 1)
    model, _ = learn(Model.new(Spec(2, lateness=20.0), 2), rows)
    assert health(model)["late"] == model.late > 0
    again = from_state(to_state(model))
    assert (again.late, again.spec) == (model.late, model.spec)
    assert state_hash(again) == state_hash(model)


def test_without_a_bound_no_row_is_late_and_states_are_what_they_were() -> None:
    model, _ = learn(Model.new(Spec(2), 2), stream(900, 1))
    state = to_state(model)
    assert model.learned + len(model.pending) == 900
    assert "late" not in state
    assert "lateness" not in state["spec"]
    assert from_state(state).spec.lateness is None


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, True, "60"])
def test_a_bound_that_makes_no_sense_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="lateness is"):
        Spec(2, lateness=value)  # type: ignore[arg-type]  # wrong on purpose
