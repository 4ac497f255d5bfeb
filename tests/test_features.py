from __future__ import annotations

import math
from collections.abc import Hashable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.features import Features, number, shown

names = st.one_of(st.text(max_size=3), st.integers(0, 5), st.tuples(st.integers(0, 2)))
values = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(-1e100, 1e100))
rows = st.dictionaries(names, values, max_size=6)


def slow_row(known: tuple[Hashable, ...], x: dict[Hashable, Any]) -> list[float]:
    return [math.nan if x.get(name) is None else float(x[name]) for name in known]


@given(st.lists(rows, max_size=8))
def test_rows_are_what_the_dicts_say(xs: list[dict[Hashable, Any]]) -> None:
    features = Features()
    for x in xs:
        before = features.names
        features, row = features.learned(x)
        assert features.names[: len(before)] == before, "columns only grow"
        assert set(features.names) == set(before) | {name for name, value in x.items() if value is not None}
        np.testing.assert_array_equal(row, slow_row(features.names, x))
        np.testing.assert_array_equal(features.row(x), row)


@given(rows, st.randoms())
def test_the_order_inside_a_dict_is_irrelevant(x: dict[Hashable, Any], random: Any) -> None:
    items = list(x.items())
    random.shuffle(items)
    one, other = Features().learned(x), Features().learned(dict(items))
    assert one[0].names == other[0].names
    np.testing.assert_array_equal(one[1], other[1])


@given(st.lists(rows, max_size=5))
def test_a_matrix_has_the_rows_of_its_dicts(xs: list[dict[Hashable, Any]]) -> None:
    features = Features()
    for x in xs[:3]:
        features, _ = features.learned(x)
    columns = list({name: None for x in xs for name in x})
    table = np.array([slow_row(tuple(columns), x) for x in xs]).reshape(len(xs), len(columns))
    expected = np.array([features.row(x) for x in xs]).reshape(len(xs), len(features))
    np.testing.assert_array_equal(features.matrix(columns, table), expected)


def test_a_feature_is_known_from_its_first_value_on() -> None:
    features, row = Features().learned({"a": 1.0, "b": None, "c": math.nan})
    assert features.names == ("a",)
    assert row.tolist() == [1.0]
    assert features.learned({"a": 2.0})[0] is features


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.int8(-3), -3.0),
        (np.bool_(True), 1.0),
        (Fraction(1, 4), 0.25),
        (Decimal("2.5"), 2.5),
        (10**80, 1e80),
        (None, math.nan),
        (math.nan, math.nan),
        (np.float32("nan"), math.nan),
        (Decimal("nan"), math.nan),
        (Decimal("sNaN"), math.nan),
        (pd.NA, math.nan),
        (pd.NaT, math.nan),
    ],
)
def test_numbers(value: object, expected: float) -> None:
    np.testing.assert_equal(number(value, "it"), expected)
    np.testing.assert_equal(Features(("f",)).row({"f": value}).tolist(), [expected])


@pytest.mark.parametrize(
    "value",
    [
        *("red", "1.5", "", b"1", np.str_("2"), np.datetime64("2020"), 1j, [1.0], {"a": 1}, object()),
        *(math.inf, -math.inf, np.float64("inf"), 1e101, 10**400, -(10**400), Decimal("1e999999")),
    ],
)
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    for x in ({"good": 1.0, "bad": value}, {"bad": value, "good": 1.0}):
        for features in (Features(), Features(("good", "bad"))):
            with pytest.raises(ValueError, match=r"^feature 'bad' is .*, expected a number up") as caught:
                features.learned(x)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 200


def test_a_long_value_is_shown_short() -> None:
    assert shown(["x\ny"] * 100).endswith("...")
    assert len(shown("a" * 1000)) == 60
