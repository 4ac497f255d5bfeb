"""What the three clients share: a socket of their own, and how to say what goes wrong."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeAlias

import numpy.typing as npt
import zmq

from ..keepalive import keep_alive
from ..keys import KeyFileError, Keys, read_secret
from .handshakes import Handshakes

Event: TypeAlias = Mapping[str, float]
RowsLike: TypeAlias = Event | Sequence[Event] | npt.ArrayLike

PUSH = "tcp://127.0.0.1:5555"
ACKED = "tcp://127.0.0.1:5558"
PUBLISH = "tcp://127.0.0.1:5556"
QUERY = "tcp://127.0.0.1:5557"
KeysLike: TypeAlias = Keys | str | os.PathLike[str] | None
"""Keys, or the secret file that holds them; None where the engine asks for none."""
KINDS = ("assignment", "snapshot", "change")


REFUSED_KEY = "does not let this key in"


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
        self._keyed = found is not None
        if found is not None and found.server is not None:
            self._socket.set(zmq.CURVE_SERVERKEY, found.server.encode())
            self._socket.set(zmq.CURVE_PUBLICKEY, found.public.encode())
            self._socket.set(zmq.CURVE_SECRETKEY, found.secret.encode())
        self._handshakes: Handshakes | None = None
        if found is not None or kind in (zmq.SUB, zmq.DEALER):  # who has no key can only be met, or not
            self._handshakes = Handshakes(self._socket, endpoint)

    def _connect(self) -> None:
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            self._abandon()
            raise ClientError(f"{self.endpoint}: cannot be connected to ({error.strerror})") from None

    @property
    def _nobody(self) -> str:
        """What to ask oneself where there is no answer; an engine does not tell who has no keys why."""
        return f"is an engine running there{'' if self._keyed else ', or does it ask for keys'}?"

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise ClientError(f"{self.endpoint}: made in another process; make a new one after a fork")
        if self._socket.closed:
            raise ClientError(f"{self.endpoint}: closed")

    @property
    def refused_key(self) -> bool:
        """Whether the engine's last word was that it does not let this key in. It is asked again when the
        client is used, twice a second at the most: nothing need be made anew when the key is let in. False
        in another process than the one that made the client, where nothing is touched."""
        if os.getpid() != self._pid or self._handshakes is None or self._socket.closed:
            return False
        self._handshakes.read()
        return self._handshakes.refused

    @property
    def _shut_out(self) -> bool:
        return self.refused_key and self._handshakes is not None and self._handshakes.shut

    def _knock(self) -> None:
        """Ask again where the engine did not let this key in."""
        if self._handshakes is not None:
            self._handshakes.read()
            self._handshakes.knock(time.monotonic())

    def _meets(self, what: int, seconds: float) -> bool:
        """Whether the socket can be read (POLLIN) or written (POLLOUT) in time; False at once where the
        engine does not let this key in."""
        poller = zmq.Poller()
        poller.register(self._socket, what)
        if self._handshakes is not None:
            poller.register(self._handshakes.monitor, zmq.POLLIN)
        until = time.monotonic() + seconds
        while not self._shut_out:
            left = until - time.monotonic()
            ready = dict(poller.poll(max(0, round(left * 1000))))
            if self._socket in ready or left <= 0:
                return self._socket in ready
        return False

    def _listen_no_more(self) -> None:
        if self._handshakes is not None:
            self._handshakes.close()
            self._handshakes = None

    def _abandon(self) -> None:
        self._listen_no_more()
        self._socket.close(linger=0)
        self._context.term()

    def close(self) -> None:
        """Close; a second call does nothing. In another process than the one that made it, nothing is
        touched."""
        if os.getpid() == self._pid and not self._socket.closed:
            self._listen_no_more()
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
