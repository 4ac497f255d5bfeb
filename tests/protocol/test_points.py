"""The fast form: round trips, every check, rows refused alone."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from stream_mix.protocol import ProtocolError, decode_frame, encode_points

VALUES = st.floats(-1e100, 1e100) | st.just(np.nan)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)


def raw(**changes: Any) -> bytes:
    """A good message of 2 rows and 2 features with some keys changed, and those given None left out."""
    message: dict[str, Any] = {
        "kind": "points", "v": 1, "source": "s", "seq": 0, "n": 2, "d": 2, "dtype": "f8",
        "x": np.arange(4.0).tobytes(), **changes}
    return bytes(msgpack.packb({key: value for key, value in message.items() if value is not None}))


def error_of(data: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode_frame(data)
    return caught.value


FLAG = st.booleans()
IDS = st.text(max_size=9) | st.integers(0, 2**64 - 1)


@given(hnp.arrays(np.float64, SHAPES, elements=VALUES), FLAG, FLAG, FLAG, st.data())
def test_round_trip(x: Any, timed: bool, weighted: bool, crc: bool, data: st.DataObject) -> None:
    n, d = x.shape
    x[np.isnan(x).all(axis=1)] = 0.0
    t = data.draw(hnp.arrays(np.float64, n, elements=st.floats(-1e12, 1e12))) if timed else None
    w = data.draw(hnp.arrays(np.float64, n, elements=st.floats(1e-9, 1e9))) if weighted else None
    ids = data.draw(st.none() | st.lists(IDS, min_size=n, max_size=n))
    features = data.draw(st.none() | st.lists(st.text(max_size=9), min_size=d, max_size=d, unique=True))
    source = data.draw(st.none() | st.text(max_size=9))
    seq = data.draw(st.none() | st.integers(0, 2**63 - 1))
    frame = decode_frame(
        encode_points(x, source=source, seq=seq, t=t, w=w, id=ids, features=features, crc=crc))
    assert_array_equal(frame.x, x)
    for got, sent in ((frame.t, t), (frame.w, w)):
        assert (got is None) == (sent is None)
        if got is not None:
            assert_array_equal(got, sent)
    assert frame.id == (None if ids is None else tuple(ids))
    assert frame.features == (None if features is None else tuple(features))
    assert (frame.source, frame.seq, frame.n_sent, frame.refused) == (source, seq, n, ())


@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
def test_f4_is_widened(x: Any) -> None:
    frame = decode_frame(encode_points(x, dtype="f4"))
    assert frame.x.dtype == np.float64
    assert_array_equal(frame.x, x.astype(np.float64))


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_arrays_do_not_follow_the_message_buffer(wrap: Any) -> None:
    buffer = bytearray(encode_points(np.ones((2, 2)), t=[1.0, 2.0]))
    frame = decode_frame(wrap(buffer))
    buffer[:] = bytes(len(buffer))
    assert_array_equal(frame.x, np.ones((2, 2)))
    assert_array_equal(frame.t, [1.0, 2.0])


BAD: dict[str, list[dict[str, Any]]] = {
    "missing_key": [{"n": None}, {"d": None}, {"dtype": None}, {"x": None}, {"v": None}, {"kind": None}],
    "unknown_key": [{"weight": 1}, {"weights": bytes(16)}],
    "version": [{"v": 2}, {"v": True}, {"v": 1.0}, {"v": "1"}, {"v": 0}],
    "kind": [{"kind": "point"}, {"kind": ""}],
    "type": [{"n": True}, {"n": 2.0}, {"d": "2"}, {"x": "0123"}, {"x": [1.0]}, {"t": [1.0, 2.0]}, {"w": "w"},
             {"id": "ab"}, {"features": "ab"}, {"features": ["a", 1]}, {"source": 1}, {"source": b"s"},
             {"seq": "0"}, {"seq": False}, {"crc": "0"}, {"dtype": 8}, {"kind": 1}, {"kind": ["points"]}],
    "value": [{"n": 0}, {"n": -1}, {"d": 0}, {"seq": -1}, {"crc": -1}, {"features": ["a", "a"]},
              {"x": np.full(4, np.inf).tobytes()}, {"x": np.full(4, np.nan).tobytes()},
              {"x": np.full(4, 1.1e100).tobytes()}, {"w": bytes(16)}, {"t": np.full(2, np.nan).tobytes()}],
    "limit": [{"n": 2**40}, {"d": 2**40}, {"n": 65537}, {"seq": 2**63}, {"crc": 2**32}],
    "shape": [{"x": b"123"}, {"x": b""}, {"n": 3}, {"dtype": "f4"}, {"t": bytes(8)}, {"w": bytes(24)},
              {"id": [1]}, {"features": ["a"]}],
    "dtype": [{"dtype": "O"}, {"dtype": "<f8"}, {"dtype": ""}, {"dtype": "f8,f8"}],
    "crc": [{"crc": 1}],
}


@pytest.mark.parametrize(("code", "changes"), [(code, c) for code, cases in BAD.items() for c in cases])
def test_bad_frames(code: str, changes: dict[str, Any]) -> None:
    error = error_of(raw(**changes))
    assert error.code == code
    assert error.reason.isprintable()
    key, value = next(iter(changes.items()))
    if code not in ("shape", "value"):
        assert key in error.reason or str(value) in error.reason


def test_crc() -> None:
    x = np.arange(4.0).tobytes()
    assert decode_frame(raw(crc=zlib.crc32(x))).n == 2
    assert error_of(raw(crc=zlib.crc32(x) ^ 1)).code == "crc"


def test_bad_rows_are_refused_alone_with_their_first_fault() -> None:
    nan, inf = np.nan, np.inf
    x = np.array(
        [[1, 2], [inf, 0], [nan, nan], [nan, -inf], [3, nan], [1, 1], [2, 2], [0, 1.1e100], [9, 9]])
    t = np.array([0, nan, 0, 0, 1, nan, 2, 0, 3])
    w = np.array([1, 1, 1, 1, 2, 1, 0, 1, 3.0])
    data = raw(n=9, x=x.tobytes(), t=t.tobytes(), w=w.tobytes(), id=[0, 1, 2, 3, "four", 5, 6, 7, None])
    frame = decode_frame(data)
    assert_array_equal(frame.x, [[1, 2], [3, nan]])
    assert_array_equal(frame.t, [0, 1])
    assert_array_equal(frame.w, [1, 2])
    assert frame.id == (0, "four")
    assert frame.n_sent == 9
    assert [(row, code, reason.split(":")[0]) for row, code, reason in frame.refused] == [
        (1, "value", "x"), (2, "value", "x"), (3, "value", "x"), (5, "value", "t"), (6, "value", "w"),
        (7, "value", "x"), (8, "type", "id")]
    assert "at least one value" in frame.refused[1].reason


@given(hnp.arrays(np.float64, SHAPES, elements=st.floats(width=64)), st.data())
def test_each_row_is_judged_by_itself(x: Any, data: st.DataObject) -> None:
    n, d = x.shape
    w = data.draw(hnp.arrays(np.float64, n, elements=st.floats(width=64)))
    good = [all(np.isnan(v) or abs(v) <= 1e100 for v in row) and not np.isnan(row).all() and 0 < u <= 1e100
            for row, u in zip(x.tolist(), w.tolist(), strict=True)]
    message = raw(n=n, d=d, x=x.tobytes(), w=w.tobytes())
    if not any(good):
        assert error_of(message).code == "value"
        return
    frame = decode_frame(message)
    assert_array_equal(frame.x, x[good])
    assert [row for row, _, _ in frame.refused] == [i for i in range(n) if not good[i]]


@pytest.mark.parametrize(("dtype", "bits"), [("f8", "<Q"), ("f4", "<I")])
def test_signalling_nans_raise_no_warning_and_come_out_quiet(dtype: str, bits: str) -> None:
    signalling = struct.pack(bits, 0x7FF0000000000001 if dtype == "f8" else 0x7F800001)
    one = np.ones(1, "<" + dtype).tobytes()
    frame = decode_frame(raw(n=2, d=2, dtype=dtype, x=one + signalling + signalling + one))
    assert np.isnan(frame.x).tolist() == [[False, True], [True, False]]
    assert {value.tobytes() for value in frame.x[np.isnan(frame.x)]} == {np.float64(np.nan).tobytes()}


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("shape", {"x": [1.0, 2.0]}),
        ("shape", {"x": [[1.0], [1.0, 2.0]]}),
        ("value", {"x": np.ones((0, 2))}),
        ("type", {"x": [["1.5"]]}),
        ("type", {"x": [[True]]}),
        ("type", {"x": [[None]]}),
        ("type", {"x": [[1j]]}),
        ("value", {"x": [[1e39]], "dtype": "f4"}),
        ("value", {"x": [[1.0], [np.inf]]}),
        ("dtype", {"x": [[1.0]], "dtype": "f2"}),
        ("shape", {"x": [[1.0]], "t": [1.0, 2.0]}),
        ("value", {"x": [[1.0]], "w": [0.0]}),
        ("value", {"x": [[1.0, 2.0]], "features": ["a", "a"]}),
        ("limit", {"x": [[1.0]], "source": "s" * 257}),
        ("type", {"x": [[1.0]], "source": 5}),
        ("type", {"x": [[1.0]], "id": [object()]}),
        ("type", {"x": [[1.0]], "id": [2**70]}),
        ("value", {"x": [[1.0]], "seq": -1}),
    ],
)
def test_a_client_hears_of_its_own_mistakes(code: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        encode_points(**arguments)
    assert caught.value.code == code


def test_a_client_may_pass_integers_numpy_ids_and_any_memory_order() -> None:
    x = np.asfortranarray(np.arange(6).reshape(2, 3))
    frame = decode_frame(encode_points(x[:, ::-1], id=list(np.array([3, 4]))))
    assert frame.x.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert frame.id == (3, 4)
