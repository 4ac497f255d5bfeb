"""What acknowledged ingest says beside its frames: a producer's hello, and the engine's ack and nack."""

from __future__ import annotations

from typing import Any, cast, get_args

import msgpack

from ..errors import CODES, ProtocolError, show
from ..limits import DEFAULT_LIMITS, SEQ_MAX, Limits
from ..messages import Ack, Durability, Hello, Nack, Receipt
from .wire import VERSION, Data, Map, kind_of, natural, only_keys, open_map, pack, text

_HELLO = frozenset(("kind", "v", "source", "session", "probe"))
_ACK = frozenset(("kind", "v", "source", "seq", "credit", "credit_bytes", "durability", "probe"))
_NACK = frozenset(("kind", "v", "seq", "code", "reason", "source", "expected"))
RECEIPTS = Limits(frame_bytes=4096, rows=16, features=32, string=1024)
"""For what an engine answers: a few short values."""


def encode_hello(hello: Hello) -> bytes:
    """Return the bytes of a hello.

    >>> decode_hello(encode_hello(Hello("me", session=7)))
    Hello(source='me', session=7, probe=None)
    """
    message: Map = {"kind": "hello", "v": VERSION, "source": hello.source}
    return pack(message | _given(session=hello.session, probe=hello.probe))


def decode_hello(data: Data, limits: Limits = DEFAULT_LIMITS) -> Hello:
    """Return the hello in a message; raises only ProtocolError, whatever the bytes."""
    message = open_map(data, limits)
    kind_of(message, ("hello",))
    only_keys(message, _HELLO)
    return Hello(text(message, "source"), _or_none(message, "session"), _or_none(message, "probe"))


def encode_receipt(receipt: Receipt) -> bytes:
    """Return the bytes of an ack or a nack.

    >>> decode_receipt(encode_receipt(Nack(7, "gap", "frame 5 is expected", "me", 5)))
    Nack(seq=7, code='gap', reason='frame 5 is expected', source='me', expected=5)
    """
    match receipt:
        case Ack():
            message: Map = {
                "kind": "ack", "v": VERSION, "source": receipt.source, "seq": receipt.seq,
                "credit": receipt.credit, "credit_bytes": receipt.credit_bytes,
                "durability": receipt.durability, **_given(probe=receipt.probe),
            }  # fmt: skip
        case Nack():
            message = {
                "kind": "nack", "v": VERSION, "seq": receipt.seq, "code": receipt.code,
                "reason": receipt.reason, **_given(source=receipt.source, expected=receipt.expected),
            }  # fmt: skip
    return pack(message)


def decode_receipt(data: Data, limits: Limits = RECEIPTS) -> Receipt:
    """Return the ack or nack in a message; raises only ProtocolError, whatever the bytes."""
    message = open_map(data, limits)
    seq_or_none = natural(message, "seq", -1, SEQ_MAX) if "seq" in message else None
    if kind_of(message, ("ack", "nack")) == "nack":
        only_keys(message, _NACK)
        code = text(message, "code")
        if code not in CODES:
            raise ProtocolError("value", f"code: {show(code)} is not known")
        source = text(message, "source") if "source" in message else None
        return Nack(_seq(seq_or_none), code, text(message, "reason"), source, _or_none(message, "expected"))
    only_keys(message, _ACK)
    durability = text(message, "durability")
    if durability not in get_args(Durability):
        raise ProtocolError("value", f"durability: expected fsync, os or off, got {show(durability)}")
    return Ack(
        text(message, "source"), _seq(seq_or_none), natural(message, "credit"),
        natural(message, "credit_bytes"), cast(Durability, durability), _or_none(message, "probe"),
    )  # fmt: skip


def sender_of(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[str | None, int | None]:
    """Return `source` and `seq` of bytes that cannot be taken as a frame, each None where they do not say.

    Other values are passed over and not built, so that a frame with too much in it can still be answered.

    >>> sender_of(pack({"kind": "nonsense", "source": "me", "rows": [[[[[]]]]], "seq": 3}))
    ('me', 3)
    """
    reader = msgpack.Unpacker(
        None, max_buffer_size=max(len(data), 1), raw=False, max_str_len=limits.string, max_bin_len=0,
        max_array_len=0, max_map_len=0, max_ext_len=0,
    )  # fmt: skip
    found: dict[str, Any] = {}
    try:
        reader.feed(data)
        for _ in range(min(reader.read_map_header(), limits.features)):
            key = reader.unpack()
            if key in ("source", "seq"):
                found[key] = reader.unpack()
            else:
                reader.skip()
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException):
        # What was found before the message stopped making sense counts.
        pass
    source, seq = found.get("source"), found.get("seq")
    right = type(seq) is int and 0 <= seq <= SEQ_MAX
    return source if type(source) is str else None, seq if right else None


def renumbered(data: bytes, seq: int) -> bytes:
    """Return a frame of one's own under another `seq`."""
    message = msgpack.unpackb(data, raw=False)
    return pack({**message, "seq": seq})


def _given(**values: Any) -> Map:
    return {key: value for key, value in values.items() if value is not None}


def _or_none(message: Map, key: str) -> int | None:
    return natural(message, key, 0, SEQ_MAX) if key in message else None


def _seq(seq: int | None) -> int:
    if seq is None:
        raise ProtocolError("missing_key", "seq: missing")
    return seq
