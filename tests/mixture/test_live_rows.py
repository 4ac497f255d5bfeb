"""Rows as live models read them: what they take, what they leave to Python, and what they hold."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from stream_mix.mixture import FAMILIES, Forever, Model, Spec, TimeHalfLife, Window
from stream_mix.mixture.live import goes_live, live_of

from .lively import ISAS, begun, state
from .streams import ALL_FAMILIES, blobs


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
    stranger = replace(FAMILIES["diag"], compiled=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream_mix.mixture.spec.FAMILIES", {"diag": stranger})
        assert not goes_live(Spec(family="diag", batch_size=1), isa)
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
