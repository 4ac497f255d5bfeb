"""The way of a producer's frames to an engine that acknowledges them."""

from __future__ import annotations

import math
import secrets
import time
from typing import NamedTuple

import zmq

from ..keepalive import keep_alive
from ..protocol import Nack, ProtocolError, decode_receipt
from .base import REFUSED_KEY, ClientError
from .handshakes import Handshakes
from .window import Window

RECONNECT_MS, SLOWEST_RECONNECT_MS = 50, 200
RECEIPT_BYTES = 1 << 16
BLOCKED_SECONDS = 0.02
"""Time until a message that the socket does not take is tried again."""


class Unsafe(NamedTuple):
    """Rows that are not acknowledged, and frames on their way; rows of a batch are in no frame yet."""

    rows: int
    frames: int


class Acked:
    """A DEALER socket with a window; used from one thread, and only while one of its methods runs.

    The engine is spoken to when the program calls: `pump` sends what is due, hears what was said, and sends
    again what was lost.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        handshakes: Handshakes | None,
        endpoint: str,
        source: str | None,
        start_seq: int | None,
    ) -> None:
        assert handshakes is not None  # a DEALER has them
        if not source:
            raise ClientError("source: needed by a producer whose frames are acknowledged")
        self.window = Window(source, secrets.randbits(62), start_seq)
        self._endpoint = endpoint
        self._socket = socket
        self._told = 0
        socket.set(zmq.IMMEDIATE, 1)
        socket.set(zmq.RECONNECT_IVL, RECONNECT_MS)
        socket.set(zmq.RECONNECT_IVL_MAX, SLOWEST_RECONNECT_MS)
        keep_alive(socket, unheard=True)
        socket.set(zmq.MAXMSGSIZE, RECEIPT_BYTES)
        self._handshakes = handshakes
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(handshakes.monitor, zmq.POLLIN)

    def pump(self, seconds: float = 0.0) -> None:
        """Send what is due and hear what was said, waiting up to so many seconds for the first of it."""
        if self._pause(min(seconds, self._turn())):
            self._listen()
            self._speak(time.monotonic())

    def wait(self, enough: str, seconds: float) -> None:
        """Pump until there is room (`enough` "room") or nothing is held ("all"). Raises ClientError when the
        time is over."""
        until = time.monotonic() + seconds
        due = self._turn()
        while self.window.full if enough == "room" else self.window.frames:
            left = until - time.monotonic()
            if left <= 0 or self._handshakes.shut:
                raise ClientError(f"{self._endpoint}: {self._why(seconds)}")
            self._pause(min(left, due))
            due = self._turn()

    def complain(self) -> None:
        """Raise ClientError for frames that were refused since the last time."""
        window = self.window
        new, self._told = window.refused_frames - self._told, window.refused_frames
        if new:
            last: Nack = window.refused[-1]
            what = f"{new} frame{'s' * (new != 1)} refused, the last: {last.reason}"
            raise ClientError(f"{self._endpoint}: {what}")

    def _turn(self) -> float:
        """Hear what was said, ask again where the key was refused, send what is due; returns the seconds
        until something more may be, 0 where anything was heard."""
        heard = self._listen()
        now = time.monotonic()
        self._handshakes.knock(now)
        blocked = BLOCKED_SECONDS if self._speak(now) else math.inf
        return 0.0 if heard else min(self.window.wake(now), self._handshakes.due(now), blocked)

    def _pause(self, seconds: float) -> bool:
        """Wait so long at the most; whether there is anything to hear."""
        return seconds > 0 and bool(self._poller.poll(max(1, round(seconds * 1000))))

    def _why(self, seconds: float) -> str:
        if self._handshakes.refused:
            return REFUSED_KEY
        if self.window.seq is None:
            return f"no engine answered within {seconds:g} s; does one acknowledge there?"
        return f"no acknowledgement within {seconds:g} s"

    def _listen(self) -> bool:
        """Hear what was said; whether there was anything."""
        heard = bool(self._handshakes.read())
        if heard:
            self.window.connected()
        while True:
            try:
                data = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return heard
            heard = True
            try:
                receipt = decode_receipt(data)
            except ProtocolError as error:
                raise ClientError(f"{self._endpoint}: not an engine's answer: {error.reason}") from None
            try:
                self.window.heard(receipt, time.monotonic())
            except ClientError as error:
                raise ClientError(f"{self._endpoint}: {error}") from None

    def _speak(self, now: float) -> bool:
        """Send what is due; whether the socket takes no more."""
        while (message := self.window.due(now)) is not None:
            try:
                self._socket.send(message, zmq.NOBLOCK)
            except zmq.Again:
                return True
            self.window.went(now)
        return False
