"""Bytes from strangers: only ProtocolError, short printable reasons, little memory."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.protocol import (
    CODES,
    Assignment,
    Limits,
    ProtocolError,
    decode_frame,
    decode_published,
    decode_query,
    decode_reply,
    encode_events,
    encode_points,
    encode_published,
    encode_query,
    pack_state,
    unpack_state,
)

POINTS = {"kind": "points", "v": 1}
CASES: dict[str, tuple[str, bytes]] = {
    "not msgpack": ("not_msgpack", b"\xc1\xff\x00garbage"),
    "empty": ("empty", b""),
    "a number": ("type", msgpack.packb(7)),
    "an array": ("type", msgpack.packb([1, 2])),
    "nil": ("type", msgpack.packb(None)),
    "unknown kind": ("kind", msgpack.packb({"kind": "nope", "v": 1})),
    "future version": ("version", msgpack.packb({"kind": "points", "v": 99})),
    "short x": ("shape", msgpack.packb({**POINTS, "n": 10, "d": 4, "dtype": "f8", "x": b"123"})),
    "huge shape": ("limit", msgpack.packb({**POINTS, "n": 2**40, "d": 0, "dtype": "f8", "x": b""})),
    "negative n": ("value", msgpack.packb({**POINTS, "n": -1, "d": 4, "dtype": "f8", "x": b""})),
    "object dtype": ("dtype", msgpack.packb({**POINTS, "n": 1, "d": 1, "dtype": "O", "x": b"12345678"})),
    "deep arrays": ("limit", b"\x91" * 5000 + b"\xc0"),
    "deep arrays, short": ("type", b"\x91" * 400 + b"\xc0"),
    "deep maps": ("limit", b"\x81\xa1a" * 5000 + b"\xc0"),
    "text for a number": (
        "value", msgpack.packb({"kind": "events", "v": 1, "rows": [{"x": {"f0": "seven"}}]})),
    "trailing byte": ("not_msgpack", encode_points([[1.0]]) + b"\x00"),
    "trailing byte, long": ("not_msgpack", encode_points(np.ones((100, 2))) + b"\x00"),
    "cut short": ("not_msgpack", encode_points([[1.0]])[:-1]),
    "cut short, long": ("not_msgpack", encode_points(np.ones((100, 2)))[:-1]),
    "bad utf-8": ("not_msgpack", b"\x82\xa4kind\xa2\xff\xfe\xa1v\x01"),
    "bad utf-8 in a key": ("not_msgpack", b"\x81\xa2\xff\xfe\x01"),
    "extension type": ("not_msgpack", msgpack.packb({"kind": msgpack.ExtType(5, b"abc"), "v": 1})),
    "timestamp": ("not_msgpack", msgpack.packb({"kind": msgpack.Timestamp(1, 2), "v": 1})),
    "integer key": ("not_msgpack", b"\x81\x01\x02"),
    "nil key": ("not_msgpack", b"\x81\xc0\x02"),
    "array as a key": ("not_msgpack", b"\x81\x90\x02"),
    "bin keys": ("missing_key", msgpack.packb({b"kind": "points", b"v": 1})),
    "long string": ("limit", msgpack.packb({"kind": "k" * 10000, "v": 1})),
    "deep value of an unknown key": ("unknown_key", msgpack.packb({**POINTS, "z": [[[[[[]]]]]]})),
}


@pytest.mark.parametrize("name", CASES)
def test_known_cases(name: str) -> None:
    code, data = CASES[name]
    for form in (bytes, bytearray, memoryview):
        with pytest.raises(ProtocolError) as caught:
            decode_frame(form(data))
        assert caught.value.code == code
        assert len(caught.value.reason) < 200
        assert caught.value.reason.isprintable()


@pytest.mark.parametrize("data", [None, 5, "text", [b"a", b"b"], np.zeros(3)])
def test_what_is_not_bytes_is_refused_too(data: Any) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(data)


def test_control_characters_are_escaped_and_quotes_kept_short() -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_frame(msgpack.packb({"kind": "\x1b[2J\n" * 50, "v": 1}))
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 150


def tried(decode: Callable[[Any], Any], data: Any) -> None:
    """Decode; a ProtocolError fit for a table is the only way out that is not success."""
    try:
        decode(data)
    except ProtocolError as error:
        assert error.code in CODES
        assert error.reason.isprintable()
        assert len(error.reason) < 300


def seeds() -> list[bytes]:
    x = np.arange(12.0).reshape(4, 3)
    x[1, 1] = np.nan
    columns: dict[str, Any] = {
        "t": np.arange(4.0), "w": np.ones(4), "id": ["a", 1, "b", 2], "features": list("abc")}
    row = {"x": {"a": 1.5, "b": 2, "c": -1e9}, "t": 1.7e9, "w": 0.5, "id": "one"}
    return [
        encode_points(x, source="s", seq=3, crc=True, **columns),
        encode_points(x, dtype="f4"),
        encode_points(np.ones((80, 2))),
        encode_events([row], source="s", seq=4),
        encode_events([row, {"x": {"d": 5.0}, "t": 3}] * 8),
    ]


TYPE_BYTES = b"\x80\x90\xa0\xc0\xc1\xc4\xc7\xcb\xdc\xdd\xdf\xff"


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(changed)) if changed else 0
        match rng.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([changed[at] ^ 1 << rng.randrange(8)]) if changed else b""
            case 1:
                del changed[at:]
            case 2:
                changed[at : at + 1] = rng.choice(TYPE_BYTES).to_bytes()
            case 3:
                changed[at:at] = rng.randbytes(rng.randrange(1, 9))
            case 4:
                del changed[at : at + rng.randrange(1, 9)]
            case _:
                changed[at : at + 8] = rng.randbytes(8)
    return bytes(changed)


def test_twenty_thousand_mutations_of_good_frames() -> None:
    rng, good = random.Random(1), seeds()
    for _ in range(20_000):
        tried(decode_frame, mutated(rng.choice(good), rng))


def test_every_truncation_of_good_frames() -> None:
    for data in seeds():
        for length in range(len(data)):
            with pytest.raises(ProtocolError):
                decode_frame(data[:length])


def test_mutations_of_queries_answers_and_state() -> None:
    label = np.array([1], np.int64)
    said = Assignment(
        "m", 0, 1, (1, 2), label, np.ones((1, 2), "f4"), np.ones(1), np.ones(1, "f4"), id=("a",))
    topic, body = encode_published(said)
    state = pack_state({"a": np.ones(3), "b": [2**100, None, {"c": "d"}]})
    query = encode_query("predict", model="m", x=[[1.0, 2.0]])
    rng = random.Random(2)
    for _ in range(2_000):
        tried(lambda data: decode_published([topic, data]), mutated(body, rng))
        tried(decode_reply, mutated(body, rng))
        tried(decode_query, mutated(query, rng))
        tried(unpack_state, mutated(state, rng))


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for decode in (decode_frame, decode_query, decode_reply, unpack_state):
        tried(decode, data)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["source", "seq", "n", "d", "dtype", "x", "t", "w", "id", "features", "crc", "rows", "model"])


@given(st.sampled_from(["points", "events", "predict"]), st.dictionaries(KEYS, PLAIN))
def test_any_values_under_the_known_keys(kind: str, fields: dict[str, Any]) -> None:
    data = msgpack.packb({"kind": kind, "v": 1, **fields})
    tried(decode_frame, data)
    tried(decode_query, data)


def peak(data: bytes, limits: Limits) -> int:
    """Return the most memory, in bytes, that decoding took at any one time."""
    tracemalloc.start()
    try:
        tried(lambda data: decode_frame(data, limits), data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


HEAD = b"\x83\xa4kind\xa6events\xa1v\x01\xa4rows"
CLAIMS = {
    "arrays in arrays, each of 65535": b"\xdc\xff\xff" * 400,
    "in a short frame": b"\xdc\x02\x00" * 170,
    "behind a good head": HEAD + b"\xdd\x00\x00\xff\xff" * 300,
    "an array of 4 G": HEAD + b"\xdd\xff\xff\xff\xff" + bytes(2000),
    "a map of 4 G": HEAD + b"\xdf\xff\xff\xff\xff" + bytes(2000),
    "bin of 4 GB": HEAD + b"\xc6\xff\xff\xff\xff" + bytes(2000),
    "a string of 4 GB": HEAD + b"\xdb\xff\xff\xff\xff" + bytes(2000),
    "points of 2**32 rows": msgpack.packb({**POINTS, "n": 2**32, "d": 2**20, "dtype": "f8", "x": bytes(800)}),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_huge_claim_takes_little_memory(name: str) -> None:
    assert peak(CLAIMS[name], Limits()) < 2_000_000


def test_full_frames_take_a_bounded_multiple_of_their_length() -> None:
    limits = Limits(frame_bytes=200_000)
    empties = b"\x93" + (b"\xdc\xff\xff" + b"\x80" * 65535) * 3
    rows = b"\x81\xa1x\x81\xa1a\x01" * 28_000
    names = msgpack.packb([{"x": {f"{i:03}": 1}} for i in range(1000)])
    wide = HEAD + b"\xdc\x70\xe8" + names[3:] + b"\x81\xa1x\x81\xa1a\x01" * 27_904
    for data in (empties, HEAD + b"\xdc\x6d\x60" + rows, HEAD + b"\xdc\xff\xff" + rows, wide[:200_000]):
        assert len(data) <= limits.frame_bytes
        assert peak(data, limits) < 100 * limits.frame_bytes


def test_a_few_wide_rows_among_many_short_ones_ask_for_no_huge_array() -> None:
    names = {f"f{j}": 1.0 for j in range(1000)}
    data = encode_events([{"x": names}] + [{"x": {"a": 1.0}}] * 900)
    short = msgpack.unpackb(data)
    short["rows"] += [{"x": {"a": 1}}] * 20_000
    data = msgpack.packb(short)
    with pytest.raises(ProtocolError, match="20901 rows of 1001 features: expected at most 1048576 cells"):
        decode_frame(data)
    assert peak(data, Limits()) < 40_000_000
