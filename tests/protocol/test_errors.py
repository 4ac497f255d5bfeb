"""The one error type, and how it speaks of what strangers sent."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.protocol import CODES, ProtocolError, show


def test_it_is_a_value_error_with_a_code_and_a_line() -> None:
    error = ProtocolError("crc", "crc: does not match")
    assert isinstance(error, ValueError)
    assert (error.code, str(error)) == ("crc", "crc: does not match")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.reason) == (error.code, error.reason)


def test_codes_are_distinct_words() -> None:
    assert len(set(CODES)) == len(CODES)
    assert all(code.replace("_", "").isalpha() and code.islower() for code in CODES)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(ANYTHING)
def test_a_shown_value_is_short_and_printable_ascii(value: Any) -> None:
    text = show(value)
    assert 0 < len(text) <= 60
    assert text.isascii()
    assert text.isprintable()


@pytest.mark.parametrize(
    "value",
    ["\x1b[2J" * 1000, "\U0001f600" * 1000, 10**6000, object()],
    ids=["control", "wide", "int", "object"],
)
def test_hostile_values_are_shown_short(value: Any) -> None:
    assert len(show(value)) <= 60
    assert show(value).isprintable()
