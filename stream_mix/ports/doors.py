"""Who comes in: one authenticator for all bound sockets of an engine, run by the loop that owns them.

A stranger's handshake costs the loop one short turn of bookkeeping, and no thread competes with it. libzmq
asks over ZAP for each handshake; until the loop answers, and where nobody does, nobody is let in. What a key
may do is asked again for each message, as ZeroMQ asks at the handshake only: who is revoked is not heard from
then on, and the publish socket, which has no messages to judge by, is bound anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import zmq
from zmq.utils import z85

from ..keys import PUBLIC, Card, Keys, cards, read_secret
from ..protocol import ProtocolError
from ..protocol.errors import show

if TYPE_CHECKING:
    from ..config.sections import Security

HANDSHAKES = 32
"""Handshakes answered in one turn of the loop: a flood of them waits, rows do not."""
LOOK_SECONDS = 0.25
"""Time between looks at the folder of keys."""
LISTEN_SECONDS = 1.0
"""How long an address may stay taken while its socket is bound anew."""
IGNORED = 256
"""Messages of those who were let in once that are read and dropped before somebody else has a turn."""
Judge: TypeAlias = Callable[[str | None], None]
_ZAP = "inproc://zeromq.zap.01"
_LET_IN, _REFUSED = (b"200", b"OK"), (b"400", b"refused")


class Doors:
    """Lets in those whose key is in the folder of `security`, each by the endpoints that it is good for.

    `refused` counts handshakes by endpoint and reason, `ignored` messages of those who were let in once.
    `tell` is given a line when something about the keys changes or cannot be used; until it is set these are
    kept in `early`. Raises ValueError, one
    line, where the engine's own key or the folder is unusable.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], security: Security) -> None:
        self.early: list[str] = []
        self.tell: Callable[[str], None] = self.early.append
        self.refused: dict[tuple[str, str], int] = {}
        self.ignored: dict[str, int] = {}
        self.let_in = 0
        self._own: Keys = read_secret(security.server_key)
        self._folder = security.clients_folder
        self._seen: object = ()
        self._looked = 0.0
        self._cards: dict[str, Card] = {}
        self._judges: dict[str, Judge] = {}
        self._complained: frozenset[str] = frozenset()
        self._published: tuple[zmq.Socket[bytes], str] | None = None
        self._since: float | None = None
        self.look()
        self.socket = context.socket(zmq.ROUTER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.bind(_ZAP)

    @property
    def clients(self) -> int:
        """How many are let in."""
        return len(self._cards)

    def move(self, folder: str) -> None:
        """Look into another folder from now on."""
        self._folder = folder
        self.look()

    def guard(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        """Ask for a key on this socket, which is not bound yet, as the endpoint `push` or the like."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._own.secret.encode())
        socket.set(zmq.ZAP_DOMAIN, endpoint.encode())
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def bound(self, socket: zmq.Socket[bytes], where: str) -> None:
        """Learn where the publish socket is bound: it is the one that is bound anew when a key is revoked."""
        self._published = (socket, where)

    def turn(self, now: float) -> None:
        """Answer handshakes, and now and then look whether keys have come or gone."""
        if now >= self._looked + LOOK_SECONDS:
            self._looked = now
            self.look()
            self._listen(now)
        for _ in range(HANDSHAKES):
            try:
                request = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._answer(request)

    def look(self) -> None:
        """Read the folder of keys where it has changed; what cannot be read there lets in nobody."""
        seen = _listing(self._folder)
        if seen == self._seen:
            return
        first, self._seen = self._seen == (), seen
        if first and seen is None:
            raise ValueError(
                f"security.clients: {self._folder}: no folder, expected that of `stream-mix keys new`"
            )
        found, wrong = cards(self._folder)
        before, self._cards = self._cards, {card.public: card for card in found}
        self._judges = {card.public: partial(_judge, card) for card in found}
        for line in sorted(set(wrong) - self._complained):
            self.tell(line)
        self._complained = frozenset(wrong)
        if first:
            return
        lost = [card for card in before.values() if not _still(card, self._cards.get(card.public))]
        come = sorted(card.name for card in found if card.public not in before)
        if come:
            self.tell(f"keys: let in from now on: {', '.join(come)}")
        if lost:
            self.tell(f"keys: let in no more: {', '.join(sorted(card.name for card in lost))}")
            if any("publish" in card.endpoints for card in lost):
                self._shut()

    def admits(self, part: zmq.Frame, endpoint: str) -> Card | None:
        """The card of the client that sent a message by this endpoint; None where it may not, or not any
        more.

        By its key and not by its name: a name that was revoked and given again is another client.
        """
        card = self._cards.get(str(part.get("User-Id")))
        return card if card is not None and endpoint in card.endpoints else None

    def judge(self, card: Card) -> Judge:
        """What raises ProtocolError for a source that this client may not speak for."""
        return self._judges[card.public]

    def received(self, socket: zmq.Socket[bytes], endpoint: str) -> tuple[bytes, bool, Judge] | None:
        """The next message of an ingest socket without waiting, of one who is let in: its first part,
        whether it has more, and who judges its source. None where there is none, or too many others first."""
        for _ in range(IGNORED):
            try:
                first = socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            more = first.more
            while more:
                more = socket.recv(zmq.NOBLOCK, copy=False).more
            card = self.admits(first, endpoint)
            if card is not None:
                return first.bytes, first.more, self._judges[card.public]
            self.ignore(endpoint)
        return None

    def from_peer(self, socket: zmq.Socket[bytes]) -> tuple[bytes, bytes, bool, Judge] | None:
        """The next message of the acked socket without waiting, of one who is let in: who sent it, its one
        part, whether it has more than that, and who judges its source."""
        for _ in range(IGNORED):
            try:
                identity, *rest = socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            card = self.admits(rest[-1] if rest else identity, "acked")
            if card is not None:
                part = rest[0].bytes if rest else b""
                return identity.bytes, part, len(rest) > 1, self._judges[card.public]
            self.ignore("acked")
        return None

    def ignore(self, endpoint: str) -> None:
        """Count a message of one who is let in no more."""
        self.ignored[endpoint] = self.ignored.get(endpoint, 0) + 1

    def close(self) -> None:
        """Answer no more."""
        self.socket.close(linger=0)

    def _answer(self, request: list[bytes]) -> None:
        try:
            peer, empty, version, number, domain, _, _, mechanism, *credentials = request
        except ValueError:
            return  # not of libzmq's making; there is nothing to answer to
        endpoint = domain.decode("utf-8", "replace")
        card, why = None, "mechanism"
        if mechanism == b"CURVE" and len(credentials) == 1 and len(credentials[0]) == 32:
            card, why = self._cards.get(z85.encode(credentials[0]).decode()), "unknown key"
            if card is not None and endpoint not in card.endpoints:
                card, why = None, "other endpoint"
        if card is None:
            self.refused[endpoint, why] = self.refused.get((endpoint, why), 0) + 1
        else:
            self.let_in += 1
        user = b"" if card is None else card.public.encode()
        # A stranger learns that it is refused, and nothing about why.
        code = _REFUSED if card is None else _LET_IN
        self.socket.send_multipart([peer, empty, version, number, *code, user, b""], zmq.NOBLOCK)

    def _shut(self) -> None:
        """Close the connections of the publish socket; those who still may come back within moments."""
        if self._published is not None:
            socket, where = self._published
            if self._since is None:
                socket.unbind(where)
            self._since = self._looked
            self._listen(self._looked)

    def _listen(self, now: float) -> None:
        if self._since is None or self._published is None:
            return
        socket, where = self._published
        try:
            socket.bind(where)
        except zmq.ZMQError as error:
            if error.errno != zmq.EADDRINUSE:
                raise
            # Its old listener closes in libzmq's own time. Somebody else who took the address is told of.
            if now >= self._since + LISTEN_SECONDS:
                self._since = now
                self.tell(f"publish.bind: {where} is taken; nobody can listen until it is free")
            return
        self._since = None


def _judge(card: Card, source: str | None) -> None:
    if not card.speaks_for(source):
        raise ProtocolError(
            "forbidden",
            f"source: found {show(source)}, expected {card.name!r}, as the key's, or {card.name}/...",
        )


def _still(before: Card, after: Card | None) -> bool:
    """Whether a client may listen as it might before."""
    return after is not None and after.name == before.name and (
        "publish" in after.endpoints or "publish" not in before.endpoints
    )


def _listing(folder: str) -> object:
    """What tells one state of a folder from another; None where there is none that can be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(_traits(entry) for entry in entries if entry.name.endswith(PUBLIC))
    except OSError:
        return None


def _traits(entry: os.DirEntry[str]) -> tuple[str, int, int, int]:
    try:
        status = entry.stat()
    except OSError:
        return entry.name, 0, 0, 0
    return entry.name, status.st_ino, status.st_size, status.st_mtime_ns
