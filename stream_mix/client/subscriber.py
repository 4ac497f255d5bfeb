"""Hears what is published."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import zmq
from zmq.utils.monitor import recv_monitor_message

from ..protocol import ProtocolError, Published, decode_published
from .base import KINDS, PUBLISH, Client, ClientError


class Subscriber(Client):
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
