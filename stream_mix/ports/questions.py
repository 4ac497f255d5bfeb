"""Queries: read, asked of the engine's state, answered; whoever does not read its answers goes without."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from ..engine import Ask, Effect, Reply
from ..protocol import ErrorReply, Health, Limits, ProtocolError, decode_query, encode_reply
from .doors import Doors

QUESTIONS = 64
"""Queries answered between two groups of frames."""
QUESTION_SECONDS = 0.02
"""And the time after which the rest of them waits: a question may be about a megabyte of rows."""
PARTS = 8
"""Parts of an envelope and its question; a message of more is nothing to answer."""


class Questions:
    """Answers what comes in by one socket; `ask` is the engine's step for a question, which changes nothing,
    and `told` what the service adds to a report of health.

    `count` counts the answers.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        limits: Limits,
        ask: Callable[[Ask], list[Effect]],
        doors: Doors | None = None,
        told: Callable[[Health], Health] = lambda health: health,
    ) -> None:
        self.count = 0
        self.unread = 0
        self.limits = limits
        self._socket, self._ask, self._doors, self._told = socket, ask, doors, told

    def answer(self, now: Callable[[], float]) -> None:
        """Answer what is there, or as much of it as there is time for."""
        until = now() + QUESTION_SECONDS
        for _ in range(QUESTIONS):
            try:
                parts = self._received()
            except zmq.Again:
                return
            if 0 < len(parts) <= PARTS:
                *envelope, data = parts
                self._send([*envelope, self._answer(data)])
            if now() >= until:
                return

    def _received(self) -> list[bytes]:
        """The parts of the next question; none of one who may not ask."""
        if self._doors is None:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        if self._doors.admits(parts[-1], "query") is None:
            self._doors.ignore("query")
            return []
        return [part.bytes for part in parts]

    def _send(self, parts: list[bytes]) -> None:
        self.count += 1
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError:
            # Whoever asked is gone, or does not read: nothing to be done for them.
            self.unread += 1

    def _answer(self, data: bytes) -> bytes:
        try:
            effects = self._ask(Ask(decode_query(data, self.limits)))
            message = next(effect.message for effect in effects if isinstance(effect, Reply))
            return encode_reply(self._told(message) if isinstance(message, Health) else message)
        except ProtocolError as error:
            return encode_reply(ErrorReply(error.code, error.reason))
        except (ArithmeticError, ValueError) as error:
            return encode_reply(ErrorReply("value", " ".join(str(error).split())[:200]))
