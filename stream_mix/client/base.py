"""What the three clients share: a socket of their own, and how to say what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

import numpy.typing as npt
import zmq

Event: TypeAlias = Mapping[str, float]
RowsLike: TypeAlias = Event | Sequence[Event] | npt.ArrayLike

PUSH = "tcp://127.0.0.1:5555"
ACKED = "tcp://127.0.0.1:5558"
PUBLISH = "tcp://127.0.0.1:5556"
QUERY = "tcp://127.0.0.1:5557"
KINDS = ("assignment", "snapshot", "change")


class ClientError(ValueError):
    """The engine cannot be reached, or refuses; the message is one line."""


class Client:
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
