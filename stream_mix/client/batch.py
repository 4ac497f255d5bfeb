"""Rows on their way into frames: gathered, and cut to what a frame may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..protocol import Code, Limits, ProtocolError, encode_events, encode_points
from .base import ClientError, Event
from .points import Points, each

VALUE_BYTES = 16
"""About what a number takes in an event, its name included."""
EVERY_ROW: frozenset[Code] = frozenset(("shape", "dtype", "version", "kind"))
"""What is wrong with all rows if it is wrong with one."""


class Ready(NamedTuple):
    """A frame to be sent, and its rows."""

    raw: bytes
    rows: int


class Batch:
    """Rows that wait for their frame, in order; `rows` of them, in about `size` bytes."""

    def __init__(self, limits: Limits) -> None:
        self.rows = self.size = 0
        self._limits = limits
        self._parts: list[list[dict[str, Any]] | list[Points]] = []

    def add(self, rows: Any, t: Any, w: Any, id: Any) -> None:
        """One event, a sequence of events, one row or rows of numbers. Raises ClientError, nothing added."""
        if isinstance(rows, Mapping):
            self._events([rows], t, w, id)
        elif isinstance(rows, Sequence) and len(rows) and isinstance(rows[0], Mapping):
            self._events(rows, t, w, id)
        else:
            self._points(rows, t, w, id)

    def frames(self, source: str | None, seq: int | None, features: Sequence[str] | None) -> Iterator[Ready]:
        """All rows, in as few frames as the limits allow, numbered from `seq`; the batch is empty then.

        A row that no engine would take is left out. Raises ClientError behind the others, with the first
        reason.
        """
        parts, self._parts, self.rows, self.size = self._parts, [], 0, 0
        refused: list[ProtocolError] = []
        for part in parts:
            cut = self._of_events(part) if isinstance(part[0], dict) else self._of_points(part, features)
            for n, make in cut:
                for ready in _halved(make, 0, n, refused, source, seq, self._limits):
                    yield ready
                    seq = None if seq is None else seq + 1
        if refused:
            many = "" if len(refused) == 1 else f"{len(refused)} rows are left out, the first: "
            raise ClientError(f"send: {many}{refused[0].reason}") from None

    def _events(self, rows: Sequence[Event], t: Any, w: Any, id: Any) -> None:
        n = len(rows)
        columns = {"t": each(t, n, "t"), "w": each(w, n, "w"), "id": each(id, n, "id")}
        events: list[dict[str, Any]] = []
        for i, row in enumerate(rows):
            event: dict[str, Any] = {"x": _present(row)}
            event |= {key: column[i] for key, column in columns.items() if column is not None}
            events.append(event)
        self._join(events, n, VALUE_BYTES * sum(len(row) + 1 for row in rows if isinstance(row, Mapping)))

    def _points(self, rows: Any, t: Any, w: Any, id: Any) -> None:
        try:
            x = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        except (TypeError, ValueError):
            raise ClientError("send: rows are neither maps of features nor an array of numbers") from None
        points = Points(x, *(each(v, len(x), key) for v, key in ((t, "t"), (w, "w"), (id, "id"))))
        if len(x):
            self._join([points], len(x), x.nbytes)

    def _join(self, part: list[Any], rows: int, size: int) -> None:
        last = self._parts[-1] if self._parts else None
        same = last is not None and type(last[0]) is type(part[0])
        if last is not None and same and (isinstance(part[0], dict) or last[-1].fits(part[0])):  # type: ignore[union-attr]  # points
            last.extend(part)
        else:
            self._parts.append(part)
        self.rows += rows
        self.size += size

    def _of_events(self, events: list[Any]) -> Iterator[tuple[int, Callable[..., bytes]]]:
        most = max(1, min(len(events), self._limits.rows))
        for start in range(0, len(events), most):
            part = events[start : start + most]

            def make(first: int, last: int, part: list[Any] = part, **more: Any) -> bytes:
                return encode_events(part[first:last], **more)

            yield len(part), make

    def _of_points(
        self, points: list[Any], features: Sequence[str] | None
    ) -> Iterator[tuple[int, Callable[..., bytes]]]:
        whole = Points.joined(points)
        n, d = whole.x.shape
        longest = 0 if whole.id is None else max(len(str(name).encode()) + 5 for name in whole.id)
        names = sum(len(name.encode()) + 5 for name in features or ())
        limits = self._limits
        room = limits.frame_bytes - names - 512
        most = min(limits.rows, limits.cells // max(d, 1), room // (8 * (d + 2) + longest)) if d else 1
        for start in range(0, n, max(1, most)):
            part = whole.cut(start, start + max(1, most))

            def make(first: int, last: int, part: Points = part, **more: Any) -> bytes:
                own = part.cut(first, last)
                return encode_points(own.x, t=own.t, w=own.w, id=own.id, features=features, **more)

            yield len(part.x), make


def _halved(
    make: Callable[..., bytes], first: int, last: int, refused: list[ProtocolError], source: str | None,
    seq: int | None, limits: Limits,
) -> Iterator[Ready]:  # fmt: skip
    """Rows first <= i < last as one frame or, where that is too long or has a bad row, as two, and so on."""
    try:
        raw = make(first, last, source=source, seq=seq, limits=limits)
    except ProtocolError as error:
        if last - first == 1 or error.code in EVERY_ROW:
            refused.append(error)
            return
    else:
        yield Ready(raw, last - first)
        return
    middle = (first + last) // 2
    for ready in _halved(make, first, middle, refused, source, seq, limits):
        yield ready
        seq = None if seq is None else seq + 1
    yield from _halved(make, middle, last, refused, source, seq, limits)


def _present(row: Event) -> Event:
    """The row without features that are None."""
    if isinstance(row, Mapping) and any(value is None for value in row.values()):
        return {name: value for name, value in row.items() if value is not None}
    return row
