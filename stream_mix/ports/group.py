"""The frames of one drain, on their way through the fold into the journal, and whom to answer after that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..protocol import Code, Frame, Limits, ProtocolError, decode_frame
from .doors import Judge


class Letter(NamedTuple):
    """A frame that was refused: by whom if known, why, its bytes, and its seq if it is to be acknowledged."""

    source: str | None
    code: Code
    reason: str
    raw: bytes
    seq: int | None = None


class Asked(NamedTuple):
    """Somebody who is told how far a source is."""

    identity: bytes
    source: str
    probe: int | None


@dataclass(slots=True)
class Group:
    """Frames of one drain, with their bytes and, for those that were none, why.

    Attributes:
        acked: for each frame its seq where it is to be acknowledged, else None.
        letters: what was refused.
        reached: the last frame of each acknowledged source that came in its turn, taken or refused.
        bytes_of: bytes of these frames.
        again: frames that came again; their sources are told how far they are.
        asked: who asked how far a source is.
        told: sources that have been told in this group what is expected of them.
        looked: messages read, whatever became of them; size: their bytes.
        full: whether there may be more.
        began: when the first look at its frames was taken, on the clock of the loop.
    """

    frames: list[Frame] = field(default_factory=list)
    raws: list[bytes] = field(default_factory=list)
    acked: list[int | None] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    bytes_of: dict[str, int] = field(default_factory=dict)
    again: list[tuple[str, int]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    looked: int = 0
    size: int = 0
    full: bool = False
    began: float = 0.0

    def take(self, raw: bytes, multipart: bool, limits: Limits, judge: Judge | None = None) -> None:
        """A message of a socket that acknowledges nothing; `judge` raises ProtocolError where its sender may
        not speak for its source."""
        self.size += len(raw)
        self.looked += 1
        try:
            if multipart:
                raise ProtocolError("multipart", "message: expected one part, got several")
            frame = decode_frame(raw, limits)
            if judge is not None:
                judge(frame.source)
            self.add(frame, raw)
        except ProtocolError as error:
            self.letters.append(Letter(None, error.code, error.reason, raw))

    def add(self, frame: Frame, raw: bytes, seq: int | None = None) -> None:
        """One more frame that decodes; `seq` where it is to be acknowledged."""
        self.frames.append(frame)
        self.raws.append(raw)
        self.acked.append(seq)

    def refuse(self, refused: Mapping[int, tuple[Code, str]]) -> None:
        """Move frames, by their indices, to the letters: the fold cannot take them."""
        for i, (code, reason) in refused.items():
            self.letters.append(Letter(self.frames[i].source, code, reason, self.raws[i], self.acked[i]))
        kept = [i for i in range(len(self.frames)) if i not in refused]
        self.frames = [self.frames[i] for i in kept]
        self.raws = [self.raws[i] for i in kept]
        self.acked = [self.acked[i] for i in kept]
