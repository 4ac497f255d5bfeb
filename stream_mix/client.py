"""Talk to a running engine from one's own program: `Producer` sends rows, `Subscriber` hears, `Query` asks.

    with Producer("tcp://127.0.0.1:5555", source="sensor-7") as producer:
        producer.send({"temperature": 20.5, "humidity": 0.4})

Each is for one thread, and for the process that made it. What goes wrong is a `ClientError`, one line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import zmq
from zmq.utils.monitor import recv_monitor_message

from .protocol import (
    DEFAULT_LIMITS,
    ErrorReply,
    Health,
    Limits,
    Prediction,
    ProtocolError,
    Published,
    Reply,
    Scores,
    Snapshot,
    decode_published,
    decode_reply,
    encode_events,
    encode_points,
    encode_query,
)

Event: TypeAlias = Mapping[str, float]
_Answer = TypeVar("_Answer", Snapshot, Health, Prediction, Scores)
QueryKind = Literal["snapshot", "predict", "score", "health"]
RowsLike: TypeAlias = Event | Sequence[Event] | npt.ArrayLike

PUSH = "tcp://127.0.0.1:5555"
PUBLISH = "tcp://127.0.0.1:5556"
QUERY = "tcp://127.0.0.1:5557"
KINDS = ("assignment", "snapshot", "change")


class ClientError(ValueError):
    """The engine cannot be reached, or refuses; the message is one line."""


class _Client:
    """A socket with a context of its own, refused in any process but the one that made it."""

    def __init__(self, endpoint: str, kind: int, linger: float) -> None:
        self.endpoint = endpoint
        self._pid = os.getpid()
        self._linger = linger
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.set(zmq.LINGER, round(linger * 1000))

    def _connect(self) -> None:
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self._abandon()
            raise ClientError(f"{self.endpoint}: cannot be connected to ({error.strerror})") from None

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise ClientError(f"{self.endpoint}: made in another process; make a new one after a fork")
        if self._socket.closed:
            raise ClientError(f"{self.endpoint}: closed")

    def _abandon(self) -> None:
        self._socket.close(linger=0)
        self._context.term()

    def close(self) -> None:
        """Close; a second call does nothing. In another process than the one that made it, nothing is
        touched."""
        if os.getpid() == self._pid and not self._socket.closed:
            self._socket.close()
            self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Producer(_Client):
    """Sends rows to an engine's push endpoint; frames are numbered, so that the engine can count gaps.

    - `source`: names this producer; None sends frames without a number.
    - `batch_rows`: rows gathered before a frame leaves; `flush` and `close` send what is there.
    - `features`: names of the columns of rows that are arrays; None goes by position.
    - `timeout`: seconds to wait for an engine that takes a frame; `linger`: for the last ones to leave on
      close.

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
    ) -> None:
        if batch_rows < 1:
            raise ClientError(f"batch_rows is {batch_rows}, expected at least 1")
        super().__init__(endpoint, zmq.PUSH, linger)
        self.source = source
        self.seq = start_seq
        self.rows_sent = 0
        self.features = tuple(features) if features is not None else None
        self._batch_rows = batch_rows
        self._timeout = timeout
        self._limits = limits
        self._events: list[dict[str, Any]] = []
        self._points: list[_Points] = []
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
        numbers.

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
        columns = {"t": _each(t, n, "t"), "w": _each(w, n, "w"), "id": _each(id, n, "id")}
        for i, row in enumerate(rows):
            event: dict[str, Any] = {"x": row}
            event |= {key: column[i] for key, column in columns.items() if column is not None}
            self._events.append(event)
        self._waiting += n

    def _add_points(self, rows: Any, t: Any, w: Any, id: Any) -> None:
        try:
            x = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        except (TypeError, ValueError):
            raise ClientError("send: rows are neither maps of features nor an array of numbers") from None
        points = _Points(x, *(_each(v, len(x), key) for v, key in ((t, "t"), (w, "w"), (id, "id"))))
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
            self._send_points(_Points.joined(points))

    def send_raw(self, frame: bytes) -> None:
        """Send the bytes of a frame as they are. Raises ClientError where nobody takes it in time."""
        self._check()
        try:
            self._socket.send(frame)
        except zmq.Again:
            within = f"within {self._timeout:g} s"
            why = f"nobody took a frame {within}; is an engine running there?"
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

    def _send_points(self, points: _Points) -> None:
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
            _Client.close(self)


class _Points:
    """Rows of numbers that wait for their frame."""

    def __init__(self, x: npt.NDArray[np.float64], t: Any = None, w: Any = None, id: Any = None) -> None:
        self.x, self.t, self.w, self.id = x, t, w, id

    def fits(self, other: _Points) -> bool:
        """Whether both can be part of one frame."""
        mine = [column is None for column in (self.t, self.w, self.id)]
        return self.x.shape[1] == other.x.shape[1] and mine == [
            c is None for c in (other.t, other.w, other.id)
        ]

    def cut(self, start: int, stop: int) -> _Points:
        parts = (None if column is None else column[start:stop] for column in (self.t, self.w, self.id))
        return _Points(self.x[start:stop], *parts)

    @classmethod
    def joined(cls, parts: list[_Points]) -> _Points:
        if len(parts) == 1:
            return parts[0]
        columns = []
        for key in ("t", "w", "id"):
            own = [getattr(part, key) for part in parts]
            columns.append(None if own[0] is None else [item for column in own for item in column])
        return cls(np.concatenate([part.x for part in parts]), *columns)


