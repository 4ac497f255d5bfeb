"""Hellos, acks and nacks: there and back, and any bytes."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.protocol import (
    CODES,
    SEQ_MAX,
    Ack,
    Hello,
    Limits,
    Nack,
    ProtocolError,
    decode_frame,
    decode_hello,
    decode_receipt,
    encode_events,
    encode_hello,
    encode_points,
    encode_receipt,
    renumbered,
    sender_of,
)
from tests.protocol.test_hostile import PLAIN, mutated, seeds, tried

NAMES = st.text(max_size=50)
COUNTS = st.integers(0, SEQ_MAX)
MAYBE = st.none() | COUNTS
ACKS = st.builds(
    Ack, NAMES, st.integers(-1, SEQ_MAX), COUNTS, COUNTS, st.sampled_from(("fsync", "os", "off")), MAYBE
)
NACKS = st.builds(
    Nack, st.integers(-1, SEQ_MAX), st.sampled_from(CODES), st.text(max_size=200), st.none() | NAMES, MAYBE
)


@given(st.builds(Hello, NAMES, MAYBE, MAYBE))
def test_hellos_come_back(hello: Hello) -> None:
    assert decode_hello(encode_hello(hello)) == hello


@given(ACKS | NACKS)
def test_receipts_come_back(receipt: Ack | Nack) -> None:
    assert decode_receipt(encode_receipt(receipt)) == receipt


def test_the_names_are_those_of_the_protocol() -> None:
    ack = msgpack.unpackb(encode_receipt(Ack("s", 4, 256, 1 << 24, "fsync")))
    assert ack == {
        "kind": "ack", "v": 1, "source": "s", "seq": 4, "credit": 256, "credit_bytes": 1 << 24,
        "durability": "fsync",
    }  # fmt: skip
    nack = msgpack.unpackb(encode_receipt(Nack(4, "crc", "does not match")))
    assert nack == {"kind": "nack", "v": 1, "seq": 4, "code": "crc", "reason": "does not match"}


ACK: dict[str, Any] = msgpack.unpackb(encode_receipt(Ack("s", 4, 256, 1 << 24, "fsync")))
NACK: dict[str, Any] = {"kind": "nack", "v": 1, "seq": 0, "code": "gap", "reason": "r", "expected": 3}
HELLO: dict[str, Any] = {"kind": "hello", "v": 1, "source": "s", "session": 5}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("kind", {**ACK, "kind": "points"}),
        ("version", {**ACK, "v": 2}),
        ("missing_key", {key: value for key, value in ACK.items() if key != "seq"}),
        ("missing_key", {key: value for key, value in NACK.items() if key != "seq"}),
        ("unknown_key", {**ACK, "code": "gap"}),
        ("unknown_key", {**NACK, "credit": 3}),
        ("value", {**ACK, "seq": -2}),
        ("value", {**ACK, "durability": "disk"}),
        ("value", {**NACK, "code": "because"}),
        ("type", {**ACK, "credit": 1.5}),
        ("type", {**NACK, "source": 5}),
        ("limit", {**NACK, "reason": "r" * 2000}),
    ],
)
def test_bad_receipts(code: str, message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_receipt(msgpack.packb(message))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("kind", {**HELLO, "kind": "points"}),
        ("missing_key", {"kind": "hello", "v": 1}),
        ("unknown_key", {**HELLO, "seq": 1}),
        ("type", {**HELLO, "session": "me"}),
        ("value", {**HELLO, "probe": -1}),
        ("limit", {**HELLO, "source": "s" * 300}),
    ],
)
def test_bad_hellos(code: str, message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_hello(msgpack.packb(message))
    assert caught.value.code == code


@given(st.dictionaries(st.sampled_from(sorted({*ACK, *NACK, *HELLO})), PLAIN))
def test_any_values_under_the_known_keys(fields: dict[str, Any]) -> None:
    for kind in ("ack", "nack", "hello"):
        data = msgpack.packb({**fields, "kind": kind, "v": 1})
        for decode in (decode_hello, decode_receipt, sender_of):
            tried(decode, data)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for decode in (decode_hello, decode_receipt):
        tried(decode, data)
    source, seq = sender_of(data)
    assert source is None or isinstance(source, str)
    assert seq is None or 0 <= seq <= SEQ_MAX


def test_mutations() -> None:
    rng = random.Random(3)
    good = [msgpack.packb(message) for message in (ACK, NACK, HELLO)] + seeds()
    for _ in range(5_000):
        data = mutated(rng.choice(good), rng)
        for decode in (decode_hello, decode_receipt, sender_of):
            tried(decode, data)


@given(st.sampled_from(range(len(seeds()))), st.integers(0, 2**63 - 1))
def test_the_sender_of_a_good_frame_is_the_frames(which: int, seq: int) -> None:
    data = renumbered(seeds()[which], seq)
    frame = decode_frame(data)
    assert sender_of(data) == (frame.source, frame.seq)
    assert frame.seq == seq


def test_the_sender_of_what_cannot_be_taken() -> None:
    big = encode_events([{"x": {"a": 1.0}}] * 100, source="s", seq=3)
    assert sender_of(big, Limits(rows=10)) == ("s", 3)
    points = msgpack.unpackb(encode_points(np.ones((4, 2)), source="s", seq=3))
    assert sender_of(msgpack.packb({**points, "deep": [[[[[[[[[[]]]]]]]]]]})) == ("s", 3)
    for source, seq in ((5, 3), ("s", -1), ("s", 1 << 63), ("s", 1.5), ("s" * 300, 3)):
        found = sender_of(msgpack.packb({**points, "source": source, "seq": seq}))
        assert found in ((None, 3), ("s", None), (None, None))
    for nothing in (b"", b"\xc1", msgpack.packb(7), msgpack.packb(["source", "s"])):
        assert sender_of(nothing) == (None, None)


def test_a_renumbered_frame_is_the_same_but_for_its_number() -> None:
    for data in seeds():
        before, after = decode_frame(data), decode_frame(renumbered(data, 99))
        assert after.seq == 99
        assert (before.source, before.features, before.id) == (after.source, after.features, after.id)
        np.testing.assert_array_equal(before.x, after.x)
