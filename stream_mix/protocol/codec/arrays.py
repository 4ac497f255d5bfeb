"""Arrays and trees of plain values as MessagePack maps: closed set of element types, no ext types, no pickle.

An array is {"dtype", "shape", "data"}; an integer beyond 64 bits is {"bigint": bin}, two's complement in
little-endian order.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError, show
from ..limits import Limits
from .wire import Map, need, wrong

DTYPES = {name: np.dtype(name) for name in ("<f8", "<f4", "<i8", "|u1", "|b1")}
_ARRAY_KEYS = frozenset(("dtype", "shape", "data"))
_BIGINT_KEYS = frozenset(("bigint",))
_BIGINT_BYTES = 64
_DIMENSIONS = 8


def pack_array(array: npt.NDArray[Any]) -> Map:
    """Return an array of float64, float32, int64, uint8 or bool as a map.

    Raises ProtocolError: dtype for any other element type, shape for more than 8 dimensions.

    >>> pack_array(np.array([[1.0], [2.0]]))["shape"]
    [2, 1]
    """
    name = array.dtype.newbyteorder("<").str
    if name not in DTYPES:
        raise ProtocolError("dtype", f"array: expected one of {', '.join(DTYPES)}, got {array.dtype}"[:120])
    if array.ndim > _DIMENSIONS:
        raise ProtocolError("shape", f"array: expected at most {_DIMENSIONS} dimensions, got {array.ndim}")
    data = array.astype(DTYPES[name], copy=False).tobytes()
    return {"dtype": name, "shape": list(array.shape), "data": data}


def unpack_array(value: object, key: str = "array") -> npt.NDArray[Any]:
    """Return the array that a map describes, read-only; raises ProtocolError dtype, shape, type, value.

    >>> unpack_array({"dtype": "<f8", "shape": [1, 1], "data": bytes(8)}).tolist()
    [[0.0]]
    >>> unpack_array({"dtype": "|O", "shape": [1], "data": bytes(8)})
    Traceback (most recent call last):
    stream_mix.protocol.errors.ProtocolError: array.dtype: expected one of <f8, <f4, <i8, |u1, |b1, got '|O'
    """
    if type(value) is not dict or value.keys() != _ARRAY_KEYS:
        raise wrong(key, "an array (a map of dtype, shape and data)", value)
    name, shape, data = value["dtype"], value["shape"], value["data"]
    dtype = DTYPES.get(name) if type(name) is str else None
    if dtype is None:
        raise ProtocolError("dtype", f"{key}.dtype: expected one of {', '.join(DTYPES)}, got {show(name)}")
    # Every length is bounded by itself too: with one of them 0 the product says nothing about the others.
    fits = type(shape) is list and len(shape) <= _DIMENSIONS
    if not fits or not all(type(s) is int and 0 <= s <= 2**40 for s in shape):
        raise ProtocolError("shape", f"{key}.shape: expected up to {_DIMENSIONS} lengths, got {show(shape)}")
    if type(data) is not bytes:
        raise wrong(f"{key}.data", "bin", data)
    if len(data) != prod(shape) * dtype.itemsize:
        raise ProtocolError("shape", f"{key}.data: {len(data)} bytes do not make the announced shape")
    if name == "|b1" and any(data.translate(None, b"\x00\x01")):
        raise ProtocolError("value", f"{key}.data: expected bytes 0 and 1 for bool")
    return np.frombuffer(data, dtype).reshape(shape)


def floats(message: Map, key: str) -> npt.NDArray[np.float64]:
    """Return a required array of float64."""
    array = unpack_array(need(message, key), key)
    if array.dtype != np.float64:
        raise ProtocolError("dtype", f"{key}.dtype: expected <f8, got {array.dtype.str}")
    return array


def pack_tree(value: object, nesting: int, key: str = "tree") -> Any:
    """Return a tree of plain values and arrays in the form it takes on the wire; tuples become arrays.

    Raises ProtocolError: type (no plain form, or a key that is not a string), value (a map that would read as
    an array or a big integer), limit (deeper than `nesting`).
    """
    if value is None or type(value) in (bool, float, str, bytes):
        return value
    if type(value) is int:
        return value if -(2**63) <= value < 2**64 else _pack_bigint(value, key)
    if isinstance(value, np.ndarray):
        return pack_array(value)
    if isinstance(value, np.bool_ | np.integer | np.floating):
        return value.item()
    if nesting < 1:
        raise ProtocolError("limit", f"{key[:80]}: nested too deep")
    if isinstance(value, list | tuple):
        return [pack_tree(item, nesting - 1, key) for item in value]
    if isinstance(value, dict):
        return _pack_map(value, nesting, key)
    raise wrong(key[:80], "a plain value or an array", value)


def _pack_map(value: dict[Any, Any], nesting: int, key: str) -> Map:
    if not all(type(name) is str for name in value):
        raise ProtocolError("type", f"{key[:80]}: expected keys that are strings")
    if value.keys() in (_ARRAY_KEYS, _BIGINT_KEYS):
        raise ProtocolError("value", f"{key[:80]}: a map of just these keys would be read as another thing")
    return {name: pack_tree(item, nesting - 1, f"{key}.{name}") for name, item in value.items()}


def _pack_bigint(value: int, key: str) -> Map:
    size = value.bit_length() // 8 + 1
    if size > _BIGINT_BYTES:
        expected = f"expected integers of at most {_BIGINT_BYTES} bytes, got {size}"
        raise ProtocolError("limit", f"{key[:80]}: {expected}")
    return {"bigint": value.to_bytes(size, "little", signed=True)}


def unpack_tree(
    value: Any, limits: Limits, key: str = "tree", *, writable: bool = False, depth: int = 0
) -> Any:
    """Return the tree that `pack_tree` was given; arrays are read-only views unless `writable`.

    Raises ProtocolError: limit (deeper than limits.nesting) and what `unpack_array` raises.
    """
    if type(value) is not dict and type(value) is not list:
        return value
    if type(value) is dict:
        if value.keys() == _ARRAY_KEYS:
            array = unpack_array(value, key[:80])
            return array.copy() if writable else array
        if value.keys() == _BIGINT_KEYS:
            return _unpack_bigint(value["bigint"], key)
    if depth >= limits.nesting:
        raise ProtocolError("limit", f"{key[:80]}: expected at most {limits.nesting} levels")
    if type(value) is list:
        return [unpack_tree(item, limits, key, writable=writable, depth=depth + 1) for item in value]
    tree = {}
    for name, item in value.items():
        if type(name) is not str:
            raise ProtocolError("type", f"{key[:80]}: expected keys that are strings, got {show(name)}")
        path = f"{key[:80]}.{ascii(name[:40])[1:-1]}"
        tree[name] = unpack_tree(item, limits, path, writable=writable, depth=depth + 1)
    return tree


def _unpack_bigint(value: object, key: str) -> int:
    if type(value) is not bytes or not 0 < len(value) <= _BIGINT_BYTES:
        raise wrong(key[:80], f"an integer of 1 to {_BIGINT_BYTES} bytes", value)
    return int.from_bytes(value, "little", signed=True)
