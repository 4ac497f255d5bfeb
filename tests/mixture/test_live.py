"""Live models against `learn` with batches of one row in NumPy, on every instruction set there is."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import (
    Forever,
    HalfLife,
    Memory,
    Model,
    Prior,
    Rows,
    Spec,
    TimeHalfLife,
    learn,
    posterior,
)
from stream_mix.mixture.live import live_of, model_of

from .lively import ISAS, assert_like, begun, on, reference, state
from .streams import ALL_FAMILIES, blobs, holes

MEMORIES: list[Memory] = [Forever(), HalfLife(20.0), TimeHalfLife(15.0)]
PRIORS = [Prior(), Prior(0.0, 3.0, 0.3, 1e-3), Prior(0.0, 0.0, 0.0, 1e-6)]
ROUND_OR_DIAG = ("kmeans", "spherical", "diag")
NAMES = ("a", "b", 3, "d", "e", "f")


def stream(n: int, d: int, k: int, seed: int, missing: float, timed: bool) -> Rows:
    """Rows about k centres with weights, and event times that run late and are now and then not there."""
    rng = np.random.default_rng(seed)
    x, _, _ = blobs(n, k=k, d=d, seed=seed, spread=float(rng.choice([0.5, 3.0, 8.0])))
    x = x @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    if missing and d > 1:
        x = holes(x, missing, seed)
    t = 5.0 + np.cumsum(rng.exponential(1.0, n)) - rng.exponential(2.0, n)
    t[rng.random(n) < 0.1] = np.nan
    return Rows.of(x, rng.uniform(0.1, 4.0, n), t if timed else None)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(
    memory=st.sampled_from(MEMORIES),
    prior=st.sampled_from(PRIORS),
    assignment=st.sampled_from([None, "hard", "soft"]),
    d=st.integers(1, 6),
    k=st.sampled_from([1, 2, 5, 8, 11]),
    missing=st.sampled_from([0.0, 0.0, 0.3]),
    timed=st.booleans(),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=15)
def test_it_learns_what_learn_learns(
    isa: str,
    family: str,
    memory: Memory,
    prior: Prior,
    assignment: str | None,
    d: int,
    k: int,
    missing: float,
    timed: bool,
    seed: int,
) -> None:
    rows = stream(100, d, min(k, 4), seed, missing, timed)
    start, rest = rows[:40], rows[40:]
    model = begun(family, memory, np.nan_to_num(start.x), k, prior, assignment=assignment)
    with reference():
        expected, _ = learn(model, rest)
    found, left = on(isa, model, rest)
    # Without a prior covariances of few rows are next to singular: densities lose digits on either side.
    assert_like(found, expected, 1e-10 if prior == Prior() else 1e-8)
    if family in ROUND_OR_DIAG or prior == Prior():
        assert left == 0


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ["full", "tied"])
@pytest.mark.parametrize("d", [7, 8, 9, 13, 33])
def test_covariances_of_any_width(isa: str, family: str, d: int) -> None:
    rows = stream(150, d, 3, d, 0.0, False)
    model = begun(family, HalfLife(40.0), rows.x[:80], 9)
    with reference():
        expected, _ = learn(model, rows[80:])
    found, left = on(isa, model, rows[80:])
    assert left == 0
    assert_like(found, expected, 1e-9)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ["full", "tied"])
@given(
    memory=st.sampled_from(MEMORIES),
    hard=st.booleans(),
    d=st.integers(2, 9),
    k=st.sampled_from([1, 3, 8, 9]),
    missing=st.sampled_from([0.2, 0.5, 0.9]),
    seed=st.integers(0, 10_000),
)
@settings(max_examples=10)
def test_what_a_row_lacks_counts_as_far_as_it_is_known(
    isa: str, family: str, memory: Memory, hard: bool, d: int, k: int, missing: float, seed: int
) -> None:
    rows = stream(90, d, min(k, 4), seed, missing, True)
    model = begun(family, memory, np.nan_to_num(rows.x[:40, : d - 1]), k, assignment="hard" if hard else None)
    store = tuple(bucket.grown(d) for bucket in model.store)
    late = replace(model, d=d, store=store, pending=Rows.none(d))
    with reference():
        expected, _ = learn(late, rows[40:])
    found, left = on(isa, late, rows[40:])
    assert left <= 1, "only where the last feature has its first value"
    assert (expected.known[:, : d - 1] == 1.0).all()
    assert (expected.known[:, d - 1] < 1.0).all()
    assert_like(found, expected, 1e-9)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_components_without_rows_and_features_that_come_late(isa: str, family: str) -> None:
    x = np.full((60, 3), np.nan)
    rng = np.random.default_rng(5)
    x[:, :2] = rng.normal(size=(60, 2)) + 9.0 * rng.integers(0, 2, (60, 1))
    x[30:, 2] = rng.normal(size=30)
    model = begun(family, Forever(), x[:20, :2], 6)
    model = replace(model, d=3, store=tuple(bucket.grown(3) for bucket in model.store), pending=Rows.none(3))
    mass = model.moments.mass.copy()
    mass[2] = 0.0
    quiet = replace(
        model.moments,
        mass=mass,
        seen=model.moments.seen * (mass > 0)[:, None],
        mean=model.moments.mean * (mass > 0)[:, None],
        scatter=model.moments.scatter
        if family == "tied"
        else model.moments.scatter * (mass > 0).reshape(-1, *[1] * (model.moments.scatter.ndim - 1)),
    )
    model = replace(model, store=(quiet,))
    with reference():
        expected, _ = learn(model, Rows.of(x[20:]))
    found, left = on(isa, model, Rows.of(x[20:]))
    assert_like(found, expected, 1e-9)
    # The first rows with the new feature: `learn` gives it its place in the basis.
    assert left == 1


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("far", [1e3, 1e9, 1e40, 1e100])
def test_a_row_far_out(isa: str, family: str, far: float) -> None:
    x, _, _ = blobs(90, d=2, seed=3)
    model = begun(family, HalfLife(10.0), x[:30], 3)
    x[40] = [far, -far]
    with reference(), np.errstate(all="ignore"):
        expected, _ = learn(model, Rows.of(x[30:60]))
    found, _ = on(isa, model, Rows.of(x[30:60]))
    # Squares of such values take digits from all that is added to them.
    np.testing.assert_allclose(found.moments.mass, expected.moments.mass, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.moments.mean, expected.moments.mean, rtol=1e-9, atol=1e-9 * far)
    scatter = expected.moments.scatter
    np.testing.assert_allclose(
        found.moments.scatter, scatter, rtol=1e-7, atol=1e-9 * float(np.abs(scatter).max())
    )


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_forgetting_ends_short_of_nothing(isa: str, family: str) -> None:
    x, label, _ = blobs(400, d=2, k=2, seed=1, spread=30.0)
    model = begun(family, HalfLife(0.25), x[:40], 2)
    quiet = x[label == 0][:190]
    with reference():
        expected, _ = learn(model, Rows.of(quiet))
    found, left = on(isa, model, Rows.of(quiet))
    assert found.moments.mass.min() == pytest.approx(1e-6)
    assert left == 0
    assert_like(found, expected, 1e-9)
    np.testing.assert_allclose(np.log(found.moments.seen), np.log(expected.moments.seen), rtol=1e-9)
    size = np.maximum(np.abs(expected.moments.scatter), 1e-290)
    np.testing.assert_allclose(found.moments.scatter / size, expected.moments.scatter / size, atol=1e-8)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize(("shift", "stretch"), [(1e5, 1.0), (0.0, 1e4), (-3e3, 1e-4)])
def test_the_basis_moves_when_learn_would_move_it(
    isa: str, family: str, shift: float, stretch: float
) -> None:
    x, _, _ = blobs(300, d=3, seed=2)
    model = begun(family, HalfLife(8.0), x[:40], 3)
    rows = Rows.of(shift + stretch * x[40:])
    with reference():
        expected, told = learn(model, rows)
    found, _ = on(isa, model, rows)
    assert any(change.kind == "rebased" for change in told.changes)
    assert not found.moments.basis.same(model.moments.basis)
    assert_like(found, expected, 1e-6)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(seed=st.integers(0, 1000), d=st.integers(1, 6), k=st.sampled_from([1, 3, 8, 9]))
@settings(max_examples=8)
def test_answers_are_those_of_the_model(isa: str, family: str, seed: int, d: int, k: int) -> None:
    x, _, _ = blobs(60, d=d, k=3, seed=seed, spread=2.0)
    model = begun(family, Forever(), x[:50], k)
    model = replace(model, components=tuple(range(10, 10 + k)))
    live = live_of(model, names=NAMES[:d], isa=isa)
    assert live is not None
    queries = [*x[50:], *holes(x[50:], 0.5, seed), np.full(d, np.nan), np.full(d, 50.0)]
    with reference():
        says = posterior(model, np.array(queries))
    for i, query in enumerate(queries):
        row: dict[Any, Any] = dict(zip(NAMES, query.tolist(), strict=False))
        row = {name: value for name, value in row.items() if value == value or i % 2}
        row["unheard of"] = 4
        p = live.predict_proba_one(row)
        assert p is not None
        assert list(p) == list(model.components)
        assert sum(p.values()) == pytest.approx(1.0, abs=1e-12)
        assert max(p, key=p.__getitem__) == live.predict_one(row)
        np.testing.assert_allclose(list(p.values()), says.p[i], rtol=1e-9, atol=1e-10)
        assert live.strangeness_one(row) == pytest.approx(-says.log_density[i], rel=1e-9, abs=1e-9)
        assert live.tail_one(row) == pytest.approx(says.outlier[i], abs=1e-9)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ["kmeans", "full"])
def test_rows_before_the_start_is_settled_go_to_the_reservoir(isa: str, family: str) -> None:
    x, _, _ = blobs(150, d=2)
    t = np.arange(150.0)
    fresh = Model.new(Spec(3, family, batch_size=1), 2)
    with reference():
        begun_, _ = learn(fresh, Rows.of(x[:40], t=t[:40]))
        expected, _ = learn(begun_, Rows.of(x[40:], t=t[40:]))
    found, left = on(isa, begun_, Rows.of(x[40:], t=t[40:]))
    assert left == 2, "only where the model starts afresh, at 64 and 128 rows"
    assert [len(part) for part in found.reservoir] == [len(part) for part in expected.reservoir]
    for ours, theirs in zip(found.reservoir, expected.reservoir, strict=True):
        np.testing.assert_array_equal(ours.x, theirs.x)
        np.testing.assert_array_equal(ours.t, theirs.t)
    assert_like(found, expected, 1e-9)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_it_goes_on_to_the_bit_after_a_look_and_as_a_copy(isa: str, family: str) -> None:
    x, _, _ = blobs(200, d=3)
    model = begun(family, HalfLife(60.0), x[:40], 5)
    live, looked_at = live_of(model, isa=isa), live_of(model, isa=isa)
    assert live is not None
    assert looked_at is not None
    ones, none = np.ones(200), np.full(200, np.nan)
    for i in range(40, 200, 20):
        part = slice(i, i + 20)
        assert live.learn_rows(x[part], ones[part], none[part]) == 20
        assert looked_at.learn_rows(x[part], ones[part], none[part]) == 20
        twin = copy.deepcopy(looked_at)
        assert looked_at.learn_rows(x[:1], ones[:1], none[:1]) == 1
        assert state(looked_at) != state(twin)
        again = live_of(model_of(twin, model), isa=isa)
        assert again is not None
        looked_at = again
        assert state(looked_at) == state(live)
