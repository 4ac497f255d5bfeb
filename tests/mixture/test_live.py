"""Live models against `learn` with batches of one row in NumPy, on every instruction set there is."""

from __future__ import annotations

import copy
import math
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
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
    Window,
    batches,
    em,
    folders,
    learn,
    posterior,
)
from stream_mix.mixture.kernels import named
from stream_mix.mixture.live import goes_live, isas, live_of, model_of

from .streams import ALL_FAMILIES, blobs, holes

ISAS = [pytest.param(isa, id=isa) for isa in isas()]
MEMORIES: list[Memory] = [Forever(), HalfLife(20.0), TimeHalfLife(15.0)]
PRIORS = [Prior(), Prior(0.0, 3.0, 0.3, 1e-3), Prior(0.0, 0.0, 0.0, 1e-6)]
ROUND_OR_DIAG = ("kmeans", "spherical", "diag")
NAMES = ("a", "b", 3, "d", "e", "f")


@contextmanager
def reference() -> Iterator[None]:
    """`learn` and `posterior` in NumPy alone."""
    kernels = named("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "accumulate", kernels.accumulate)
        patch.setattr(em, "posterior", kernels.posterior)
        for module in (folders, batches):
            patch.setattr(module, "folder_of", lambda spec, d: None)
        yield


def begun(family: str, memory: Memory, x: Any, k: int = 3, prior: Prior | None = None, **more: Any) -> Model:
    """A model that was started from rows x (n, d), its start settled."""
    first = Spec(k, family, memory=memory, prior=prior or Prior(), batch_size=len(x), random_state=3, **more)
    with reference():
        model, _ = learn(Model.new(first, x.shape[1]), Rows.of(x, t=np.arange(len(x)) / 10.0))
    return replace(model, spec=replace(first, batch_size=1), reservoir=(), next_start=0)


def on(isa: str, model: Model, rows: Rows) -> tuple[Model, int]:
    """The model after rows, learned live as far as that goes; and how many were left to `learn`."""
    left = done = 0
    while done < len(rows):
        live = live_of(model, isa=isa)
        if live is not None:
            done += live.learn_rows(rows.x[done:], rows.w[done:], rows.t[done:])
            model = model_of(live, model)
        if done < len(rows):
            with reference():
                model, _ = learn(model, rows[done : done + 1])
            done, left = done + 1, left + 1
    return model, left


def assert_like(one: Model, other: Model, tol: float = 1e-10) -> None:
    for name in ("spec", "d", "components", "generation", "learned", "next_start"):
        assert getattr(one, name) == getattr(other, name), name
    ours, theirs = one.moments, other.moments
    assert (ours.kind, ours.lineage, ours.rows) == (theirs.kind, theirs.lineage, theirs.rows)
    np.testing.assert_equal(one.t, other.t)
    np.testing.assert_allclose(one.evidence, other.evidence, rtol=tol, atol=tol)
    np.testing.assert_allclose(ours.basis.origin, theirs.basis.origin, rtol=tol, atol=tol)
    np.testing.assert_allclose(ours.basis.scale, theirs.basis.scale, rtol=tol)
    for name in ("mass", "seen", "mean", "scatter"):
        array = getattr(theirs, name)
        size = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(getattr(ours, name), array, rtol=tol, atol=tol * size, err_msg=name)


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
    assert_like(found, expected)
    if family in ROUND_OR_DIAG:
        assert left == 0
    elif prior == Prior():
        assert left == np.isnan(rest.x).any(axis=1).sum()


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
    assert left == (1 if family in ROUND_OR_DIAG else 11)


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
    assert found.moments.mass.min() == pytest.approx(1e-200)
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


def state(live: Any) -> list[Any]:
    arrays = [array.tolist() for array in (*live.moments(), live.origin, live.scale)]
    return [*arrays, repr(live.t), live.evidence, live.generation, live.learned, live.rows]


class Loud(float):
    def __float__(self) -> float:
        raise AssertionError("a subclass is asked by Python code alone")


class Texty(str):
    __slots__ = ()


LEFT: list[tuple[Any, Any, Any]] = [
    ({"a": 1.0, "b": "red"}, 1.0, None),
    ({"a": 1.0, "b": math.inf}, 1.0, None),
    ({"a": 1.0, "b": 1e101}, 1.0, None),
    ({"a": 1.0, "b": 10**400}, 1.0, None),
    ({"a": 1.0, "b": Decimal(1)}, 1.0, None),
    ({"a": 1.0, "b": Loud(1.0)}, 1.0, None),
    ({"a": 1.0, "b": [1.0]}, 1.0, None),
    ({"a": 1.0, "b": 2.0, "new": 1.0}, 1.0, None),
    ({"a": 1.0, "b": 2.0, 4.5: None}, 1.0, None),
    ({"a": 1.0, Texty("b"): 2.0}, 1.0, None),
    ({}, 1.0, None),
    ({"a": None, "b": math.nan}, 1.0, None),
    ({"a": 1.0, "b": 2.0}, 0.0, None),
    ({"a": 1.0, "b": 2.0}, -1, None),
    ({"a": 1.0, "b": 2.0}, math.inf, None),
    ({"a": 1.0, "b": 2.0}, "2", None),
    ({"a": 1.0, "b": 2.0}, 1.0, "noon"),
    ({"a": 1.0, "b": 2.0}, 1.0, math.inf),
    ({"a": 1.0, "b": 2.0, "w": 0.0}, 1.0, None),
    ({"a": 1.0, "b": 2.0, "w": -1.0}, -1.0, None),
    ({"a": 1.0, "b": 2.0, "t": "noon"}, 1.0, None),
    (OrderedDict(a=1.0, b=2.0), 1.0, None),
    ([1.0, 2.0], 1.0, None),
    (None, 1.0, None),
    ("ab", 1.0, None),
]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_what_is_left_to_python_changes_nothing(isa: str, family: str) -> None:
    x, _, _ = blobs(60, d=2)
    live = live_of(begun(family, Forever(), x), ("a", "b"), "w", "t", isa)
    assert live is not None
    before = state(live)
    for row, w, t in LEFT:
        assert not live.learn_one(row, w, t), (row, w, t)
        assert state(live) == before
    assert live.learn_one({"b": 2, "t": 3, "a": True, "unknown": None, "w": 2}, 1, None)
    assert state(live) != before


@pytest.mark.parametrize("isa", ISAS)
def test_event_times_are_needed_where_the_memory_runs_on_them(isa: str) -> None:
    x, _, _ = blobs(60, d=2)
    model = begun("diag", TimeHalfLife(9.0), x)
    live, timed = live_of(model, ("a", "b"), isa=isa), live_of(model, ("a", "b"), None, "t", isa)
    assert live is not None
    assert timed is not None
    assert not live.learn_one({"a": 1.0, "b": 1.0}, 1.0, None)
    assert live.learn_one({"a": 1.0, "b": 1.0}, 1.0, math.nan)
    assert live.learn_one({"a": 1.0, "b": 1.0}, 1.0, 99)
    assert timed.learn_one({"a": 1.0, "b": 1.0}, 1.0, None)
    assert timed.learn_one({"a": 1.0, "t": 99, "b": 1.0}, 1.0, None)
    assert live.t == timed.t == 99.0


@pytest.mark.parametrize("isa", ISAS)
def test_names_are_equal_in_any_order_and_as_any_object(isa: str) -> None:
    x, _, _ = blobs(60, d=3)
    model = begun("full", Forever(), x)
    one, other = live_of(model, ("ab", "cd", 7), isa=isa), live_of(model, ("ab", "cd", 7), isa=isa)
    assert one is not None
    assert other is not None
    for i, (a, b, c) in enumerate(x.tolist()):
        items = [("".join("ab"), np.float32(a)), ("".join("cd"), round(b)), (int("7"), np.float64(c))]
        assert one.learn_one({"ab": float(np.float32(a)), "cd": round(b), 7: c}, 1.0, None)
        turned = items[i % 3 :] + items[: i % 3]
        turned.insert(i % 4, (f"other {i}", np.nan))
        assert other.learn_one(dict(turned), np.int64(1), None)
    assert state(one) == state(other)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("names", [(1.5, "b"), (("a",), "b"), (Texty("a"), "b")])
def test_names_that_could_run_code_are_not_read(isa: str, names: tuple[Any, ...]) -> None:
    x, _, _ = blobs(60, d=2)
    live = live_of(begun("diag", Forever(), x), names, isa=isa)
    assert live is not None
    assert not live.learn_one(dict.fromkeys(names, 1.0), 1.0, None)
    assert live.predict_one(dict.fromkeys(names, 1.0)) is None
    assert live.learn_rows(x, np.ones(60), np.full(60, np.nan)) == 60


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


@pytest.mark.parametrize("isa", ISAS)
def test_memory_is_its_own_and_does_not_grow(isa: str) -> None:
    x, _, _ = blobs(300, d=2)
    model = begun("full", Forever(), x[:60])
    live = live_of(model, ("a", "b"), isa=isa)
    assert live is not None
    own = (model.moments.mass, model.moments.mean, model.moments.scatter)
    arrays = [array.copy() for array in own]
    size = sys.getsizeof(live)
    rows = x.copy()
    live.learn_rows(rows, np.ones(300), np.full(300, np.nan))
    for i in range(300):
        live.learn_one({f"{chr(97 + i % 2)}": 1.0, "b" if i % 2 == 0 else "a": 2.0}, 1.0, None)
    before = state(live)
    rows[:] = 0.0
    given_out = live.moments()
    for array in (*given_out, live.origin):
        array[:] = 7.0
    assert state(live) == before
    assert sys.getsizeof(live) == size
    for array, kept in zip(arrays, own, strict=True):
        np.testing.assert_array_equal(array, kept)


@pytest.mark.parametrize("isa", ISAS)
def test_which_models_go_live(isa: str) -> None:
    x, _, _ = blobs(60, d=2)
    assert not goes_live(Spec(batch_size=2), isa)
    assert not goes_live(Spec(batch_size=1, memory=Window(9)), isa)
    assert not goes_live(Spec(batch_size=1), "reference")
    assert live_of(Model.new(Spec(batch_size=1), 2), isa=isa) is None
    assert live_of(begun("diag", Window(100), x), isa=isa) is None
    assert live_of(begun("diag", Forever(), x), isa="reference") is None


@pytest.mark.parametrize("isa", ISAS)
def test_what_does_not_fit_is_refused(isa: str) -> None:
    x, _, _ = blobs(60, d=2)
    model = begun("diag", Forever(), x)
    with pytest.raises(ValueError, match="instruction set 'sse9' is not to be had here"):
        live_of(model, isa="sse9")
    with pytest.raises(ValueError, match="names are not a tuple of one name for each of 2 features"):
        live_of(model, ("a",), isa=isa)
    for name in ("seen", "mean", "scatter"):
        broken = replace(model, store=(replace(model.moments, **{name: np.zeros((2, 2))}),))
        with pytest.raises(ValueError, match=f"live: {name} has 4 numbers, expected 6"):
            live_of(broken, isa=isa)
    with pytest.raises(ValueError, match="there is not one id for each component"):
        live_of(replace(model, components=(1, 2)), isa=isa)
    live = live_of(model, isa=isa)
    assert live is not None
    with pytest.raises(ValueError, match="rows do not have 2 features"):
        live.learn_rows(np.ones((1, 3)), np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="w has 2 numbers, expected 1"):
        live.learn_rows(np.ones((1, 2)), np.ones(2), np.ones(1))
