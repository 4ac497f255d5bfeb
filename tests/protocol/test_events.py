"""The easy form, against its slow twin."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from stream_mix.protocol import ProtocolError, decode_frame, encode_events
from tests.protocol.naive import read_events

NUMBERS = st.floats(-1e100, 1e100) | st.integers(-(2**63), 2**64 - 1) | st.just(math.nan)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [math.inf, -math.inf, 1.1e100, -1.1e100, True, None, "seven", b"7", [], {}, 0, -1, math.nan])
NAMES = st.sampled_from(["a", "b", "c", "d"])


def message(rows: Any, **more: Any) -> bytes:
    return bytes(msgpack.packb({"kind": "events", "v": 1, "rows": rows, **more}))


def agrees_with_twin(rows: list[Any]) -> None:
    want = read_events(rows)
    if not want["x"]:
        with pytest.raises(ProtocolError) as caught:
            decode_frame(message(rows))
        assert caught.value.code == "value"
        return
    frame = decode_frame(message(rows))
    assert frame.features == want["features"]
    assert_array_equal(frame.x, want["x"])
    assert frame.n_sent == len(rows)
    for got, key in ((frame.t, "t"), (frame.w, "w")):
        assert (got is None) == (want[key] is None)
        if got is not None:
            assert_array_equal(got, want[key])
    assert frame.id == want["id"]
    assert [row for row, _, _ in frame.refused] == want["refused"]


ROWS = st.fixed_dictionaries(
    {"x": st.dictionaries(NAMES, NUMBERS | ODD)},
    optional={"t": NUMBERS | ODD, "w": NUMBERS | ODD, "id": st.text(max_size=3) | ODD, "other": st.just(1)},
)


@given(st.lists(ROWS | ODD | st.just({"x": {b"a": 1.0}}) | st.just({"x": 5}), min_size=1, max_size=6))
def test_any_rows_against_the_twin(rows: list[Any]) -> None:
    agrees_with_twin(rows)


@given(st.data())
def test_rows_of_one_shape_against_the_twin(data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=1, unique=True))
    values = NUMBERS | st.sampled_from([math.inf, 1.1e100])
    fields: dict[str, Any] = {"x": st.fixed_dictionaries(dict.fromkeys(names, values))}
    for key in data.draw(st.lists(st.sampled_from(["t", "w"]), unique=True)):
        fields[key] = values
    if data.draw(st.booleans()):
        fields["id"] = st.integers(0, 9) | st.text(max_size=2)
    agrees_with_twin(data.draw(st.lists(st.fixed_dictionaries(fields), min_size=1, max_size=8)))


@given(st.lists(ROWS, min_size=1, max_size=6), st.integers(0, 5))
def test_a_frame_is_the_rows_it_holds_whichever_way_it_was_read(rows: list[Any], at: int) -> None:
    # A row that is no map sends the whole frame the slow way; it must not change what the others say.
    with_one_more = [*rows[:at], "no map", *rows[at:]]
    try:
        plain = decode_frame(message(rows))
    except ProtocolError as error:
        with pytest.raises(ProtocolError) as caught:
            decode_frame(message(with_one_more))
        assert caught.value.code == error.code
        return
    slow = decode_frame(message(with_one_more))
    assert slow.features == plain.features
    assert_array_equal(slow.x, plain.x)
    at = min(at, len(rows))
    moved = [(row - (row > at), code, reason) for row, code, reason in slow.refused if row != at]
    assert moved == list(plain.refused)


@pytest.mark.parametrize(
    ("row", "code", "reason"),
    [
        ({"x": {"a": "seven"}}, "type", "x['a']: expected a number, got 'seven'"),
        ({"x": {"a": True}}, "type", "x['a']: expected a number, got true"),
        ({"x": {"a": None}}, "type", "x['a']: expected a number, got nil"),
        ({"x": {b"a": 1.0}}, "type", "x: expected names that are strings, got 1 bytes"),
        ({"x": {}}, "value", "x: expected at least one value, got none"),
        ({"x": {"a": math.nan}}, "value", "x: expected at least one value, got none"),
        ({"x": [1.0]}, "type", "x: expected a map of numbers, got an array of 1"),
        ({"t": 1.0}, "missing_key", "x: missing"),
        ({"x": {"a": 1.0}, "weight": 2}, "unknown_key", "'weight': unknown key of a row"),
        ({"x": {"a": 1.0}, "t": "now"}, "type", "t: expected a number, got 'now'"),
        ({"x": {"a": 1.0}, "t": math.inf}, "value", "t: expected a finite time"),
        ({"x": {"a": 1.0}, "w": 0}, "value", "w: expected a weight above 0"),
        ({"x": {"a": 1.0}, "w": "1"}, "type", "w: expected a number, got '1'"),
        ({"x": {"a": 1.0}, "id": 1.5}, "type", "id: expected a string or an integer"),
        ([1.0], "type", "row: expected a map, got an array of 1"),
    ],
)
def test_the_reason_for_each_bad_row(row: Any, code: str, reason: str) -> None:
    good = {"x": {"a": 1.0}, "t": 5.0} if type(row) is dict and "t" in row else {"x": {"a": 1.0}}
    frame = decode_frame(message([good, row]))
    assert frame.x.tolist() == [[1.0]]
    assert [(r.row, r.code) for r in frame.refused] == [(1, code)]
    assert frame.refused[0].reason.startswith(reason)
    with pytest.raises(ProtocolError, match="no good row of 1; row 0: "):
        decode_frame(message([row]))


def test_a_row_without_a_time_among_rows_with_one_is_refused() -> None:
    frame = decode_frame(message([{"x": {"a": 1.0}}, {"x": {"a": 2.0}, "t": 3.0}]))
    assert frame.x.tolist() == [[2.0]]
    assert frame.refused[0].code == "missing_key"


def test_features_of_refused_rows_are_not_taken_over() -> None:
    assert decode_frame(message([{"x": {"bad": math.inf}}, {"x": {"a": 1.0}}])).features == ("a",)


@pytest.mark.parametrize(
    ("code", "rows"), [("type", 5), ("type", {"x": {}}), ("type", "rows"), ("type", None), ("shape", [])]
)
def test_bad_frames(code: str, rows: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_frame(message(rows))
    assert caught.value.code == code


def test_unknown_keys_of_the_frame_are_refused() -> None:
    with pytest.raises(ProtocolError, match="'n': unknown key, expected some of kind, rows, seq, source, v"):
        decode_frame(message([{"x": {"a": 1.0}}], n=1))


def test_encode_events_takes_numpy_scalars_and_gives_the_frame_back() -> None:
    rows = [{"x": {"a": np.float32(0.5), "b": np.int64(2)}, "t": np.float64(1.0), "id": np.int64(7)}]
    frame = decode_frame(encode_events(rows, source="s", seq=1))
    assert (frame.x.tolist(), frame.id, frame.source, frame.seq) == ([[0.5, 2.0]], (7,), "s", 1)


@pytest.mark.parametrize("rows", [{"x": {"a": 1}}, "rows", [object()], [{"x": {"a": object()}}], []])
def test_encode_events_refuses_other_things(rows: Any) -> None:
    with pytest.raises(ProtocolError):
        encode_events(rows)
