"""Acknowledged ingest: each source's frames exactly once and in order, and an ack when they are durable.

The way of a frame: decoded; compared with what its source has done; folded; appended to the journal;
committed together with how far its source is; and only then acknowledged. Between the socket and the commit
it is part of one group and of nothing else, so what is unacknowledged here is bounded by a group, whoever
sends: a producer beyond its credit is told so and its frame forgotten.

A message that does not say which frame of which source it is, cannot be counted as done: it is refused under
seq -1. Any other bad frame is refused under its own seq, in its turn, and the next one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import zmq

from ..engine import Done, Refusal
from ..protocol import (
    Ack,
    Durability,
    Frame,
    Limits,
    Nack,
    ProtocolError,
    Receipt,
    decode_frame,
    decode_hello,
    encode_receipt,
    sender_of,
)
from .claims import Claims
from .group import Asked, Group, Letter
from .sockets import May, from_peer

if TYPE_CHECKING:
    from ..config import Ingest

Receive: TypeAlias = Callable[["zmq.Socket[bytes]"], "tuple[bytes, bytes, bool, May | None] | None"]
UNNAMED = "source and seq: needed in every frame that is to be acknowledged"


@dataclass(slots=True)
class Receipts:
    """What was answered: acks, nacks by code, and frames that came again and were dropped."""

    acks: int = 0
    nacks: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0


class Acking:
    """The acked socket, used from the loop's thread; `done` is how far sources are, as of the last commit."""

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        ingest: Ingest,
        limits: Limits,
        durability: Durability,
        done: dict[str, Done],
        receive: Receive = from_peer,
    ) -> None:
        self.done = done
        self.tally = Receipts()
        self.durability: Durability = durability
        self._socket = socket
        self._receive = receive
        self._ingest = ingest
        self.limits = limits
        self._claims = Claims(2 * ingest.acked_sources)
        self._now = 0.0
        self._share = ingest.credit_bytes
        self._frames = ingest.credit_frames
        self._closed = False

    def take(self, group: Group) -> bool:
        """Read one message, if there is one, into the group."""
        message = self._receive(self._socket)
        if message is None:
            return False
        identity, raw, multipart, may = message
        group.looked += 1
        group.size += len(raw)
        frame = None
        error = ProtocolError("missing_key", UNNAMED)
        try:
            if multipart:
                raise ProtocolError("multipart", "message: expected one part, got several")
            frame = decode_frame(raw, self.limits)
            source, seq = frame.source, frame.seq
        except ProtocolError as found:
            if found.code == "kind" and self._hello(group, identity, raw, may):
                return True
            error = found
            source, seq = (None, None) if multipart else sender_of(raw, self.limits)
        if source is None or seq is None:
            group.letters.append(Letter(source, error.code, error.reason, raw))
            self._say(identity, Nack(-1, error.code, error.reason, source))
        elif (why := _forbidden(may, source)) is not None:
            # It moves no mark: a frame of a stranger is not one of the source's.
            group.letters.append(Letter(source, why.code, why.reason, raw))
            self._say(identity, Nack(seq, why.code, why.reason, source))
        elif self._speaks(group, identity, source, seq):
            self._place(group, identity, source, seq, raw, frame or error)
        return True

    def settled(self, group: Group) -> dict[str, Done]:
        """How far the sources of a folded group are once it is durable."""
        refused: dict[str, list[Refusal]] = {}
        for letter in group.letters:
            if letter.source is not None and letter.seq is not None:
                found = Refusal(letter.seq, letter.code, letter.reason)
                refused.setdefault(letter.source, []).append(found)
        window = self._ingest.credit_frames
        return {
            source: self.done.get(source, Done()).reached(seq, refused.get(source, ()), window)
            for source, seq in group.reached.items()
        }

    def answer(self, group: Group, done: dict[str, Done]) -> None:
        """The group is durable: tell its producers, and those who asked."""
        self.done |= done
        refused = [(x.source, x.seq) for x in group.letters if x.source is not None and x.seq is not None]
        for source, seq in sorted({*refused, *group.again}):
            found, speaker = self.done[source].refusal(seq), self._claims.speaker(source)
            if found is not None and speaker is not None:
                self._say(speaker, Nack(*found, source))
        self._tell(dict.fromkeys((*group.reached, *(source for source, _ in group.again))))
        for identity, source, probe in group.asked:
            # Who asks may have missed a nack, and would take the ack for the word that all was learned.
            for refusal in self.done.get(source, Done()).refused:
                self._say(identity, Nack(*refusal, source))
            self._say(identity, self._ack(source, probe))

    def tick(self, now: float, room: float = 1.0) -> None:
        """Time has passed: the credit of all, or `room` of it where memory is short, is shared anew between
        those who are at work."""
        self._now = now
        share = self._ingest.credit_bytes_together // max(self._claims.active(now), 1)
        # One frame is always allowed: what is shared is what producers hold ready, not what is taken in here.
        self._share = max(int(room * min(self._ingest.credit_bytes, share)), self.limits.frame_bytes)
        self._frames = max(int(room * self._ingest.credit_frames), 1)

    @property
    def credit(self) -> tuple[int, int]:
        """What each source may have unacknowledged now: frames and bytes."""
        return (0, 0) if self._closed else (self._frames, self._share)

    def open(self, taking: bool) -> None:
        """Give credit or, where nothing can be made durable, none; producers are told when that changes."""
        if self._closed == taking:
            self._closed = not taking
            self._tell(self._claims)

    def turn_away(self, most: int = 64) -> None:
        """While nothing can be made durable: take nothing, and answer those who ask how far they are."""
        group = Group()
        while group.looked < most and self.take(group):
            continue
        self.answer(group, {})

    def _tell(self, sources: Iterable[str]) -> None:
        for source in sources:
            if (speaker := self._claims.speaker(source)) is not None:
                self._say(speaker, self._ack(source))

    def _ack(self, source: str, probe: int | None = None) -> Ack:
        return Ack(source, self.done.get(source, Done()).seq, *self.credit, self.durability, probe)

    def _say(self, identity: bytes, receipt: Receipt) -> bool:
        """False where nobody is there any more; who does not read misses it, and the next ack says all."""
        if isinstance(receipt, Ack):
            self.tally.acks += 1
        else:
            self.tally.nacks[receipt.code] = self.tally.nacks.get(receipt.code, 0) + 1
        try:
            self._socket.send_multipart([identity, encode_receipt(receipt)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error.errno == zmq.EAGAIN
        return True

    def _place(
        self, group: Group, identity: bytes, source: str, seq: int, raw: bytes, found: Frame | ProtocolError
    ) -> None:
        """A frame with its number: in its turn, again, or not to be taken yet."""
        done = self.done.get(source, Done()).seq
        expected = group.reached.get(source, done) + 1
        ingest, size = self._ingest, group.bytes_of.get(source, 0)
        if seq < expected:
            self.tally.duplicates += 1
            group.again.append((source, seq))
        elif seq > expected:
            why = f"seq: expected {expected}, got {seq}, which leaves out {seq - expected}"
            self._expect(group, identity, Nack(seq, "gap", why, source, expected))
        elif self._closed:
            why = "credit: none while nothing can be made durable"
            self._expect(group, identity, Nack(seq, "credit", why, source, expected))
        elif seq > done + ingest.credit_frames or (size and size + len(raw) > ingest.credit_bytes):
            bounds = f"{ingest.credit_frames} frames or {ingest.credit_bytes} bytes"
            why = f"credit: more than {bounds} without an ack"
            self._expect(group, identity, Nack(seq, "credit", why, source, expected))
        else:
            group.reached[source] = seq
            group.bytes_of[source] = size + len(raw)
            if isinstance(found, ProtocolError):
                group.letters.append(Letter(source, found.code, found.reason, raw, seq))
            else:
                group.add(found, raw, seq)

    def _expect(self, group: Group, identity: bytes, nack: Nack) -> None:
        """Say once in a group what is expected: all that follow are out of turn for the same reason."""
        if nack.source is not None and nack.source not in group.told:
            group.told.add(nack.source)
            self._say(identity, nack)

    def _speaks(self, group: Group, identity: bytes, source: str, seq: int) -> bool:
        """Whether frames of this source are taken from this peer; it is told once in a group."""
        why = self._too_many(group, source) or self._claims.speak(
            identity, source, self._now, lambda holder: self._say(holder, self._ack(source))
        )
        if why is not None and source not in group.told:
            group.told.add(source)
            self._say(identity, Nack(seq, "source", why, source))
        return why is None

    def _hello(self, group: Group, identity: bytes, raw: bytes, may: May | None) -> bool:
        """Answer a hello after the commit, or refuse it now; False where the message is none."""
        try:
            hello = decode_hello(raw, self.limits)
        except ProtocolError as error:
            if error.code == "kind":
                return False
            self._say(identity, Nack(-1, error.code, error.reason))
            return True
        if (no := _forbidden(may, hello.source)) is not None:
            self._say(identity, Nack(-1, no.code, no.reason, hello.source))
            return True
        why = self._too_many(group, hello.source)
        if why is None and hello.session is not None:
            why = self._claims.hold(identity, hello.source, hello.session, self._now)
        if why is not None:
            self._say(identity, Nack(-1, "source", why, hello.source))
        else:
            group.asked.append(Asked(identity, hello.source, hello.probe))
        return True

    def _too_many(self, group: Group, source: str) -> str | None:
        """None is ever forgotten, as it could send again what was learned: so their number is bounded."""
        if source in self.done or source in group.reached:
            return None
        known = len(self.done) + sum(name not in self.done for name in group.reached)
        if known < self._ingest.acked_sources:
            return None
        return f"source: {known} are known, as many as ingest.acked_sources allows"


def _forbidden(may: May | None, source: str) -> ProtocolError | None:
    """Why a peer may not speak for a source at all, None where it may."""
    try:
        if may is not None:
            may(source)
    except ProtocolError as error:
        return error
    return None
