"""A producer's window against a small engine over a network that fails as a drawn script says."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.client import ClientError
from stream_mix.client.window import LONGEST_PAUSE, PAUSE, Window
from stream_mix.protocol import Ack, Durability, Hello, Nack, Receipt, decode_hello, encode_points


def frame(seq: int) -> bytes:
    return encode_points([[float(seq)]], source="s", seq=seq)


class Engine:
    """Takes frames in order, forgets on a crash what it has not committed, and refuses every fifth."""

    def __init__(self, credit: int, durable: bool = True) -> None:
        self.credit, self.durable = credit, durable
        self.learned: list[float] = []
        self.kept: list[float] = []
        self.seq = self.done = -1
        self.answers: list[Receipt] = []
        self.beyond = 0

    @property
    def durability(self) -> Durability:
        return "fsync" if self.durable else "off"

    def take(self, data: bytes) -> None:
        message = msgpack.unpackb(data)
        if message["kind"] == "hello":
            hello = decode_hello(data)
            self.answers += [self.refusal(seq) for seq in range(self.seq + 1) if seq % 5 == 4]
            self.answers.append(Ack("s", 0, self.credit, 1 << 20, self.durability, hello.probe))
            return
        seq = message["seq"]
        self.beyond = max(self.beyond, seq - self.done)
        if seq > self.seq + 1:
            self.answers.append(Nack(seq, "gap", "not yet", "s", self.seq + 1))
        elif seq == self.seq + 1:
            self.seq = seq
            if seq % 5 == 4:
                self.answers.append(self.refusal(seq))
            else:
                self.learned.append(seq)
            self.answers.append(Ack("s", 0, self.credit, 1 << 20, self.durability))

    def refusal(self, seq: int) -> Nack:
        return Nack(seq, "shape", "every fifth", "s")

    def commit(self) -> list[Receipt]:
        """Make it durable, and only then answer: with how far it is."""
        self.done, self.kept = self.seq, list(self.learned)
        said, self.answers = self.answers, []
        return [replace(receipt, seq=self.done) if isinstance(receipt, Ack) else receipt for receipt in said]

    def crash(self) -> None:
        self.answers = []
        if not self.durable:
            self.done, self.kept = -1, []
        self.seq, self.learned = self.done, list(self.kept)


class Wire:
    """The window, the engine, and what is between them."""

    def __init__(self, credit: int, start: int | None = None, durable: bool = True) -> None:
        self.window = Window("s", 1, start)
        self.engine = Engine(credit, durable)
        self.up: deque[bytes] = deque()
        self.down: deque[Receipt] = deque()
        self.now = 0.0
        self.connected = False

    def do(self, what: str) -> None:
        match what:
            case "add" if not self.window.full and self.window.seq is not None:
                self.window.add(frame(self.window.seq), 1)
            case "say" if self.connected and (message := self.window.due(self.now)) is not None:
                self.up.append(message)
                self.window.went(self.now)
            case "take" if self.up:
                self.engine.take(self.up.popleft())
            case "commit":
                self.down.extend(self.engine.commit())
            case "hear" if self.down:
                self.window.heard(self.down.popleft(), self.now)
            case "pass":
                self.now += PAUSE * 1.1
            case "break":
                self.up.clear()
                self.down.clear()
                self.connected = False
            case "crash":
                self.engine.crash()
                self.do("break")
            case "connect" if not self.connected:
                self.connected = True
                self.window.connected()

    def run(self, script: list[str]) -> None:
        for what in script:
            self.do(what)

    def settle(self) -> None:
        """Without further faults everything is acknowledged before long."""
        for _ in range(200 + 20 * (self.window.seq or 0)):
            self.run(["connect", "say", "say", "take", "take", "commit", "hear", "hear", "hear", "pass"])
            if self.window.seq is not None and not self.window.frames and not self.up and not self.down:
                return
        raise AssertionError(f"{self.window.frames} frames were never acknowledged")


USUAL = ["add", "say", "take", "hear"]
SCRIPTS = st.lists(
    st.sampled_from([*USUAL, *USUAL, "commit", "pass", "break", "connect", "crash"]), max_size=150
)


@given(SCRIPTS, st.integers(1, 6))
def test_every_frame_is_learned_once_and_in_order(script: list[str], credit: int) -> None:
    wire = Wire(credit)
    wire.run(["connect", *script])
    wire.settle()
    handed = range(wire.window.seq or 0)
    assert wire.engine.learned == [seq for seq in handed if seq % 5 != 4]
    assert [nack.seq for nack in wire.window.refused] == [seq for seq in handed if seq % 5 == 4]
    assert wire.window.refused_rows == wire.window.refused_frames == len(wire.window.refused)
    assert wire.engine.beyond <= credit, "never more without an ack than credit allows"
    assert wire.window.rows == wire.window.lost == 0


@given(SCRIPTS, st.integers(1, 6))
def test_an_engine_that_remembers_nothing_gets_what_is_held_and_what_was_lost_is_counted(
    script: list[str], credit: int
) -> None:
    wire = Wire(credit, durable=False)
    wire.run(["connect", *script])
    wire.settle()
    assert wire.window.frames == 0
    assert wire.engine.seq + 1 == wire.window.seq


def test_a_producer_goes_on_behind_what_is_durable() -> None:
    wire = Wire(4)
    wire.engine.seq = wire.engine.done = 41
    wire.run(["connect", "say", "take", "commit", *["hear"] * 20])
    assert wire.window.seq == 42
    wire.do("add")
    wire.settle()
    assert wire.engine.learned == [42]
    assert wire.window.refused == [], "what was refused to another is no news"


def test_frames_that_the_engine_has_are_passed_over() -> None:
    wire = Wire(4, start=40)
    wire.engine.seq = wire.engine.done = 41
    wire.run(["connect", "say", "take", "commit", *["hear"] * 20, "add", "add", "add", "add"])
    wire.settle()
    assert (wire.window.known, wire.engine.learned) == (2, [42, 43])
    wire = Wire(4, start=43)
    wire.engine.seq = wire.engine.done = 41
    wire.run(["connect", "say", "take", "commit", *["hear"] * 8])
    with pytest.raises(ClientError, match="source s: frame 42 is the next, not 43"):
        wire.do("hear")


def begun(credit: int = 4) -> Window:
    window = Window("s", 1)
    assert window.due(0.0) is not None
    window.went(0.0)
    window.heard(Ack("s", -1, credit, 1000, "fsync", 1), 0.0)
    return window


def test_pauses_grow_while_nobody_answers_and_not_for_ever() -> None:
    window, now, asked = Window("s", 1), 0.0, []
    while len(asked) < 8:
        if (message := window.due(now)) is not None:
            assert decode_hello(message) == Hello("s", 1, len(asked) + 1)
            window.went(now)
            asked.append(now)
        now += max(window.wake(now), 1e-6)
    pauses = [round(after - before, 3) for before, after in pairwise(asked)]
    assert pauses[:3] == [PAUSE, 2 * PAUSE, 4 * PAUSE]
    assert max(pauses) == LONGEST_PAUSE


def test_nothing_is_sent_without_credit_and_the_engine_is_asked_now_and_then() -> None:
    window = begun(credit=2)
    window.add(frame(0), 1)
    window.heard(Ack("s", -1, 0, 0, "fsync"), 1.0)
    assert window.full
    assert window.due(1.0) is None
    assert window.wake(1.0) == pytest.approx(PAUSE)
    assert decode_hello(window.due(1.0 + PAUSE) or b"").probe == 2


def test_bytes_bound_what_is_on_its_way_but_one_frame_always_is() -> None:
    window = begun()
    size = len(frame(0))
    window.heard(Ack("s", -1, 10, size - 1, "fsync"), 0.0)
    for seq in range(3):
        window.add(frame(seq), 1)
    assert window.due(0.0) == frame(0)
    window.went(0.0)
    assert window.due(0.0) is None
    window.heard(Ack("s", 0, 10, 2 * size, "fsync"), 0.0)
    for seq in (1, 2):
        assert window.due(0.0) == frame(seq)
        window.went(0.0)
    assert window.due(0.0) is None


@pytest.mark.parametrize(
    ("receipt", "why"),
    [
        (Nack(-1, "source", "source: another producer has begun to speak for it", "s"), "has begun to speak"),
        (Ack("s", 7, 4, 1000, "fsync", 2), "frame 7 came from another producer"),
        (Ack("s", -1, 4, 1000, "fsync", 2), "has lost frames 0 to 0 of source s, which it had"),
    ],
)
def test_what_cannot_go_on_is_said(receipt: Receipt, why: str) -> None:
    window = begun()
    window.add(frame(0), 1)
    window.due(0.0)
    window.went(0.0)
    window.heard(Ack("s", 0, 4, 1000, "fsync"), 0.0)
    window.connected()
    window.due(0.0)
    window.went(0.0)
    with pytest.raises(ClientError, match=why):
        window.heard(receipt, 0.0)
