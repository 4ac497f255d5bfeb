"""Ingest frames: decode what a producer sent, encode what a client sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ...mixture.kernels import read_points
from ..errors import ProtocolError
from ..limits import DEFAULT_LIMITS, SEQ_MAX, VALUE_MAX, Limits
from ..messages import Frame
from . import events, points
from .wire import VERSION, Data, Map, kind_of, only_keys, open_map, pack, wrong

KINDS = frozenset(("points", "events"))
_QUERY_KEYS = frozenset(("model",))


def decode_frame(data: Data, limits: Limits = DEFAULT_LIMITS) -> Frame:
    """Return the rows of one ingest message, either form, bad rows refused alone.

    Never raises anything but ProtocolError, whatever the bytes, and never takes memory beyond a multiple of
    the message's own length and limits.cells. Where a map repeats a key the last one counts.

    >>> frame = decode_frame(encode_events([{"x": {"a": 1, "b": 2.5}}, {"x": {"b": 4.0}, "id": "second"}]))
    >>> frame.features, frame.x.tolist(), frame.id
    (('a', 'b'), [[1.0, 2.5], [nan, 4.0]], (None, 'second'))
    """
    if type(data) is bytes and (frame := _plain_points(data, limits)) is not None:
        return frame
    message = open_map(data, limits)
    if kind_of(message, KINDS) == "points":
        only_keys(message, points.KEYS)
        return points.decode_points(message, limits)
    only_keys(message, events.KEYS)
    return events.decode_events(message, limits)


def _plain_points(data: bytes, limits: Limits) -> Frame | None:
    """The rows of a `points` message of which all are good; None where the message has to be looked at."""
    if len(data) > limits.frame_bytes:
        return None
    found = read_points(
        data, limits.rows, limits.features, limits.cells, limits.string, SEQ_MAX, VALUE_MAX
    )
    if found is None:
        return None
    source, seq, x, t, w, features = found
    if features is not None and len(set(features)) < len(features):
        return None
    return Frame(x, len(x), source, seq, features, t, w)


def decode_rows(message: Map, limits: Limits) -> Frame:
    """Return the rows that a predict or score query carries, in either form; raises ProtocolError."""
    form = events if "rows" in message else points
    only_keys(message, form.KEYS | _QUERY_KEYS)
    return events.decode_events(message, limits) if form is events else points.decode_points(message, limits)


def encode_points(
    x: npt.ArrayLike, *, source: str | None = None, seq: int | None = None, t: npt.ArrayLike | None = None,
    w: npt.ArrayLike | None = None, id: Sequence[str | int] | None = None,
    features: Sequence[str] | None = None, dtype: Literal["f4", "f8"] = "f8", crc: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """Return a `points` message of the (n, d) rows `x`, NaN = missing, with (n,) times `t` and weights `w`.

    Raises ProtocolError with the code that an engine of these limits would give, also for a single bad row.

    >>> decode_frame(encode_points([[1.0, 2.0]], source="me", seq=0, t=[1.7e9])).x
    array([[1., 2.]])
    >>> encode_points([[1.0, float("inf")]])
    Traceback (most recent call last):
    stream_mix.protocol.errors.ProtocolError: no good row of 1; row 0: x: expected numbers ...
    """
    message = points.points_map(
        x, source=source, seq=seq, t=t, w=w, id=id, features=features, dtype=dtype, crc=crc)
    return _checked(message, limits)


def encode_events(
    rows: Sequence[Mapping[str, Any]], *, source: str | None = None, seq: int | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """Return an `events` message of rows {"x": {feature: number, ...}, optional "t", "w", "id"}.

    Raises ProtocolError with the code that an engine of these limits would give, also for a single bad row.

    >>> encode_events([{"x": {"a": "seven"}}])
    Traceback (most recent call last):
    stream_mix.protocol.errors.ProtocolError: no good row of 1; row 0: x['a']: expected a number, got 'seven'
    """
    return _checked(events_map(rows, source=source, seq=seq), limits)


def events_map(
    rows: Sequence[Mapping[str, Any]], *, source: str | None = None, seq: int | None = None
) -> Map:
    """Return the map of an `events` message, NumPy scalars made plain, not yet checked."""
    if isinstance(rows, Mapping | str | bytes):
        raise wrong("rows", "a sequence of maps", rows)
    message: Map = {"kind": "events", "v": VERSION, "rows": [_plain(row) for row in rows]}
    for key, value in (("source", source), ("seq", seq)):
        if value is not None:
            message[key] = value
    return message


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _checked(message: Map, limits: Limits) -> bytes:
    data = pack(message)
    refused = decode_frame(data, limits).refused
    if refused:
        raise ProtocolError(refused[0].code, f"row {refused[0].row}: {refused[0].reason}")
    return data
