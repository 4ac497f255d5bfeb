"""Model state as bytes: a header of magic, format version and CRC, then one tree."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

from ..errors import ProtocolError, show
from ..limits import STATE_LIMITS, Limits
from .arrays import pack_tree, unpack_tree
from .wire import Data, pack, unpack

MAGIC = b"smst"
STATE_VERSION = 1
_HEADER = struct.Struct("<4sHI")


def pack_state(tree: Mapping[str, Any]) -> bytes:
    """Return a tree of plain values and arrays as bytes that `unpack_state` turns back, bit for bit.

    Plain: None, bool, int (up to 64 bytes), float, str, bytes, list, dict with string keys; arrays of
    float64, float32, int64, uint8 and bool. Tuples come back as lists and NumPy scalars as Python's.
    Raises ProtocolError for anything else.

    >>> unpack_state(pack_state({"rng": 2**127 + 1, "rows": [1, None]}))
    {'rng': 170141183460469231731687303715884105729, 'rows': [1, None]}
    """
    body = pack(pack_tree(dict(tree), STATE_LIMITS.nesting, "state"))
    return _HEADER.pack(MAGIC, STATE_VERSION, zlib.crc32(body)) + body


def unpack_state(data: Data, limits: Limits = STATE_LIMITS) -> dict[str, Any]:
    """Return the tree that `pack_state` was given; its arrays are fresh and writable.

    Raises ProtocolError: not_msgpack (no such header), version, crc, and what reading the tree raises.

    >>> unpack_state(b"something else")
    Traceback (most recent call last):
    stream_mix.protocol.errors.ProtocolError: state: expected a header of 10 bytes, smst first
    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ProtocolError("type", f"state: expected bytes, got {show(data)}")
    view = memoryview(data).cast("B")
    if len(view) < _HEADER.size or bytes(view[:4]) != MAGIC:
        raise ProtocolError("not_msgpack", f"state: expected a header of {_HEADER.size} bytes, smst first")
    _, version, crc = _HEADER.unpack_from(view)
    if version != STATE_VERSION:
        raise ProtocolError("version", f"state: expected format {STATE_VERSION}, got {version}")
    body = view[_HEADER.size :]
    if zlib.crc32(body) != crc:
        raise ProtocolError("crc", f"state: checksum of {len(body)} bytes does not match")
    tree = unpack_tree(unpack(body, limits), limits, "state", writable=True)
    if type(tree) is not dict:
        raise ProtocolError("type", f"state: expected a map, got {show(tree)}")
    return tree
