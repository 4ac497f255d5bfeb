"""A producer whose frames are acknowledged waits for nothing once its key was refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from stream_mix.client import ClientError
from stream_mix.client.acked import Acked
from stream_mix.client.handshakes import KNOCK_SECONDS, Handshakes
from stream_mix.client.window import LONGEST_PAUSE

NOBODY = "tcp://127.0.0.1:9"


class Late(Handshakes):
    """It was knocked a moment ago, and the refusal is there when it is read for the second time."""

    reads = 0

    def read(self) -> int:
        self.reads += 1
        self.refused = self.reads > 1
        return 0


class Polls:
    """A poller to which nothing ever comes: how long it was waited for, and whether there was a point."""

    def __init__(self, handshakes: Handshakes) -> None:
        self.waits: list[tuple[bool, int]] = []
        self._handshakes = handshakes

    def poll(self, milliseconds: int) -> list[Any]:
        self.waits.append((self._handshakes.shut, milliseconds))
        return []


@pytest.fixture
def late() -> Iterator[tuple[Acked, Polls]]:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        handshakes = Late(socket, NOBODY)
        socket.connect(NOBODY)
        acked, polls = Acked(socket, handshakes, NOBODY, "s", None), Polls(handshakes)
        acked._poller = polls  # type: ignore[assignment]  # all that is used of one
        # The hello is out, and not due again for as long as it ever is.
        now = handshakes._knocked = time.monotonic()
        acked.window.went(now)
        acked.window._pause = LONGEST_PAUSE
        yield acked, polls
        handshakes.close()


def test_a_refusal_ends_the_wait_at_once(late: tuple[Acked, Polls]) -> None:
    acked, polls = late
    with pytest.raises(ClientError, match="does not let this key in"):
        acked.wait("room", 60.0)
    assert [shut for shut, _ in polls.waits] == [False]


def test_who_polls_waits_for_the_next_knock_at_most(late: tuple[Acked, Polls]) -> None:
    acked, polls = late
    acked.pump()
    assert polls.waits == []
    acked.pump(60.0)
    ((shut, milliseconds),) = polls.waits
    assert shut
    assert 0 < milliseconds <= 1000 * KNOCK_SECONDS
