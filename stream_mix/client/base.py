"""What the three clients share: a socket of their own, and how to say what goes wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

import numpy.typing as npt
import zmq

from ..keepalive import keep_alive
from ..keys import KeyFileError, Keys, read_secret

Event: TypeAlias = Mapping[str, float]
RowsLike: TypeAlias = Event | Sequence[Event] | npt.ArrayLike

PUSH = "tcp://127.0.0.1:5555"
ACKED = "tcp://127.0.0.1:5558"
PUBLISH = "tcp://127.0.0.1:5556"
QUERY = "tcp://127.0.0.1:5557"
KeysLike: TypeAlias = Keys | str | os.PathLike[str] | None
"""Keys, or the secret file that holds them; None where the engine asks for none."""
KINDS = ("assignment", "snapshot", "change")


class ClientError(ValueError):
    """The engine cannot be reached, or refuses; the message is one line."""


class Client:
    """A socket with a context of its own, refused in any process but the one that made it."""

    def __init__(self, endpoint: str, kind: int, linger: float, keys: KeysLike = None) -> None:
        self.endpoint = endpoint
        self._pid = os.getpid()
        self._linger = linger
        found = _keys(keys)
        self._context = zmq.Context()
        self._socket = self._context.socket(kind)
        self._socket.set(zmq.LINGER, round(linger * 1000))
        self._socket.set(zmq.HANDSHAKE_IVL, 5_000)
        keep_alive(self._socket)
        if "[" in endpoint:
            self._socket.set(zmq.IPV6, 1)
        if found is not None and found.server is not None:
            self._socket.set(zmq.CURVE_SERVERKEY, found.server.encode())
            self._socket.set(zmq.CURVE_PUBLICKEY, found.public.encode())
            self._socket.set(zmq.CURVE_SECRETKEY, found.secret.encode())
        self._refusals: zmq.Socket[bytes] | None = None
        if found is not None and kind in (zmq.PUSH, zmq.REQ):  # others listen to monitors of their own
            self._refusals = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)

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

    def _refused(self) -> bool:
        """Whether the engine has said that it does not let this key in; ZeroMQ does not ask it again."""
        return self._refusals is not None and bool(self._refusals.poll(0))

    def _forget_refusals(self) -> None:
        if self._refusals is not None:
            self._socket.disable_monitor()
            self._refusals.close(linger=0)
            self._refusals = None

    def _abandon(self) -> None:
        self._forget_refusals()
        self._socket.close(linger=0)
        self._context.term()

    def close(self) -> None:
        """Close; a second call does nothing. In another process than the one that made it, nothing is
        touched."""
        if os.getpid() == self._pid and not self._socket.closed:
            self._forget_refusals()
            self._socket.close()
            self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _keys(keys: KeysLike) -> Keys | None:
    """The keys of a client, with those of its engine. ClientError where they cannot be used."""
    try:
        found = keys if keys is None or isinstance(keys, Keys) else read_secret(keys)
    except KeyFileError as error:
        raise ClientError(f"keys: {error}") from None
    if found is not None and found.server is None:
        raise ClientError(f"keys: those of {found.name!r} are an engine's own, expected a client's")
    return found
