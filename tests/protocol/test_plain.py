"""Plain frames take a short way; whatever comes in, what comes out is what the long way gives."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgpack
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from stream_mix.protocol import Frame, Limits, ProtocolError, decode_frame, encode_points
from stream_mix.protocol.codec import frames, groups


def outcome(data: bytes, limits: Limits) -> tuple[Any, ...]:
    """A frame in plain values, or why there is none."""
    try:
        found: Frame = decode_frame(data, limits)
    except ProtocolError as error:
        return error.code, error.reason
    columns = [
        None if a is None else (a.dtype.str, a.shape, a.tobytes()) for a in (found.x, found.t, found.w)
    ]
    return found.n_sent, found.source, found.seq, found.features, found.id, found.refused, columns


def same_both_ways(data: bytes, limits: Limits) -> None:
    with mock.patch.object(frames, "read_points", return_value=None):
        slow = outcome(data, limits)
    assert outcome(data, limits) == slow


VALUES = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1e100, -1e100, 1.1e100, float("nan")])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["points", "events", "", 1]),
        "v": st.sampled_from([1, 0, 2, True, 1.0, "1"]),
        "source": st.none() | st.text(max_size=9) | st.binary(max_size=2),
        "seq": st.integers(-1, 2**64 - 1),
        "n": st.integers(0, 4),
        "d": st.integers(0, 4),
        "dtype": st.sampled_from(["f4", "f8", "i8"]),
        "t": st.lists(VALUES, max_size=3).map(lambda t: np.array(t).tobytes()),
        "w": st.lists(VALUES, max_size=3).map(lambda w: np.array(w).tobytes()),
        "id": st.lists(st.integers(0, 9) | st.text(max_size=2), max_size=3),
        "features": st.lists(st.text(max_size=3), max_size=3),
        "crc": st.integers(0, 2**32),
        "other": st.none(),
    },
)
LIMITS = st.sampled_from(
    [Limits(), Limits(rows=1), Limits(features=1), Limits(cells=3), Limits(string=2), Limits(frame_bytes=90)]
)


@given(st.lists(VALUES, min_size=4, max_size=4), FIELDS, LIMITS)
def test_any_fields_read_the_same_both_ways(x: list[float], fields: dict[str, Any], limits: Limits) -> None:
    with np.errstate(over="ignore"):  # too large for f4 is infinite there
        block = np.array(x, "<f4" if fields.get("dtype") == "f4" else "<f8").tobytes()
    said = {
        "kind": "points",
        "v": 1,
        "source": "s",
        "seq": 0,
        "n": 2,
        "d": 2,
        "dtype": "f8",
        "x": block,
        **fields,
    }
    same_both_ways(bytes(msgpack.packb(said)), limits)


WHOLE = encode_points(
    np.arange(8.0).reshape(4, 2),
    source="me",
    seq=3,
    t=np.arange(4.0),
    w=np.ones(4),
    features=["a", "b"],
    crc=True,
)


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
@example(0, 0xDE)
@example(1, 0xC1)
def test_any_changed_byte_reads_the_same_both_ways(at: int, value: int) -> None:
    same_both_ways(WHOLE[:at] + bytes([value]) + WHOLE[at + 1 :], Limits())


def test_names_that_repeat_are_told_as_before() -> None:
    same_both_ways(WHOLE.replace(b"\xa1a\xa1b", b"\xa1a\xa1a"), Limits())


@given(st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_assignments_are_written_the_same_both_ways(first: int, rows: int, shares: bool) -> None:
    rng = np.random.default_rng(first)
    n = first + rows
    frame = Frame(np.ones((rows, 1)), rows, "s", 3, id=tuple(range(rows)))
    said = (
        "m", 10, (frame,), (first, n), (4,), (0, 2, 5), rng.integers(0, 6, n),
        rng.random((n, 3)) if shares else None, rng.normal(size=n), rng.random(n),
    )  # fmt: skip
    with mock.patch.object(groups, "columns", return_value=None):
        slow = list(groups.encode_assignments(*said))
    assert list(groups.encode_assignments(*said)) == slow
