"""Messages in one visit of their bytes, against the reading and writing that they are the twins of."""

from __future__ import annotations

import zlib
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture.kernels import available, named

COMPILED = available()[:-1]
LIMITS = (65536, 1024, 1 << 20, 256, 2**63 - 1, 1e100)

pytestmark = pytest.mark.skipif(not COMPILED, reason="nothing is compiled here")


def message(**changes: Any) -> bytes:
    """A plain frame of 3 rows and 2 features with some keys changed, and those given None left out."""
    said = {
        "kind": "points", "v": 1, "source": "s", "seq": 7, "n": 3, "d": 2, "dtype": "f8",
        "x": np.arange(6.0).tobytes(), **changes,
    }  # fmt: skip
    return bytes(msgpack.packb({key: value for key, value in said.items() if value is not None}))


def read(data: bytes) -> tuple[Any, ...] | None:
    return named(COMPILED[0]).read_points(data, *LIMITS)


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_check_sums_are_those_of_zlib(data: bytes, before: int) -> None:
    assert named(COMPILED[0]).crc32(data, before) == named("reference").crc32(data, before)


@pytest.mark.parametrize("size", [63, 64, 65, 79, 80, 127, 128, 144, 1000, 65536, 65551])
def test_check_sums_of_every_length_of_block(size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    assert named(COMPILED[0]).crc32(data) == zlib.crc32(data)
    assert named(COMPILED[0]).crc32(data, 5) == zlib.crc32(data, 5)


def test_a_plain_frame_is_read() -> None:
    found = read(message(t=np.arange(3.0).tobytes(), w=np.ones(3).tobytes(), features=["a", "é"]))
    assert found is not None
    source, seq, x, t, w, features = found
    assert (source, seq, features) == ("s", 7, ("a", "é"))
    assert (x.tolist(), t.tolist(), w.tolist()) == (
        [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
        [0.0, 1.0, 2.0],
        [1.0] * 3,
    )
    bare = read(message(source=None, seq=None, dtype="f4", x=np.arange(6.0, dtype="<f4").tobytes()))
    assert bare is not None
    assert (bare[:2], bare[2].tolist(), bare[3:]) == ((None, None), x.tolist(), (None, None, None))


LEFT: dict[str, dict[str, Any]] = {
    "a value that is missing": {"x": np.array([0.0, np.nan, 1.0, 2.0, 3.0, 4.0]).tobytes()},
    "a value that is infinite": {"x": np.array([0.0, np.inf, 1.0, 2.0, 3.0, 4.0]).tobytes()},
    "a value too large": {"x": np.full(6, -1.1e100).tobytes()},
    "a time that is none": {"t": np.array([0.0, np.nan, 1.0]).tobytes()},
    "a weight of 0": {"w": np.array([1.0, 0.0, 1.0]).tobytes()},
    "ids": {"id": [1, 2, 3]},
    "another kind": {"kind": "point"},
    "another version": {"v": 2},
    "a wrong sum": {"crc": 1},
    "too few bytes": {"x": bytes(40)},
    "too few times": {"t": bytes(16)},
    "too few names": {"features": ["a"]},
    "a name that is none": {"features": ["a", 1]},
    "a long name": {"source": "s" * 257},
    "a source that is nil": {"source": b"s"},
    "no rows": {"n": 0, "x": b""},
    "many rows": {"n": 65537, "d": 1, "x": bytes(8 * 65537)},
    "many features": {"n": 1, "d": 1025, "x": bytes(8 * 1025)},
    "many cells": {"n": 1025, "d": 1024, "x": bytes(8 * 1025 * 1024)},
    "a number below 0": {"seq": -1},
    "a large seq": {"seq": 2**63},
    "an unknown key": {"weight": 1},
    "another dtype": {"dtype": "i8"},
}


@pytest.mark.parametrize("why", LEFT)
def test_all_else_is_left_to_the_slow_reading(why: str) -> None:
    assert read(message(**LEFT[why])) is None


@pytest.mark.parametrize("key", ["kind", "v", "n", "d", "dtype", "x"])
def test_a_frame_without_a_key_that_it_needs_is_left(key: str) -> None:
    assert read(message(**{key: None})) is None


def test_a_key_that_comes_twice_is_left() -> None:
    once = message()
    for key in ("v", "n", "seq", "x", "kind"):
        field = msgpack.packb({key: msgpack.unpackb(once)[key]})[1:]
        assert read(bytes([once[0] + 1]) + once[1:] + field) is None


def test_no_part_of_a_frame_is_a_frame() -> None:
    whole = message(features=["a", "b"], crc=zlib.crc32(np.arange(6.0).tobytes()))
    assert read(whole) is not None
    assert all(read(whole[:end]) is None for end in range(len(whole)))
    assert read(whole + b"\0") is None


def test_a_string_that_is_no_utf_8_is_left() -> None:
    assert read(message(source="abcde").replace(b"abcde", b"ab\xff\xfee")) is None
    assert read(message(features=["abcde", "f"]).replace(b"abcde", b"ab\xff\xfee")) is None


def test_columns_refuse_what_does_not_fit() -> None:
    columns = named(COMPILED[0]).columns
    label, p, ones = np.zeros(3, np.int64), np.zeros((3, 2)), np.ones(3)
    for bad in (
        (label, p[:2], ones, ones),
        (label, p, ones[:2], ones),
        (label, p, ones, ones[:2]),
        (label, ones, ones, ones),
    ):
        with pytest.raises(ValueError, match=r"columns|rows|numbers"):
            columns(*bad)
    made = columns(label, p, ones, ones)
    for first, last in ((2, 1), (0, 4), (4, 4)):
        with pytest.raises(ValueError, match="no such rows"):
            made.message(b"", first, last, b"")