def _each(value: Any, n: int, key: str) -> Any:
    """One value for each of n rows, or None; a single value serves a single row."""
    if value is None:
        return None
    if isinstance(value, str | int | float) or np.ndim(value) == 0:
        value = [value]
    if len(value) != n:
        raise ClientError(f"send: {key} has {len(value)} values, expected {n}, one for each row")
    return value.tolist() if isinstance(value, np.ndarray) else list(value)


class Subscriber(_Client):
    """Hears what an engine publishes, as records of `stream_mix.protocol`; iterate over it.

    - `model`: only this model's messages, and heartbeats where `kinds` has them.
    - `kinds`: of `assignment`, `snapshot`, `change` and `heartbeat`.
    - `timeout`: iteration ends after so many seconds without a message; None waits for ever.

    A subscriber that is too slow misses messages: offsets (and `pub_seq`) show where.
    """

    def __init__(
        self,
        endpoint: str = PUBLISH,
        *,
        model: str | None = None,
        kinds: Sequence[str] = KINDS,
        timeout: float | None = None,
        high_water_mark: int = 100_000,
    ) -> None:
        unknown = [kind for kind in kinds if kind not in (*KINDS, "heartbeat")]
        if unknown or isinstance(kinds, str):
            raise ClientError(f"kinds is {kinds!r}, expected some of {', '.join((*KINDS, 'heartbeat'))}")
        super().__init__(endpoint, zmq.SUB, 0.0)
        self.timeout = timeout
        self._socket.set(zmq.RCVHWM, high_water_mark)
        for kind in kinds:
            # A name may be the beginning of another one: the rest is sorted out in `receive`.
            topic = kind if kind == "heartbeat" else f"{kind}/{model or ''}"
            self._socket.set(zmq.SUBSCRIBE, topic.encode())
        self._model = model
        self._monitor: zmq.Socket[bytes] | None = self._socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED
        )
        self._monitor.set(zmq.RCVHWM, 0)
        self._connect()

    def connected(self, timeout: float = 5.0) -> bool:
        """Whether an engine has answered, waiting up to `timeout` seconds for the first time that one does.

        What is published before that is not heard: wait for it before rows are sent whose answers matter.
        """
        self._check()
        if self._monitor is not None and self._monitor.poll(round(timeout * 1000)):
            recv_monitor_message(self._monitor)
            self._forget_monitor()
        return self._monitor is None

    def _forget_monitor(self) -> None:
        if self._monitor is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._monitor = None

    def close(self) -> None:
        """Close; a second call does nothing."""
        if os.getpid() == self._pid and not self._socket.closed:
            self._forget_monitor()
            super().close()

    def receive(self, timeout: float | None = None) -> Published | None:
        """The next message, or None where none came within `timeout` seconds (None: wait for ever)."""
        self._check()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0, round((until - time.monotonic()) * 1000))
            if not self._socket.poll(left):
                return None
            try:
                message = decode_published(self._socket.recv_multipart())
            except ProtocolError as error:
                raise ClientError(f"{self.endpoint}: not an engine's message: {error.reason}") from None
            if self._model is None or getattr(message, "model", self._model) == self._model:
                return message

    def __iter__(self) -> Iterator[Published]:
        while (message := self.receive(self.timeout)) is not None:
            yield message


class Query(_Client):
    """Asks an engine; nothing it asks changes a model.

    - `timeout`: seconds to wait for an answer.
    """

    def __init__(
        self, endpoint: str = QUERY, *, timeout: float = 5.0, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__(endpoint, zmq.REQ, 0.0)
        self._timeout = timeout
        self._limits = limits
        # An answer that comes too late must not be taken for that to the next question.
        self._socket.set(zmq.REQ_CORRELATE, 1)
        self._socket.set(zmq.REQ_RELAXED, 1)
        self._connect()

    def snapshot(self, model: str | None = None) -> Snapshot:
        """The whole model; None is the engine's only one."""
        return self._ask(Snapshot, "snapshot", model=model)

    def health(self) -> Health:
        """How the engine and its models are doing."""
        return self._ask(Health, "health")

    def predict(
        self, rows: RowsLike, *, model: str | None = None, features: Sequence[str] | None = None
    ) -> Prediction:
        """Responsibilities, labels, log densities and outlier scores of rows, as `Producer.send` takes
        them."""
        return self._ask(Prediction, "predict", model=model, **_rows(rows, features))

    def score(
        self, rows: RowsLike, *, model: str | None = None, features: Sequence[str] | None = None
    ) -> Scores:
        """Log densities of rows."""
        return self._ask(Scores, "score", model=model, **_rows(rows, features))

    def _ask(self, want: type[_Answer], kind: QueryKind, **parts: Any) -> _Answer:
        self._check()
        try:
            self._socket.send(encode_query(kind, limits=self._limits, **parts))
            if not self._socket.poll(round(self._timeout * 1000)):
                why = f"no answer within {self._timeout:g} s; is an engine running there?"
                raise ClientError(f"{self.endpoint}: {why}")
            reply: Reply = decode_reply(self._socket.recv())
        except ProtocolError as error:
            raise ClientError(f"{kind}: {error.reason}") from None
        if isinstance(reply, ErrorReply):
            raise ClientError(f"{kind}: {reply.reason}")
        if not isinstance(reply, want):
            raise ClientError(f"{kind}: answered by another kind of message")
        return reply


def _rows(rows: RowsLike, features: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(rows, Mapping):
        return {"rows": [{"x": rows}]}
    if isinstance(rows, Sequence) and len(rows) and isinstance(rows[0], Mapping):
        return {"rows": [{"x": row} for row in rows]}
    try:
        return {"x": np.atleast_2d(np.asarray(rows, dtype=np.float64)), "features": features}
    except (TypeError, ValueError):
        raise ClientError("rows are neither maps of features nor an array of numbers") from None
