"""Producers of plain pyzmq and msgpack, and engines that acknowledge them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import zmq

from stream_mix.ports.service import Service
from stream_mix.protocol import encode_points
from tests.workers.serving import LOCAL, PATIENCE, rows, settings

Message = dict[str, Any]


def acked(folder: Path | None = None, **ingest: Any) -> Any:
    """Settings of an engine that acknowledges."""
    journal = {"path": str(folder / "a.journal")} if folder else {}
    return settings(ingest={"push": LOCAL, "acked": LOCAL, **ingest}, journal=journal)


class Peer:
    """A producer of plain pyzmq and msgpack."""

    def __init__(self, service: Service) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(service.sockets.endpoints["acked"])

    def frame(self, seq: int, n: int = 5, source: str = "s") -> bytes:
        return encode_points(rows(n, seed=seq), source=source, seq=seq)

    def send(self, *seqs: int, source: str = "s") -> None:
        for seq in seqs:
            self.socket.send(self.frame(seq, source=source))

    def hello(self, source: str = "s", **more: int) -> None:
        self.socket.send(msgpack.packb({"kind": "hello", "v": 1, "source": source, **more}))

    def heard(self) -> Message:
        assert self.socket.poll(round(PATIENCE * 1000)), "no answer came"
        message: Message = msgpack.unpackb(self.socket.recv())
        return message

    def until(self, **wanted: Any) -> list[Message]:
        """All answers up to the first that has these values."""
        messages = [self.heard()]
        while any(messages[-1].get(key) != value for key, value in wanted.items()):
            messages.append(self.heard())
        return messages

    def close(self) -> None:
        self.socket.close()
        self.context.term()


@contextmanager
def peers(service: Service, count: int = 1) -> Iterator[list[Peer]]:
    found = [Peer(service) for _ in range(count)]
    try:
        yield found
    finally:
        for peer in found:
            peer.close()


@contextmanager
def stepped(config: Any) -> Iterator[Service]:
    """An engine whose loop the test turns by hand."""
    with Service(config) as service:
        yield service


def arrived(service: Service) -> None:
    """Wait until there is something to be read on the acked socket."""
    assert service.sockets.acked is not None
    assert service.sockets.acked.poll(round(PATIENCE * 1000))
