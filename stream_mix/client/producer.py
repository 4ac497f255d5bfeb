"""Sends rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from ..protocol import DEFAULT_LIMITS, Limits, ProtocolError, encode_events, encode_points
from .base import PUSH, Client, ClientError, Event, KeysLike, RowsLike
from .points import Points, each


class Producer(Client):
    """Sends rows to an engine's push endpoint; frames are numbered, so that the engine can count gaps.

    - `source`: names this producer; None sends frames without a number.
    - `batch_rows`: rows gathered before a frame leaves; `flush` and `close` send what is there.
    - `features`: names of the columns of rows that are arrays; None goes by position.
    - `timeout`: seconds to wait for an engine that takes a frame; `linger`: for the last ones to leave on
      close.
    - `keys`: secret file of this producer, where the engine asks for keys; its name, or one that begins with
      it and a stroke, must be the `source`.

    PUSH is fire and forget: what was on its way to an engine that dies is lost, and nobody is told.
    """

    def __init__(
        self,
        endpoint: str = PUSH,
        *,
        source: str | None = None,
        batch_rows: int = 1,
        features: Sequence[str] | None = None,
        timeout: float = 5.0,
        linger: float = 10.0,
        limits: Limits = DEFAULT_LIMITS,
        start_seq: int = 0,
        keys: KeysLike = None,
    ) -> None:
        if batch_rows < 1:
            raise ClientError(f"batch_rows is {batch_rows}, expected at least 1")
        super().__init__(endpoint, zmq.PUSH, linger, keys)
        self.source = source
        self.seq = start_seq
        self.rows_sent = 0
        self.features = tuple(features) if features is not None else None
        self._batch_rows = batch_rows
        self._timeout = timeout
        self._limits = limits
        self._events: list[dict[str, Any]] = []
        self._points: list[Points] = []
        self._waiting = 0
        # Without IMMEDIATE frames would be queued for a connection that may never come.
        self._socket.set(zmq.IMMEDIATE, 1)
        self._socket.set(zmq.SNDTIMEO, round(timeout * 1000))
        self._connect()

    def send(
        self,
        rows: RowsLike,
        *,
        t: npt.ArrayLike | None = None,
        w: npt.ArrayLike | None = None,
        id: Sequence[str | int] | str | int | None = None,
    ) -> None:
        """Send one event (a map of features), several (a sequence of maps), one row (d,) or rows (n, d) of
        numbers. A feature that is None, or is not there, is a missing value.

        t: event times in Unix seconds, w: weights > 0, id: names of the rows; one for each row, a single
            one for a single row. Raises ClientError where nobody takes a frame in time, or a row cannot be
            sent.
        """
        self._check()
        if isinstance(rows, Mapping):
            self._add_events([rows], t, w, id)
        elif isinstance(rows, Sequence) and len(rows) and isinstance(rows[0], Mapping):
            self._add_events(rows, t, w, id)  # type: ignore[arg-type]  # maps, as the first one is
        else:
            self._add_points(rows, t, w, id)
        if self._waiting >= self._batch_rows:
            self.flush()

    def _add_events(self, rows: Sequence[Event], t: Any, w: Any, id: Any) -> None:
        if self._points:
            self.flush()
        n = len(rows)
        columns = {"t": each(t, n, "t"), "w": each(w, n, "w"), "id": each(id, n, "id")}
        for i, row in enumerate(rows):
            event: dict[str, Any] = {"x": _present(row)}
            event |= {key: column[i] for key, column in columns.items() if column is not None}
            self._events.append(event)
        self._waiting += n

    def _add_points(self, rows: Any, t: Any, w: Any, id: Any) -> None:
        try:
            x = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        except (TypeError, ValueError):
            raise ClientError("send: rows are neither maps of features nor an array of numbers") from None
        points = Points(x, *(each(v, len(x), key) for v, key in ((t, "t"), (w, "w"), (id, "id"))))
        if self._events or (self._points and not self._points[-1].fits(points)):
            self.flush()
        if len(x):
            self._points.append(points)
            self._waiting += len(x)

    def flush(self) -> None:
        """Send all rows that wait, in as few frames as the limits allow. What cannot be sent is dropped,
        and said."""
        self._check()
        events, points = self._events, self._points
        self._events, self._points, self._waiting = [], [], 0
        if events:
            self._send_events(events)
        if points:
            self._send_points(Points.joined(points))

    def send_raw(self, frame: bytes) -> None:
        """Send the bytes of a frame as they are. Raises ClientError where nobody takes it in time."""
        self._check()
        try:
            self._socket.send(frame)
        except zmq.Again:
            within = f"within {self._timeout:g} s"
            why = f"nobody took a frame {within}; is an engine running there?"
            if self._refused():
                why = "does not let this key in"
            raise ClientError(f"{self.endpoint}: {why}") from None

    def _numbered(self, make: Any, n: int, **parts: Any) -> None:
        try:
            frame = make(
                **parts,
                source=self.source,
                seq=None if self.source is None else self.seq,
                limits=self._limits,
            )
        except ProtocolError as error:
            raise ClientError(f"send: {error.reason}") from None
        self.send_raw(frame)
        self.seq += 1
        self.rows_sent += n

    def _send_events(self, events: list[dict[str, Any]]) -> None:
        # A number takes up to 9 bytes and its name; what is too long all the same is halved until it fits.
        most = max(1, min(len(events), self._limits.rows))
        for start in range(0, len(events), most):
            part = events[start : start + most]
            try:
                self._numbered(encode_events, len(part), rows=part)
            except ClientError as error:
                if len(part) == 1 or not isinstance(error.__context__, ProtocolError):
                    raise
                if error.__context__.code not in ("too_large", "limit"):
                    raise
                self._send_events(part[: len(part) // 2])
                self._send_events(part[len(part) // 2 :])

    def _send_points(self, points: Points) -> None:
        n, d = points.x.shape
        longest = (
            max((len(str(name).encode()) + 5 for name in points.id), default=0)
            if points.id is not None
            else 0
        )
        names = sum(len(name.encode()) + 5 for name in self.features or ())
        room = self._limits.frame_bytes - names - 512
        limits = self._limits
        most = min(limits.rows, limits.cells // max(d, 1), room // (8 * (d + 2) + longest)) if d else 1
        for start in range(0, n, max(1, most)):
            part = points.cut(start, start + max(1, most))
            self._numbered(
                encode_points, len(part.x), x=part.x, t=part.t, w=part.w, id=part.id, features=self.features
            )

    def close(self) -> None:
        """Send what waits and close, giving the last frames up to `linger` seconds to leave."""
        if os.getpid() != self._pid or self._socket.closed:
            return
        try:
            self.flush()
        finally:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            Client.close(self)


def _present(row: Event) -> Event:
    """The row without features that are None."""
    if isinstance(row, Mapping) and any(value is None for value in row.values()):
        return {name: value for name, value in row.items() if value is not None}
    return row
