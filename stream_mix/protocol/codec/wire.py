"""One MessagePack value to and from bytes, under limits, and the getters that every message uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import msgpack
import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError, show
from ..limits import Limits

VERSION = 1

Data = bytes | bytearray | memoryview
Map = dict[str, Any]

# In a message this short an array can claim no more slots than the message has bytes, at a third as many
# levels: under 1 MB in the worst case, so that the walk below is not worth its time.
SHORT = 512

_UNPACK_ERRORS = (ValueError, TypeError, OverflowError, RecursionError, msgpack.exceptions.UnpackException)


def unpack(data: Data, limits: Limits) -> object:
    """Return the one MessagePack value that `data` holds, as plain Python values.

    Raises ProtocolError: empty, too_large, not_msgpack (malformed, cut short, trailing bytes, bad UTF-8, ext
    types and timestamps), limit (a string, array or map over the limits, or hundreds of levels deep).

    >>> unpack(bytes([0x92, 1, 2]), Limits())
    [1, 2]
    """
    if type(data) is not bytes:
        data = _as_bytes(data, limits)
    size = len(data)
    if size > limits.frame_bytes:
        raise ProtocolError("too_large", f"message of {size} bytes: expected at most {limits.frame_bytes}")
    if not size:
        raise ProtocolError("empty", "message: expected a map, got no bytes")
    try:
        if size > SHORT:
            _walk(data, size)
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=limits.string,
            max_bin_len=limits.frame_bytes,
            max_array_len=limits.rows if size > limits.rows else size,
            max_map_len=limits.features if limits.features > 32 else 32,
            max_ext_len=0,
        )
    except ProtocolError:
        raise
    except _UNPACK_ERRORS as error:
        _explain(error)


def _as_bytes(data: object, limits: Limits) -> bytes:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise ProtocolError("type", f"message: expected bytes, got {show(data)}")
    size = memoryview(data).nbytes
    if size > limits.frame_bytes:
        raise ProtocolError("too_large", f"message of {size} bytes: expected at most {limits.frame_bytes}")
    return bytes(data)


def _walk(data: bytes, size: int) -> None:
    # The reader makes room for as many items as an array claims, at every level, before it sees one of them:
    # 2,000 bytes can claim 32 MB. Walking the message first builds nothing and finds claims that the bytes do
    # not honour.
    unpacker = msgpack.Unpacker(None, max_buffer_size=size)
    unpacker.feed(data)
    try:
        unpacker.skip()
    except msgpack.exceptions.OutOfData:
        raise ProtocolError("not_msgpack", f"message of {size} bytes: ends too early") from None
    if unpacker.tell() != size:
        end = unpacker.tell()
        raise ProtocolError("not_msgpack", f"message of {size} bytes: its one value ends at byte {end}")


def _explain(error: Exception) -> NoReturn:
    # The reader's own texts hold only numbers and type names, except for bad UTF-8, which is not repeated.
    text = ascii(str(error))[1:-1][:80]
    if isinstance(error, msgpack.exceptions.StackError | RecursionError):
        raise ProtocolError("limit", "message: nested too deep") from None
    if isinstance(error, UnicodeDecodeError):
        raise ProtocolError("not_msgpack", "message: a string is not UTF-8") from None
    if isinstance(error, msgpack.exceptions.ExtraData):
        raise ProtocolError("not_msgpack", "message: bytes follow its one value") from None
    if "max_ext_len" in text:
        raise ProtocolError("not_msgpack", "message: extension types are not accepted") from None
    if "exceeds max_" in text:
        raise ProtocolError("limit", f"message: {text}") from None
    raise ProtocolError("not_msgpack", f"message: not MessagePack ({text or type(error).__name__})") from None


def pack(value: object) -> bytes:
    """Return `value` as MessagePack; raises ProtocolError("type") for a value that has no plain form.

    >>> pack([1, 2]).hex()
    '920102'
    """
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = f"message: cannot be written as MessagePack ({ascii(str(error))[:80]})"
        raise ProtocolError("type", reason) from None
    return packed


def open_map(data: Data, limits: Limits) -> Map:
    """Return the message as a map of the version spoken here; keys other than `v` are not looked at.

    Raises ProtocolError: what `unpack` raises, type, missing_key, version.
    """
    message = unpack(data, limits)
    if type(message) is not dict:
        raise ProtocolError("type", f"message: expected a map, got {show(message)}")
    version = message.get("v")
    if version is None and "v" not in message:
        raise ProtocolError("missing_key", "v: missing, expected the protocol version 1")
    if type(version) is not int or version != VERSION:
        raise ProtocolError("version", f"v: expected {VERSION}, got {show(version)}")
    return message


def kind_of(message: Map, known: Iterable[str]) -> str:
    """Return the message's kind, one of `known`; raises ProtocolError kind, missing_key or type."""
    kind = text(message, "kind")
    if kind not in known:
        raise ProtocolError("kind", f"kind: expected one of {', '.join(sorted(known))}, got {show(kind)}")
    return kind


