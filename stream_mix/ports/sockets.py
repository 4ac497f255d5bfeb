"""The engine's sockets and their options; everything about ZeroMQ that is not the loop itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import zmq

from ..keepalive import keep_alive
from .budget import marked
from .doors import Doors

if TYPE_CHECKING:
    from ..config import Settings

SLACK = 2
"""A message may be so many times `limits.frame_bytes` long before its connection is dropped: a frame that is
a little too long gets a reason, a flood does not get memory."""
SUBSCRIPTION_BYTES = 1024
"""Longest subscription: ZeroMQ keeps about 50 bytes for each byte of it, and a topic has 75 at most."""
ACKED_QUEUE = 64
"""Frames of one producer that ZeroMQ holds for the loop."""
RECEIPTS = 256
"""Acks and nacks held for a producer that does not read them; the next ack says all"""
LAST_WORDS_MS = 500
"""How long a clean stop waits for subscribers to take what was published last."""
QUESTIONS_AHEAD = 64
"""Questions that one peer may have waiting, and answers that it has not read."""
OLDEST = (4, 3, 5)
DOORS = {"ingest.push": "push", "ingest.acked": "acked", "publish.bind": "publish", "query.bind": "query"}
"""What a key says that it is good for, by the key of the configuration that binds it."""


May: TypeAlias = Callable[[str], None]
"""Raises ProtocolError for a source that a peer may not speak for."""


class SocketError(ValueError):
    """An endpoint cannot be used; the message is one line that names it and its key in the configuration."""


@dataclass
class Sockets:
    """The open sockets of one engine, used from one thread; `endpoints` holds what was bound, by key."""

    context: zmq.Context[zmq.Socket[bytes]]
    push: zmq.Socket[bytes] | None = None
    feed: zmq.Socket[bytes] | None = None
    acked: zmq.Socket[bytes] | None = None
    publish: zmq.Socket[bytes] | None = None
    query: zmq.Socket[bytes] | None = None
    endpoints: dict[str, str] = field(default_factory=dict)
    doors: Doors | None = None
    queues: list[tuple[zmq.Socket[bytes], int, int]] = field(default_factory=list)
    """What a memory budget may shorten: socket, option, and the mark that the configuration sets."""

    @property
    def ingest(self) -> list[zmq.Socket[bytes]]:
        """The sockets that rows come from."""
        return [socket for socket in (self.push, self.acked, self.feed) if socket is not None]

    def close(self) -> None:
        """Close them all; what was published and acknowledged last gets a moment to leave."""
        for socket in (self.push, self.feed, self.query):
            if socket is not None:
                socket.close(linger=0)
        for socket in (self.publish, self.acked):
            if socket is not None:
                socket.close(linger=LAST_WORDS_MS)
        if self.doors is not None:
            self.doors.close()
        self.context.term()


def open_sockets(settings: Settings) -> Sockets:
    """Bind and connect what the settings ask for. Raises SocketError, with nothing left open."""
    if zmq.zmq_version_info() < OLDEST:
        found = zmq.zmq_version()
        raise SocketError(f"libzmq {found}: too old, expected {'.'.join(map(str, OLDEST))} or newer")
    # Encrypting what is said need not wait for decrypting what is heard, where there are cores for both.
    threads = 2 if settings.security.server_key and (os.cpu_count() or 1) > 2 else 1
    sockets = Sockets(zmq.Context(threads))
    try:
        if settings.security.server_key:
            sockets.doors = Doors(sockets.context, settings.security)
        _open(sockets, settings)
        _check_guarded(sockets)
    except BaseException:
        sockets.close()
        raise
    return sockets


def _open(sockets: Sockets, settings: Settings) -> None:
    longest, first = SLACK * settings.limits.frame_bytes, marked(settings.limits.memory_bytes)
    ingest = settings.ingest
    if ingest.push:
        sockets.push = _socket(sockets, zmq.PULL, longest)
        _queue(sockets, sockets.push, zmq.RCVHWM, min(ingest.high_water_mark, first))
        sockets.endpoints["push"] = _bind(sockets, sockets.push, ingest.push, "ingest.push")
    if ingest.acked:
        sockets.acked = _socket(sockets, zmq.ROUTER, longest)
        sockets.acked.set(zmq.ROUTER_MANDATORY, 1)
        # What a producer may have unacknowledged is bounded by credit; ZeroMQ holds a part of it for us.
        _queue(sockets, sockets.acked, zmq.RCVHWM, min(ACKED_QUEUE, ingest.credit_frames, first))
        _queue(sockets, sockets.acked, zmq.SNDHWM, RECEIPTS)
        sockets.endpoints["acked"] = _bind(sockets, sockets.acked, ingest.acked, "ingest.acked")
    if ingest.subscribe:
        sockets.feed = _socket(sockets, zmq.SUB, longest)
        _queue(sockets, sockets.feed, zmq.RCVHWM, min(ingest.high_water_mark, first))
        for topic in ingest.topics:
            sockets.feed.set(zmq.SUBSCRIBE, topic.encode())
        for endpoint in ingest.subscribe:
            _connect(sockets.feed, endpoint, "ingest.subscribe")
    if settings.publish.bind:
        sockets.publish = _socket(sockets, zmq.XPUB, SUBSCRIPTION_BYTES)
        _queue(sockets, sockets.publish, zmq.SNDHWM, settings.publish.high_water_mark)
        sockets.publish.set(zmq.XPUB_NODROP, 0)
        # Every subscription is told, not only the first of its kind: who comes late is shown the models.
        sockets.publish.set(zmq.XPUB_VERBOSE, 1)
        sockets.endpoints["publish"] = _bind(sockets, sockets.publish, settings.publish.bind, "publish.bind")
    if settings.query.bind:
        sockets.query = _socket(sockets, zmq.ROUTER, longest)
        sockets.query.set(zmq.ROUTER_MANDATORY, 1)
        for option in (zmq.RCVHWM, zmq.SNDHWM):
            _queue(sockets, sockets.query, option, min(QUESTIONS_AHEAD, first))
        sockets.endpoints["query"] = _bind(sockets, sockets.query, settings.query.bind, "query.bind")


def _socket(sockets: Sockets, kind: int, longest: int) -> zmq.Socket[bytes]:
    socket = sockets.context.socket(kind)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, longest)
    socket.set(zmq.HANDSHAKE_IVL, 5_000)
    # A producer that has sent all it had and is gone answers a probe with a reset, and its frames that the
    # system still holds for us are lost (5,000 of 120,000): those who do not send again are not probed before
    # the system's own time, two hours.
    socket.set(zmq.TCP_KEEPALIVE, 1)
    if kind != zmq.PULL:
        keep_alive(socket)
    return socket


def limit_messages(sockets: Sockets, settings: Settings) -> None:
    """Let those who connect from now on send messages as long as the settings say; others keep theirs."""
    for socket in (sockets.push, sockets.acked, sockets.feed, sockets.query):
        if socket is not None:
            socket.set(zmq.MAXMSGSIZE, SLACK * settings.limits.frame_bytes)


def _queue(sockets: Sockets, socket: zmq.Socket[bytes], option: int, mark: int) -> None:
    socket.set(option, mark)
    sockets.queues.append((socket, option, mark))


def _bind(sockets: Sockets, socket: zmq.Socket[bytes], endpoint: str, key: str) -> str:
    """Bind, behind the engine's doors where it has some, and return the endpoint in full, with the port that
    the system chose where it was asked to."""
    if sockets.doors is not None:
        sockets.doors.guard(socket, DOORS[key])
    if "[" in endpoint:
        # Only where it is asked for: with it tcp://* would be every address of version 6 too.
        socket.set(zmq.IPV6, 1)
    try:
        socket.bind(endpoint.removesuffix(":0") + ":*" if endpoint.endswith(":0") else endpoint)
    except zmq.ZMQError as error:
        raise SocketError(f"{key}: cannot bind {endpoint}: {_why(error)}") from None
    last = socket.get(zmq.LAST_ENDPOINT)
    where = last.rstrip(b"\0").decode() if isinstance(last, bytes) else endpoint
    if sockets.doors is not None and socket.type == zmq.XPUB:
        sockets.doors.bound(socket, where)
    return where


def _check_guarded(sockets: Sockets) -> None:
    """SocketError where a socket is bound and asks nobody for a key, though the engine has keys."""
    for name in sockets.endpoints if sockets.doors is not None else ():
        socket = getattr(sockets, name)
        if not socket.get(zmq.CURVE_SERVER) or not socket.get(zmq.ZAP_DOMAIN).rstrip(b"\0"):
            raise SocketError(f"{name}: asks nobody for a key, expected CURVE on every bound socket")


def _connect(socket: zmq.Socket[bytes], endpoint: str, key: str) -> None:
    if "[" in endpoint:
        socket.set(zmq.IPV6, 1)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise SocketError(f"{key}: cannot connect to {endpoint}: {_why(error)}") from None


def _why(error: zmq.ZMQError) -> str:
    if error.errno == zmq.EADDRINUSE:
        return "the address is in use; is another engine running there?"
    return (error.strerror or str(error)).lower()


def received(socket: zmq.Socket[bytes]) -> tuple[bytes, bool] | None:
    """The next message of an ingest socket without waiting: its first part, and whether it has more than
    that.

    None where there is no message. The further parts are read and dropped.
    """
    try:
        first = socket.recv(zmq.NOBLOCK)
    except zmq.Again:
        return None
    if not socket.get(zmq.RCVMORE):
        return first, False
    for _ in _rest(socket):
        continue
    return first, True


def from_feed(socket: zmq.Socket[bytes]) -> tuple[bytes, bool] | None:
    """The next message of a feed: one part, or a topic and one part; with more than these it is refused."""
    try:
        first = socket.recv(zmq.NOBLOCK)
    except zmq.Again:
        return None
    rest = list(_rest(socket)) if socket.get(zmq.RCVMORE) else []
    return (rest[0] if rest else first), len(rest) > 1


def from_peer(socket: zmq.Socket[bytes]) -> tuple[bytes, bytes, bool, May | None] | None:
    """The next message of a ROUTER socket: who sent it, its one part, whether it has more than that, and what
    its sender may speak for: anything."""
    try:
        identity = socket.recv(zmq.NOBLOCK)
    except zmq.Again:
        return None
    rest = list(_rest(socket)) if socket.get(zmq.RCVMORE) else [b""]
    return identity, rest[0], len(rest) > 1, None


def _rest(socket: zmq.Socket[bytes]) -> Iterator[bytes]:
    """The parts after the first; ZeroMQ hands out a message as a whole, so that all of them are there."""
    yield socket.recv(zmq.NOBLOCK)
    while socket.get(zmq.RCVMORE):
        yield socket.recv(zmq.NOBLOCK)
