"""Decreasing steps and the average of the second half, beside the recursion on normalised statistics."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture import (
    FAMILIES,
    Averaged,
    Basis,
    Decreasing,
    Forever,
    Memory,
    Model,
    Moments,
    Parameters,
    Rows,
    Spec,
    flush,
    from_state,
    learn,
    merge,
    posterior,
    shards,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.batch import from_parameters
from stream_mix.mixture.memory import Store
from stream_mix.mixture.steps import stepping

from .naive import same_moments
from .streams import blobs
from .test_memory import cuts, history

BASIS = Basis(np.zeros(1), np.ones(1))
exponents = st.floats(0.51, 1.0)


def weighted(x: Array, w: Array) -> Moments:
    return Moments.of_rows("diag", BASIS, x, w[:, None])


@given(cuts=cuts, seed=st.integers(0, 99), exponent=exponents, rows=st.floats(1.0, 50.0))
def test_steps_are_those_of_normalised_statistics_whatever_the_batches(
    cuts: list[int], seed: int, exponent: float, rows: float
) -> None:
    x = np.random.default_rng(seed).normal(size=(40, 1))
    # What rows count by the definition: a step 1 / N on what was worth N - 1 and is worth N.
    worth = [rows * (1.0 + n / rows) ** exponent for n in range(41)]
    w = np.zeros(40)
    for n in range(40):
        w[:n] *= (worth[n + 1] - 1.0) / worth[n]
        w[n] = 1.0
    held = history(Decreasing(exponent, rows), x, np.full(40, np.nan), cuts)
    assert same_moments(held, weighted(x, w), 1e-9)


@given(seed=st.integers(0, 99), exponent=exponents, t0=st.integers(2, 20), size=st.integers(1, 9))
def test_from_what_it_is_worth_on_a_step_is_that_of_cappe_and_moulines(
    seed: int, exponent: float, t0: int, size: int
) -> None:
    """Row by row, s <- (1 - g) s + g (x, x^2) with g = (t + t0)^-exponent times t0^(exponent - 1)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(9 * size, 1))
    memory = Decreasing(exponent, float(t0))
    first, second = 0.3, 1.7
    begun = weighted(np.array([[first]]), np.array([float(t0)]))
    store: Store = (replace(begun, scatter=np.array([[t0 * (second - first**2)]]), rows=0),)
    for t in range(0, len(x), size):
        part = x[t : t + size]
        w = memory.row_weights(np.zeros(size), 0.0, t)
        assert w is not None
        store = memory.fold(store, replace(weighted(part, w), rows=size), 0.0, 0.0)
    for t, value in enumerate(x[:, 0], start=1):
        g = t0 ** (exponent - 1.0) * (t + t0) ** -exponent
        first, second = (1 - g) * first + g * value, (1 - g) * second + g * value**2
    (held,) = store
    assert held.mean[0, 0] == pytest.approx(first, abs=1e-10)
    assert held.scatter[0, 0] / held.mass[0] == pytest.approx(second - first**2, abs=1e-10)
    assert held.mass[0] == pytest.approx(memory.span(len(x)))


@given(cuts=cuts, seed=st.integers(0, 99), rows=st.integers(1, 50))
def test_with_exponent_one_steps_are_plain_summation(cuts: list[int], seed: int, rows: int) -> None:
    x = np.random.default_rng(seed).normal(size=(40, 1))
    none = np.full(40, np.nan)
    assert same_moments(history(Decreasing(1, rows), x, none, cuts), history(Forever(), x, none, cuts))


@given(seed=st.integers(0, 99), exponent=exponents, doublings=st.integers(0, 5), size=st.integers(1, 5))
def test_what_is_said_is_the_average_over_the_second_half(
    seed: int, exponent: float, doublings: int, size: int
) -> None:
    """Exactly so when batches have doubled; kept the slow way: all statistics that ever were."""
    n = 2**doublings
    x = np.random.default_rng(seed).normal(size=(n * size, 1))
    memory, steps = Averaged(exponent, 8.0), Decreasing(exponent, 8.0)
    store: Store = ()
    alone: Store = ()
    left = []
    for t in range(n):
        w = memory.row_weights(np.zeros(size), 0.0, t * size)
        assert w is not None
        batch = replace(weighted(x[t * size : (t + 1) * size], w), rows=size)
        store, alone = (one.fold(old, batch, 0.0, 0.0) for one, old in ((memory, store), (steps, alone)))
        (now,) = alone
        mean = now.mean[0, 0]
        left.append((mean, now.scatter[0, 0] / now.mass[0] + mean**2, batch.mass[0]))
    half = np.array(left[n // 2 :] or left)
    mean, square = half[:, 2] @ half[:, :2] / half[:, 2].sum()
    told = memory.told(store)
    assert told.mean[0, 0] == pytest.approx(mean)
    assert told.scatter[0, 0] / told.mass[0] == pytest.approx(square - mean**2, abs=1e-9)
    assert (told.rows, len(store)) == (n * size, 3)
    assert same_moments(store[0], alone[0])


@given(n=st.integers(2, 300))
def test_an_average_has_the_mass_of_half_the_rows_and_reaches_no_further_back_than_the_last_quarter_but_one(
    n: int,
) -> None:
    memory = Averaged(1.0, 1.0)
    store: Store = ()
    for t in range(n):
        # A statistic that is its own number: the mean of the average says which were taken.
        batch = replace(weighted(np.array([[float(t)]]), np.ones(1)), rows=1)
        store = memory.fold(store, batch, 0.0, 0.0)
    older, newer = store[1], store[2]
    assert memory.told(store).mass.sum() == pytest.approx(n / 2)
    assert n / 2 <= older.rows + newer.rows <= max(0.75 * n + 1, 1)


CENTRES = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])


