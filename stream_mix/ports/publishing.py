"""What the engine says, to those who listen; one that is too slow misses messages and holds up nobody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import zmq
from zmq.backend import Socket as Plain

from ..engine import Assigned, Effect, Publish
from ..protocol import encode_assignments, encode_published

_SUBSCRIPTIONS = 1000
_LAST, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)


class Subscriptions:
    """The topic prefixes that somebody listens to, as an XPUB socket reports them.

    Those that no one of `topics` begins with are not kept: their number would be the subscribers' to choose.
    """

    def __init__(self, topics: Iterable[bytes]) -> None:
        self._topics = tuple(topics)
        self._prefixes: set[bytes] = set()

    def read(self, socket: zmq.Socket[bytes]) -> set[bytes]:
        """Take what came in on the publish socket: subscriptions and their ends; anything else is ignored.

        Returns the prefixes that somebody, not necessarily the first, began to listen to.
        """
        begun: set[bytes] = set()
        for _ in range(_SUBSCRIPTIONS):
            try:
                said = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            if said[:1] == b"\1":
                begun.add(said[1:])
                if any(topic.startswith(said[1:]) for topic in self._topics):
                    self._prefixes.add(said[1:])
            elif said[:1] == b"\0":
                self._prefixes.discard(said[1:])
        return begun

    def wants(self, topic: bytes) -> bool:
        """Whether anybody listens to a topic."""
        return any(map(topic.startswith, self._prefixes))


class Publisher:
    """The publish socket, or none; what is said of `models` is put into bytes only where somebody listens to
    it. `newcomers` are the models whose snapshots somebody began to listen to; the loop empties it. `unsaid`
    counts messages that could not be put into bytes."""

    def __init__(self, socket: zmq.Socket[bytes] | None, models: Iterable[str]) -> None:
        self.models = tuple(models)
        about = [f"{kind}/{name}" for name in self.models for kind in ("assignment", "snapshot", "change")]
        self.listeners = Subscriptions(topic.encode() for topic in ("heartbeat", *about))
        self.newcomers: frozenset[str] = frozenset()
        self.count = 0
        self.unsaid = 0
        self._socket = socket

    def read(self) -> None:
        """Learn who listens by now."""
        if self._socket is not None:
            begun = tuple(self.listeners.read(self._socket))
            new = (name for name in self.models if any(map(f"snapshot/{name}".encode().startswith, begun)))
            self.newcomers |= frozenset(new)

    def tell(self, effects: Iterable[Effect]) -> None:
        """Publish what is to be published of a step's effects."""
        if self._socket is None:
            return
        for effect in effects:
            if isinstance(effect, Assigned):
                topic = f"assignment/{effect.model}".encode()
                if self.listeners.wants(topic):
                    for body in encoded(effect):
                        self._send(topic, body)
            elif isinstance(effect, Publish) and self.listeners.wants(effect.topic.encode()):
                # Numbers of a model at the far end of what is allowed: no message, and no end of the engine.
                try:
                    parts = encode_published(effect.message)
                except (ArithmeticError, ValueError):
                    self.unsaid += 1
                else:
                    self._send(*parts)

    def _send(self, topic: bytes, body: bytes) -> None:
        # The socket's own method without pyzmq's conveniences: 1.2 us for both parts, send_multipart takes 5.
        Plain.send(self._socket, topic, _MORE)  # type: ignore[arg-type]  # not None here
        Plain.send(self._socket, body, _LAST)  # type: ignore[arg-type]  # not None here
        self.count += 1


def encoded(said: Assigned) -> Iterator[bytes]:
    """The message of each frame as bytes, a group at a time where its rows have the same components."""
    components = said.components
    if components is None:
        return (encode_published(message)[1] for message in said.messages())
    return encode_assignments(
        said.model, said.offset, said.frames, said.bounds, said.generations(), components,
        said.label, said.p, said.log_density, said.outlier,
    )  # fmt: skip
