"""The fast form of ingest: rows as one block of little-endian numbers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError, show
from ..limits import SEQ_MAX, Limits
from ..messages import F8, Frame, RowId
from .rows import check_cells, keep_good, row_ids, within
from .wire import VERSION, Map, names, natural, text, vector, wrong

F8_LE: np.dtype[Any] = np.dtype("<f8")
DTYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "f8": F8_LE}
KEYS = frozenset(("kind", "v", "source", "seq", "n", "d", "dtype", "x", "t", "w", "id", "features", "crc"))


def sender(message: Map) -> tuple[str | None, int | None]:
    """Return `source` and `seq`, None where they are left out."""
    source = text(message, "source") if "source" in message else None
    seq = natural(message, "seq", 0, SEQ_MAX) if "seq" in message else None
    return source, seq


def decode_points(message: Map, limits: Limits) -> Frame:
    """Return the rows of a `points` message whose keys are known; raises ProtocolError."""
    source, seq = sender(message)
    x = _block(message, limits)
    n, d = x.shape
    t = vector(message, "t", F8_LE, n) if "t" in message else None
    w = vector(message, "w", F8_LE, n) if "w" in message else None
    ids, bad_id = _ids(message, n) if "id" in message else (None, None)
    features = None
    if "features" in message:
        features = names(message, "features")
        if len(features) != d:
            raise ProtocolError("shape", f"features: expected {d} names, got {len(features)}")
    frame = Frame(x, n, source, seq, features, t, w, ids)
    good = within(x) and (t is None or within(t)) and (w is None or (within(w) and w.min() > 0))
    return frame if good and bad_id is None else keep_good(frame, bad_id)


def _block(message: Map, limits: Limits) -> F8:
    n = natural(message, "n", 1, limits.rows)
    d = natural(message, "d", 1, limits.features)
    check_cells(n, d, limits)
    name = text(message, "dtype")
    dtype = DTYPES.get(name)
    if dtype is None:
        raise ProtocolError("dtype", f"dtype: expected f4 or f8, got {show(name)}")
    flat = vector(message, "x", dtype, n * d)
    if "crc" in message:
        expected = natural(message, "crc", 0, 2**32 - 1)
        if zlib.crc32(message["x"]) != expected:
            raise ProtocolError("crc", f"crc: {expected} does not match x")
    if name == "f4":
        with np.errstate(invalid="ignore"):  # widening a signalling NaN
            flat = flat.astype(np.float64)
    return flat.reshape(n, d)


def _ids(message: Map, n: int) -> tuple[tuple[RowId, ...], npt.NDArray[np.bool_] | None]:
    value = message["id"]
    if type(value) is not list:
        raise wrong("id", "an array of strings and integers", value)
    if len(value) != n:
        raise ProtocolError("shape", f"id: expected {n} items, got {len(value)}")
    return row_ids(value)


def points_map(
    x: npt.ArrayLike, *, source: str | None = None, seq: int | None = None, t: npt.ArrayLike | None = None,
    w: npt.ArrayLike | None = None, id: Sequence[str | int] | None = None,
    features: Sequence[str] | None = None, dtype: Literal["f4", "f8"] = "f8", crc: bool = False,
) -> Map:
    """Return the map of a `points` message, not yet checked against the limits or for bad rows."""
    if dtype not in DTYPES:
        raise ProtocolError("dtype", f"dtype: expected f4 or f8, got {show(dtype)}")
    rows = _numbers("x", x, 2)
    with np.errstate(over="ignore", invalid="ignore"):  # too large for f4 becomes inf, and is refused as that
        data = np.ascontiguousarray(rows, DTYPES[dtype]).tobytes()
    n, d = rows.shape
    message: Map = {"kind": "points", "v": VERSION, "n": n, "d": d, "dtype": dtype, "x": data}
    if crc:
        message["crc"] = zlib.crc32(data)
    for key, column in (("t", t), ("w", w)):
        if column is not None:
            message[key] = np.ascontiguousarray(_numbers(key, column, 1), F8_LE).tobytes()
    for key, value in (("source", source), ("seq", seq)):
        if value is not None:
            message[key] = value
    for key, items in (("id", id), ("features", features)):
        if items is not None:
            message[key] = [item.item() if isinstance(item, np.generic) else item for item in items]
    return message


def _numbers(key: str, value: npt.ArrayLike, ndim: int) -> npt.NDArray[Any]:
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        raise ProtocolError("shape", f"{key}: expected {ndim} dimensions, got unequal lengths") from None
    if array.ndim != ndim:
        raise ProtocolError("shape", f"{key}: expected {ndim} dimensions, got {array.ndim}")
    if array.dtype.kind not in "fiu":
        raise ProtocolError("type", f"{key}: expected numbers, got an array of {array.dtype}"[:120])
    return array