def drawn(n: int, seed: int) -> tuple[Array, Array]:
    """Rows (n, 2) about three centres, and the log density that they really have."""
    rng = np.random.default_rng(seed)
    x = CENTRES[rng.integers(0, 3, n)] + rng.normal(size=(n, 2))
    densities = np.exp(-0.5 * np.square(x[:, None] - CENTRES).sum(axis=2)).sum(axis=1) / (6.0 * np.pi)
    return x, np.log(densities)


def lost(memory: Memory, means: Array, variance: float) -> float:
    """Nats a row by which fresh rows are less likely than under the truth, after one pass over 20,000 that
    began with these means (3, 2) and a variance for all."""
    start = Parameters(FAMILIES["full"], np.full(3, 1 / 3), means, variance * np.tile(np.eye(2), (3, 1, 1)))
    spec = Spec(n_components=3, memory=memory, batch_size=64)
    model, _ = learn(from_parameters(start, spec, 64.0), Rows.of(drawn(20_000, 0)[0]))
    fresh, exact = drawn(20_000, 1)
    return float((exact - posterior(flush(model)[0], fresh).log_density).mean())


def test_a_poor_start_is_forgotten_by_decreasing_steps_and_by_their_average() -> None:
    means = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 3.0]])
    plain, steps, average = (
        lost(memory, means, 6.0)
        for memory in (Forever(), Decreasing(0.6, 100.0), Averaged(0.6, 100.0))
    )
    assert plain > 10.0 * max(steps, average)


def test_the_average_is_less_noisy_than_the_steps() -> None:
    steps, average = (lost(memory, CENTRES, 1.0) for memory in (Decreasing(0.6, 100.0), Averaged(0.6, 100.0)))
    assert average < 0.5 * steps


def averaging() -> Model:
    x, _, _ = blobs(1500, k=3)
    spec = Spec(n_components=3, memory=Averaged(0.7, 200.0), batch_size=50)
    return learn(Model.new(spec, 2), Rows.of(x))[0]


def test_a_state_goes_on_as_the_model_does() -> None:
    model = averaging()
    copy = from_state(to_state(model))
    x, _, _ = blobs(700, k=3, seed=1)
    assert copy.spec == model.spec
    assert state_hash(learn(copy, Rows.of(x))[0]) == state_hash(learn(model, Rows.of(x))[0])


def test_rows_are_judged_by_the_average_and_learned_by_the_steps() -> None:
    model = averaging()
    x, _, _ = blobs(50, k=3, seed=2)
    said = posterior(model, x)
    after, learned = learn(model, Rows.of(x))
    assert learned.log_likelihood == pytest.approx(said.log_density.sum())
    alone = replace(model, spec=replace(model.spec, memory=model.spec.memory.steps), store=model.store[:1])
    stepped, _ = learn(alone, Rows.of(x))
    assert same_moments(after.store[0], stepped.moments)


def test_shards_take_steps_of_one_size_and_merge_to_what_they_were() -> None:
    model = averaging()
    parts = shards(model, 3)
    assert len({part.store[0].rows for part in parts}) == 1
    both, merged = merge(merge(parts[0], parts[1])[0], parts[2])
    assert merged.exact
    for mine, theirs in zip(both.store, model.store, strict=True):
        assert same_moments(mine, theirs)


@pytest.mark.parametrize("value", [0.5, 1.01, -1.0, float("nan"), True, "0.7"])
def test_an_exponent_by_which_steps_do_not_converge_is_refused(value: float) -> None:
    for make in (
        lambda: Decreasing(value, 10.0),
        lambda: Averaged(value, 10.0),
        lambda: stepping(value, True, 2, 1),
    ):
        with pytest.raises(ValueError, match=r"step_exponent is .*, expected a number > 0\.5 and <= 1"):
            make()


def test_a_length_or_a_choice_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rows is 0\.5, expected a number of rows >= 1"):
        Decreasing(0.7, 0.5)
    with pytest.raises(ValueError, match="averaged is 1, expected True or False"):
        stepping(None, 1, 2, 1)  # type: ignore[arg-type]  # wrong on purpose
