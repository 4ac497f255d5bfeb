"""How far a source is whose frames are acknowledged: what is the next, what came again, what is missing.

Such a source counts its frames from 0 and leaves none out: the one that is taken is always the next. A frame
that is refused counts as done, too, with the reason kept as long as its producer may send it again: a refused
frame does not hold up those behind it, and whoever asks twice is answered the same.

These marks are apart from those of `state`, which count what came on sockets that acknowledge nothing:
a stranger who pushes under the name of such a source cannot move its mark.
"""

from __future__ import annotations

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
    """All frames of a source up to `seq` are done; -1 before the first. `refused` are the late refusals."""

    seq: int = -1
    refused: tuple[Refusal, ...] = ()

    @property
    def expected(self) -> int:
        """The frame that is taken next."""
        return self.seq + 1

    def taken(self, window: int) -> Done:
        """After the next frame was taken; refusals further back than the window are no more asked for.

        >>> Done().taken(8)
        Done(seq=0, refused=())
        """
        return Done(self.seq + 1, self._late(window))

    def turned_down(self, code: Code, reason: str, window: int) -> Done:
        """After the next frame was refused.

        >>> Done().turned_down("crc", "does not match", 8).refused
        (Refusal(seq=0, code='crc', reason='does not match'),)
        """
        return Done(self.seq + 1, (*self._late(window), Refusal(self.seq + 1, code, reason)))

    def refusal(self, seq: int) -> Refusal | None:
        """Why a frame that comes again was refused; None where it was taken."""
        return next((refusal for refusal in self.refused if refusal.seq == seq), None)

    def _late(self, window: int) -> tuple[Refusal, ...]:
        if not self.refused:
            return ()
        return tuple(refusal for refusal in self.refused if refusal.seq + window > self.seq)
