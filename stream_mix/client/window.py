"""What a producer that loses nothing still holds, and what it says next. Pure: no socket and no clock.

Frames are held until an ack covers them. Before anything else the engine is asked how far the source is: the
answer gives the number of the first frame, and credit. It is asked again on every new connection, after a
silence, and where it expects another frame than it got; until it answers nothing is sent. All that was sent
before the question has been taken or lost by the time of the answer, so what the answer does not cover is
sent again, once, in order. Frames that come twice do no harm: the engine drops them.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from ..protocol import Ack, Durability, Hello, Nack, Receipt, encode_hello, renumbered
from .base import ClientError

PAUSE = 0.2
"""Seconds of silence after which the engine is asked whether it is there; twice as long each time after."""
LONGEST_PAUSE = 2.0
REFUSALS = 1000
"""Refusals kept for those who look; all are counted."""


class Held(NamedTuple):
    """A frame that is not acknowledged."""

    seq: int
    raw: bytes
    rows: int


class Window:
    """The frames of one source, from the first that is not acknowledged to the last that was handed in.

    `start` is the number of the first frame handed in; None goes on behind what the engine has. Frames that
    the engine has already are passed over and counted in `known`.
    """

    def __init__(self, source: str, session: int, start: int | None = None) -> None:
        self.source = source
        self.seq: int | None = None
        self.durability: Durability | None = None
        self.refused: list[Nack] = []
        self.refused_frames = self.refused_rows = self.known = self.lost = self.resent = 0
        self._session = session
        self._start = start
        self._held: deque[Held] = deque()
        self._bytes = self._rows = 0
        self._sent = self._sent_bytes = 0
        self._done = -1
        self._credit = self._credit_bytes = 0
        self._asking, self._probe, self._asked = True, 0, -math.inf
        self._pause, self._quiet = PAUSE, 0.0
        self._turned: set[int] = set()

    @property
    def frames(self) -> int:
        """Frames that are not acknowledged."""
        return len(self._held)

    @property
    def rows(self) -> int:
        """Rows in them."""
        return self._rows

    @property
    def full(self) -> bool:
        """Whether no more is to be handed in: before the first answer, and where credit is used up."""
        if self.seq is None:
            return True
        return len(self._held) >= self._credit or self._bytes >= self._credit_bytes

    def add(self, raw: bytes, rows: int) -> None:
        """Hold one more frame, whose number is `seq`."""
        if self.seq is None:
            raise ClientError("no engine has said yet which frame is the next")
        if self.seq <= self._done:
            self.known += 1
        else:
            self._held.append(Held(self.seq, raw, rows))
            self._bytes += len(raw)
            self._rows += rows
        self.seq += 1

    def connected(self) -> None:
        """There is a new connection: what was on its way on an older one may be lost."""
        self._ask()
        self._pause = PAUSE

    def due(self, now: float) -> bytes | None:
        """What to send next, None where nothing is due; `went` says that it was."""
        if not self._asking and self._waiting_in_vain(now):
            self._ask()
        if self._asking:
            if now < self._asked + self._pause and self._asked > -math.inf:
                return None
            return encode_hello(Hello(self.source, self._session, self._probe + 1))
        if self._sent >= min(len(self._held), self._credit):
            return None
        raw = self._held[self._sent].raw
        # One frame of any size is always allowed.
        if self._sent and self._sent_bytes + len(raw) > self._credit_bytes:
            return None
        return raw

    def went(self, now: float) -> None:
        """What was due has been sent."""
        if self._asking:
            if self._asked > -math.inf:
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._probe += 1
            self._asked = now
            return
        if not self._sent:
            self._quiet = now
        self._sent_bytes += len(self._held[self._sent].raw)
        self._sent += 1

    def wake(self, now: float) -> float:
        """Seconds until something may be due though nothing is heard."""
        since = self._asked if self._asking else self._quiet
        if since == -math.inf or not (self._asking or self._held):
            return LONGEST_PAUSE
        return max(0.0, since + self._pause - now)

    def heard(self, receipt: Receipt, now: float) -> None:
        """Take an answer. Raises ClientError where the source is another's, or the engine lost what it
        acknowledged."""
        if receipt.source not in (None, self.source):
            return
        if isinstance(receipt, Nack):
            self._nack(receipt)
            return
        answer = self._asking and receipt.probe == self._probe
        if self.seq is None and not answer:
            return
        self._quiet, self._pause = now, PAUSE
        self._credit, self._credit_bytes = receipt.credit, receipt.credit_bytes
        if answer:
            self._asking = False
            self._compare(receipt)
        self._drop(receipt.seq)
        if answer:
            # What the answer does not cover has been lost: it is sent again.
            self.resent += self._sent
            self._sent = self._sent_bytes = 0
        self.durability = receipt.durability

    def _compare(self, ack: Ack) -> None:
        """The engine's mark beside ours."""
        expected = ack.seq + 1
        if self.seq is None:
            self.seq = expected if self._start is None else self._start
            self._done = ack.seq
            if self.seq > expected:
                raise ClientError(f"source {self.source}: frame {expected} is the next, not {self.seq}")
            return
        if ack.seq > max(self.seq - 1, self._done):
            raise ClientError(f"source {self.source}: frame {ack.seq} came from another producer")
        if ack.seq < self._done:
            lost = f"frames {expected} to {self._done} of source {self.source}"
            if self.durability == "fsync":
                raise ClientError(f"the engine has lost {lost}, which it had acknowledged as durable")
            # It promised no more: what is held goes on under the numbers that it expects.
            self.lost += self._done - ack.seq
            self._renumber(expected)

    def _renumber(self, first: int) -> None:
        frames = list(self._held)
        self._held.clear()
        for seq, held in enumerate(frames, first):
            self._held.append(Held(seq, renumbered(held.raw, seq), held.rows))
        self._bytes = sum(len(held.raw) for held in self._held)
        self.seq = first + len(frames)
        self._done = first - 1
        self._turned.clear()

    def _drop(self, seq: int) -> None:
        """Let go of what is acknowledged."""
        while self._held and self._held[0].seq <= seq:
            held = self._held.popleft()
            self._bytes -= len(held.raw)
            self._rows -= held.rows
            if self._sent:
                self._sent -= 1
                self._sent_bytes -= len(held.raw)
            self._turned.discard(held.seq)
        self._done = max(self._done, seq)

    def _nack(self, nack: Nack) -> None:
        if nack.code in ("source", "forbidden") and nack.seq >= 0:
            # Perhaps another connection of ours holds the source still: the answer to a hello will say.
            self._ask()
        elif nack.expected is not None:
            if not self._asking:
                self._ask()
        elif nack.seq >= 0:
            self._refuse(nack)
        elif self._asking:
            raise ClientError(f"source {self.source}: refused ({nack.reason})")

    def _refuse(self, nack: Nack) -> None:
        """A frame is refused for good. It may be told again, with the answer to every hello."""
        held = next((held for held in self._held if held.seq == nack.seq), None)
        if held is None or nack.seq in self._turned:
            return
        self._turned.add(nack.seq)
        self.refused_frames += 1
        self.refused_rows += held.rows
        if len(self.refused) < REFUSALS:
            self.refused.append(nack)

    def _ask(self) -> None:
        if not self._asking or self._asked > -math.inf:
            self._asking, self._asked = True, -math.inf

    def _waiting_in_vain(self, now: float) -> bool:
        """Whether there is something to be acknowledged, and nothing was heard for too long."""
        return bool(self._held) and (self._sent > 0 or self._credit == 0) and now >= self._quiet + self._pause
