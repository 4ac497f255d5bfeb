"""Sends rows."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

import numpy.typing as npt
import zmq

from ..protocol import DEFAULT_LIMITS, Durability, Limits, Nack
from .acked import Acked, Unsafe
from .base import ACKED, PUSH, REFUSED_KEY, Client, ClientError, KeysLike, RowsLike
from .batch import Batch


class Producer(Client):
    """Sends rows to an engine, by its push endpoint or, `acked`, by the one that acknowledges them.

    - `endpoint`: None is the usual one of this machine.
    - `source`: names this producer; None sends frames without a number (not where they are acknowledged).
    - `batch_rows`, `batch_bytes`, `batch_seconds`: a frame leaves when it has so many rows, so many bytes
      (about), or when its first row has waited so long, whichever is first; `flush` and `close` send what is
      there. Nothing happens between calls: a program with nothing to send calls `poll` now and then.
    - `features`: names of the columns of rows that are arrays; None goes by position.
    - `timeout`: seconds to wait for an engine that takes a frame; `linger`: for the last ones on close.
    - `start_seq`: number of the first frame. Where frames are acknowledged, None goes on behind what the
      engine has of this source; with a number, frames that it has already are passed over, so that a program
      that sends the same rows again in the same frames goes on where it was.
    - `keys`: secret file of this producer, where the engine asks for keys; its name, or one that begins with
      it and a stroke, must be the `source`.

    PUSH is fire and forget: what was on its way to an engine that dies is lost, and nobody is told. With
    `acked` every row is held until the engine says that it is durable: frames are sent again after a silence
    and to an engine that was restarted, and none is learned twice. One producer at a time speaks for a
    source; a newer one supersedes it.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        acked: bool = False,
        source: str | None = None,
        batch_rows: int = 1,
        batch_bytes: int | None = None,
        batch_seconds: float | None = None,
        features: Sequence[str] | None = None,
        timeout: float = 5.0,
        linger: float = 10.0,
        limits: Limits = DEFAULT_LIMITS,
        start_seq: int | None = None,
        keys: KeysLike = None,
    ) -> None:
        if batch_rows < 1:
            raise ClientError(f"batch_rows is {batch_rows}, expected at least 1")
        kind = zmq.DEALER if acked else zmq.PUSH
        super().__init__(endpoint or (ACKED if acked else PUSH), kind, 0.0 if acked else linger, keys)
        self.source = source
        self.rows_sent = self.frames_sent = 0
        self.features = tuple(features) if features is not None else None
        self._linger = linger
        self._seq = start_seq or 0
        self._bounds = (batch_rows, batch_bytes or limits.frame_bytes, batch_seconds)
        self._since = 0.0
        self._timeout = timeout
        self._batch = Batch(limits)
        self._acked: Acked | None = None
        if acked:
            try:
                self._acked = Acked(self._socket, self._handshakes, self.endpoint, source, start_seq)
            except ClientError:
                self._abandon()
                raise
        else:
            # Without IMMEDIATE frames would be queued for a connection that may never come.
            self._socket.set(zmq.IMMEDIATE, 1)
        self._connect()

    @property
    def seq(self) -> int:
        """The number of the next frame; where frames are acknowledged, 0 until an engine has answered."""
        return self._seq if self._acked is None else self._acked.window.seq or 0

    @property
    def unsafe(self) -> Unsafe:
        """Rows that are not acknowledged, those that wait for their frame among them; on PUSH only these."""
        window = self._acked.window if self._acked is not None else None
        return Unsafe(self._batch.rows + (window.rows if window else 0), window.frames if window else 0)

    @property
    def refused(self) -> tuple[Nack, ...]:
        """Frames that the engine refused for good, the first 1000; `wait` and `close` raise for new ones."""
        return tuple(self._acked.window.refused) if self._acked is not None else ()

    @property
    def lost(self) -> int:
        """Acknowledged frames that an engine without a durable journal has forgotten."""
        return self._acked.window.lost if self._acked is not None else 0

    @property
    def durability(self) -> Durability | None:
        """What the engine said in its latest ack that a commit survives; None before, and on PUSH."""
        return self._acked.window.durability if self._acked is not None else None

    @property
    def known(self) -> int:
        """Frames passed over because the engine had them before this producer began."""
        return self._acked.window.known if self._acked is not None else 0

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
            sent. Where frames are acknowledged, rows for which there is no room in time are not taken, and
            the others stay held.
        """
        self._check()
        if self._acked is not None:
            self._room(self._acked)
        if not self._batch.rows:
            self._since = time.monotonic()
        self._batch.add(rows, t, w, id)
        self._send_if_due()

    def flush(self) -> None:
        """Send all rows that wait, in as few frames as the limits allow. What cannot be sent is dropped,
        and said; where frames are acknowledged they are held until they are, and this does not wait."""
        self._check()
        if self._acked is None:
            for raw, rows in self._batch.frames(
                self.source, None if self.source is None else self._seq, self.features
            ):
                self.send_raw(raw)
                self._seq += 1
                self._count(rows)
            return
        if self._batch.rows:
            if self._acked.window.seq is None:
                self._room(self._acked)
            self._hold(self._acked)
        self._acked.pump()

    def poll(self, seconds: float = 0.0) -> None:
        """Do what is due without a row to send: send a batch that is old enough and, where frames are
        acknowledged, hear acks for up to so many seconds and send again what was lost."""
        self._check()
        self._send_if_due()
        if self._acked is not None:
            self._acked.pump(seconds)

    def wait(self, timeout: float | None = None) -> None:
        """Send what waits, and return when every row is acknowledged.

        Raises ClientError, with what is not yet safe, after `timeout` seconds (None: the producer's own); the
        rows stay held, and waiting again goes on. Also for frames that were refused since the last time.
        """
        self._check()
        if self._acked is None:
            raise ClientError("wait: nothing is acknowledged on PUSH, expected Producer(acked=True)")
        self.flush()
        self._until("all", self._acked, self._timeout if timeout is None else timeout)
        self._acked.complain()

    def send_raw(self, frame: bytes) -> None:
        """Send the bytes of a frame as they are, by PUSH. ClientError where nobody takes it in time."""
        self._check()
        if self._acked is not None:
            raise ClientError("send_raw: frames that are acknowledged are numbered, expected send")
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            self._send_in_time(frame)

    def _send_in_time(self, frame: bytes) -> None:
        """Send the bytes of a frame for which there is no room yet, or nobody to take it."""
        self._knock()
        until = time.monotonic() + self._timeout
        while self._meets(zmq.POLLOUT, until - time.monotonic()):
            with suppress(zmq.Again):  # a connection may go between two looks at it
                self._socket.send(frame, zmq.NOBLOCK)
                return
        why = f"nobody took a frame within {self._timeout:g} s; {self._nobody}"
        raise ClientError(f"{self.endpoint}: {REFUSED_KEY if self.refused_key else why}")

    def close(self) -> None:
        """Send what waits and close, giving the last frames up to `linger` seconds to leave or, where they
        are acknowledged, to be that: ClientError says what is not safe."""
        if os.getpid() != self._pid or self._socket.closed:
            return
        try:
            if self._acked is None:
                self.flush()
            elif self.unsafe.rows or self._acked.window.refused:
                self.wait(self._linger)
        finally:
            super().close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            super().close()

    def _send_if_due(self) -> None:
        rows, size, seconds = self._bounds
        batch = self._batch
        old = seconds is not None and time.monotonic() >= self._since + seconds
        if batch.rows >= rows or batch.size >= size or (batch.rows and old):
            self.flush()

    def _room(self, acked: Acked) -> None:
        if acked.window.full:
            self._until("room", acked, self._timeout)

    def _until(self, enough: str, acked: Acked, seconds: float) -> None:
        try:
            acked.wait(enough, seconds)
        except ClientError as error:
            rows, frames = self.unsafe
            safe = f"not safe: {rows} rows, {frames} frames on their way"
            raise ClientError(f"{error}; {'not taken: these rows; ' * (enough == 'room')}{safe}") from None

    def _hold(self, acked: Acked) -> None:
        """Put all rows that wait into the window: every good one, whatever is raised for others."""
        for raw, rows in self._batch.frames(self.source, acked.window.seq, self.features):
            acked.window.add(raw, rows)
            self._count(rows)

    def _count(self, rows: int) -> None:
        self.rows_sent += rows
        self.frames_sent += 1
