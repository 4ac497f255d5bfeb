"""How far a source is whose frames are acknowledged: what is the next, what came again, what is missing.

Such a source counts its frames from 0 and leaves none out: the one that is taken is always the next. A frame
that is refused counts as done, too, with the reason kept as long as its producer may send it again: a refused
frame does not hold up those behind it, and whoever asks twice is answered the same.

These marks are apart from those of `state`, which count what came by whatever socket: a stranger who pushes
under the name of such a source cannot move its mark. They are part of a journal, not of the engine's state:
no model depends on them, and they are wanted as of the last commit, never as of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from ..protocol import Code


class Refusal(NamedTuple):
    """A frame that was refused for good, and why."""

    seq: int
    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """All frames of a source up to `seq` are done; -1 before the first. `refused` are the latest refusals."""

    seq: int = -1
    refused: tuple[Refusal, ...] = ()

    def reached(self, seq: int, refused: Iterable[Refusal] = (), window: int = 1) -> Done:
        """After all frames up to `seq`, some of them refused.

        What was refused further back than a window is forgotten: a producer that sent frame `seq` within its
        credit has an ack of all that is older.

        >>> Done().reached(5, [Refusal(3, "crc", "does not match")], 4).reached(6, window=4).refused
        (Refusal(seq=3, code='crc', reason='does not match'),)
        >>> Done().reached(5, [Refusal(3, "crc", "does not match")], 4).reached(7, window=4).refused
        ()
        """
        late = [refusal for refusal in (*self.refused, *refused) if refusal.seq > seq - window]
        return Done(seq, tuple(sorted(late)))

    def refusal(self, seq: int) -> Refusal | None:
        """Why a frame that came again was refused; None where it was taken."""
        return next((refusal for refusal in self.refused if refusal.seq == seq), None)