def only_keys(message: Mapping[Any, Any], allowed: frozenset[str]) -> None:
    """Refuse a map with keys outside `allowed`: a misspelt optional key would be lost without a word."""
    if not message.keys() <= allowed:
        unknown = next(key for key in message if key not in allowed)
        known = ", ".join(sorted(allowed))
        raise ProtocolError("unknown_key", f"{show(unknown)}: unknown key, expected some of {known}")


def need(message: Map, key: str) -> Any:
    """Return the value of a required key, raising ProtocolError("missing_key")."""
    try:
        return message[key]
    except KeyError:
        raise ProtocolError("missing_key", f"{key}: missing") from None


def wrong(key: str, expected: str, value: object) -> ProtocolError:
    """Return the error for a value of the wrong type."""
    return ProtocolError("type", f"{key}: expected {expected}, got {show(value)}")


def text(message: Map, key: str) -> str:
    """Return a required string."""
    value = need(message, key)
    if type(value) is not str:
        raise wrong(key, "a string", value)
    return value


def natural(message: Map, key: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return a required integer in [least, most]: type, value (too small) or limit (too large) otherwise."""
    value = need(message, key)
    if type(value) is not int:
        raise wrong(key, "an integer", value)
    if value < least:
        raise ProtocolError("value", f"{key}: expected an integer of at least {least}, got {value}")
    if value > most:
        raise ProtocolError("limit", f"{key}: expected at most {most}, got {value}")
    return value


def number_or_none(message: Map, key: str) -> float | None:
    """Return a required number, or None where it is nil."""
    value = need(message, key)
    if value is None:
        return None
    if type(value) is not float and type(value) is not int:
        raise wrong(key, "a number or nil", value)
    return float(value)


def integers(message: Map, key: str) -> tuple[int, ...]:
    """Return a required array of integers."""
    value = need(message, key)
    if type(value) is not list or not all(type(item) is int for item in value):
        raise wrong(key, "an array of integers", value)
    return tuple(value)


def names(message: Map, key: str) -> tuple[str, ...]:
    """Return a required array of distinct strings."""
    value = need(message, key)
    if type(value) is not list or not all(type(item) is str for item in value):
        raise wrong(key, "an array of strings", value)
    if len(set(value)) != len(value):
        raise ProtocolError("value", f"{key}: expected distinct strings")
    return tuple(value)


def submap(message: Map, key: str) -> Map:
    """Return a required map."""
    value = need(message, key)
    if type(value) is not dict:
        raise wrong(key, "a map", value)
    return value


def vector(message: Map, key: str, dtype: np.dtype[Any], count: int) -> npt.NDArray[Any]:
    """Return a required bin of `count` elements as a read-only (count,) array; type or shape otherwise."""
    value = need(message, key)
    if type(value) is not bytes:
        raise wrong(key, "bin", value)
    if len(value) != count * dtype.itemsize:
        expected = f"{count * dtype.itemsize} bytes ({count} of {dtype.itemsize})"
        raise ProtocolError("shape", f"{key}: expected {expected}, got {len(value)}")
    return np.frombuffer(value, dtype)
