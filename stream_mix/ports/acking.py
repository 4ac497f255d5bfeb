"""Acknowledged ingest: each source's frames exactly once and in order, and an ack when they are durable.

The way of a frame: decoded; compared with what its source has done; folded; appended to the journal;
committed together with how far its source is; and only then acknowledged. Between the socket and the commit
it is part of one group and of nothing else, so what is unacknowledged here is bounded by a group, whoever
sends: a producer beyond its credit is told so and its frame forgotten.

A message that does not say which frame of which source it is, cannot be counted as done: it is refused under
seq -1. Any other bad frame is refused under its own seq, in its turn, and the next one is taken.

A source is spoken for by whoever spoke for it last. Two producers under one name would take each other's
frames for repetitions, and lose them; one that says hello with a session therefore holds the source until
another session says hello, and the old one is told that it has been succeeded. A plain producer, without a
session, cannot take a source from one that holds it and is connected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import zmq

from ..engine import Done, Refusal
from ..protocol import (
    Ack,
    Durability,
    Frame,
    Hello,
    Limits,
    Nack,
    ProtocolError,
    Receipt,
    decode_frame,
    decode_hello,
    encode_receipt,
    sender_of,
)
from .group import Asked, Group, Letter
from .sockets import from_peer

if TYPE_CHECKING:
    from ..config import Ingest

ACTIVE_SECONDS = 1.0
"""A source that has said nothing for so long has no share in the credit of all."""
RETIRED = 16
"""Sessions that were succeeded, remembered for each source."""
UNNAMED = "source and seq: needed in every frame that is to be acknowledged"


@dataclass(slots=True)
class _Claim:
    """Who speaks for a source, and when it last did."""

    identity: bytes
    session: int | None
    heard: float
    retired: tuple[int, ...] = ()


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
    ) -> None:
        self.done = done
        self.tally = Receipts()
        self.durability: Durability = durability
        self._socket = socket
        self._ingest = ingest
        self._limits = limits
        self._claims: dict[str, _Claim] = {}
        self._now = 0.0
        self._share = ingest.credit_bytes
        self._closed = False

    def take(self, group: Group) -> bool:
        """Read one message, if there is one, into the group."""
        message = from_peer(self._socket)
        if message is None:
            return False
        identity, raw, multipart = message
        group.looked += 1
        group.size += len(raw)
        frame = None
        error = ProtocolError("missing_key", UNNAMED)
        try:
            if multipart:
                raise ProtocolError("multipart", "message: expected one part, got several")
            frame = decode_frame(raw, self._limits)
            source, seq = frame.source, frame.seq
        except ProtocolError as found:
            if found.code == "kind" and self._hello(group, identity, raw):
                return True
            error = found
            source, seq = (None, None) if multipart else sender_of(raw, self._limits)
        if source is None or seq is None:
            group.letters.append(Letter(source, error.code, error.reason, raw))
            self._say(identity, Nack(-1, error.code, error.reason, source))
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
            found = self.done[source].refusal(seq)
            if found is not None and (claim := self._claims.get(source)) is not None:
                self._say(claim.identity, Nack(*found, source))
        self._tell(dict.fromkeys((*group.reached, *(source for source, _ in group.again))))
        for identity, source, probe in group.asked:
            # Who asks may have missed a nack, and would take the ack for the word that all was learned.
            for refusal in self.done.get(source, Done()).refused:
                self._say(identity, Nack(*refusal, source))
            self._say(identity, self._ack(source, probe))

    def tick(self, now: float) -> None:
        """Time has passed: the credit of all is shared anew between those who are at work."""
        self._now = now
        active = sum(claim.heard > now - ACTIVE_SECONDS for claim in self._claims.values())
        share = self._ingest.credit_bytes_together // max(active, 1)
        # One frame is always allowed: what is shared is what producers hold ready, not what is taken in here.
        self._share = max(min(self._ingest.credit_bytes, share), self._limits.frame_bytes)

    def open(self, taking: bool) -> None:
        """Give credit or, where nothing can be made durable, none; producers are told when it is back."""
        was, self._closed = self._closed, not taking
        if was and taking:
            self._tell(self._claims)

    def _tell(self, sources: Iterable[str]) -> None:
        for source in sources:
            if (claim := self._claims.get(source)) is not None:
                self._say(claim.identity, self._ack(source))

    def _ack(self, source: str, probe: int | None = None) -> Ack:
        frames, size = (0, 0) if self._closed else (self._ingest.credit_frames, self._share)
        return Ack(source, self.done.get(source, Done()).seq, frames, size, self.durability, probe)

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
        """Whether frames of this source are taken from this peer."""
        claim = self._claims.get(source)
        if claim is not None and claim.identity == identity:
            claim.heard = self._now
            return True
        why = None
        if claim is not None and claim.session is not None:
            if self._say(claim.identity, self._ack(source)):
                why = "another producer speaks for it"
        elif claim is None:
            why = self._too_many(group, source)
        if why is not None:
            if source not in group.told:
                group.told.add(source)
                self._say(identity, Nack(seq, "source", f"source: {why}", source))
            return False
        self._claim(source, _Claim(identity, None, self._now, claim.retired if claim else ()))
        return True

    def _hello(self, group: Group, identity: bytes, raw: bytes) -> bool:
        """Answer a hello after the commit, or refuse it now; False where the message is none."""
        try:
            hello = decode_hello(raw, self._limits)
        except ProtocolError as error:
            if error.code == "kind":
                return False
            self._say(identity, Nack(-1, error.code, error.reason))
            return True
        why = self._too_many(group, hello.source) or self._hold(identity, hello)
        if why is not None:
            self._say(identity, Nack(-1, "source", f"source: {why}", hello.source))
        else:
            group.asked.append(Asked(identity, hello.source, hello.probe))
        return True

    def _hold(self, identity: bytes, hello: Hello) -> str | None:
        """Let a session hold its source; why not, if it may not."""
        if hello.session is None:
            return None
        claim = self._claims.get(hello.source)
        retired = claim.retired if claim is not None else ()
        if hello.session in retired:
            return "another producer has begun to speak for it"
        if claim is not None and claim.session not in (None, hello.session):
            retired = (*retired, claim.session)[-RETIRED:]
        self._claim(hello.source, _Claim(identity, hello.session, self._now, retired))
        return None

    def _claim(self, source: str, claim: _Claim) -> None:
        self._claims[source] = claim
        # Names of those who only ask are a stranger's to choose; the oldest claim of all is let go.
        if len(self._claims) > 2 * self._ingest.acked_sources:
            del self._claims[next(iter(self._claims))]

    def _too_many(self, group: Group, source: str) -> str | None:
        """None is ever forgotten, as it could send again what was learned: so their number is bounded."""
        if source in self.done or source in group.reached:
            return None
        known = len(self.done) + sum(name not in self.done for name in group.reached)
        if known < self._ingest.acked_sources:
            return None
        return f"{known} are known, as many as ingest.acked_sources allows"
