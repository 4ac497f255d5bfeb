"""Which frames of a journal are replayed, and when each is due. Pure but for the reading: no clock, no
sleep."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..protocol import Frame, encode_points
from .folding import JOURNALLED, decoded
from .journal import JournalError, JournalFrame, JournalReader


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: at the original pace times `factor`, or so many `rows_per_second`, or (neither) as fast as
    possible.

    `max_gap` caps a silence of the original, in its own seconds, before the factor is applied.

    >>> Pace.of("original"), Pace.of("x10").factor, Pace.of("500/s").rows_per_second
    (Pace(factor=1.0, rows_per_second=None, max_gap=None), 10.0, 500.0)
    """

    factor: float | None = None
    rows_per_second: float | None = None
    max_gap: float | None = None

    @classmethod
    def of(cls, text: str, max_gap: float | None = None) -> Pace:
        """From `fast`, `original`, `x2.5` (a factor) or `1000/s` (rows). Raises ValueError, one line."""
        factor = rows = None
        try:
            if text == "original":
                factor = 1.0
            elif text.startswith("x"):
                factor = float(text[1:])
            elif text.endswith("/s"):
                rows = float(text[:-2])
            elif text != "fast":
                raise ValueError
            if not all(value is None or 0 < value < math.inf for value in (factor, rows, max_gap)):
                raise ValueError
        except ValueError:
            expected = "fast, original, x2.5 (times as fast) or 1000/s (rows); --max-gap is seconds > 0"
            raise ValueError(f"pace {text!r}: expected {expected}") from None
        return cls(factor, rows, max_gap)

    @property
    def fast(self) -> bool:
        """Whether nothing is ever waited for."""
        return self.factor is None and self.rows_per_second is None

    def due(self, frames: Iterable[JournalFrame]) -> Iterator[tuple[float, JournalFrame]]:
        """Each frame with the seconds after the start at which it is due; clocks that went back count as
        standing."""
        at, before, rows = 0.0, None, 0
        for frame in frames:
            if self.rows_per_second is not None:
                at = rows / self.rows_per_second
                rows += frame.n
            elif self.factor is not None and before is not None:
                gap = max(0.0, frame.received - before)
                at += min(gap, math.inf if self.max_gap is None else self.max_gap) / self.factor
            before = frame.received
            yield at, frame


@dataclass(frozen=True, slots=True)
class Range:
    """Which rows: offsets in [start, stop), times in [since, until) or the `last` seconds, one source, at
    most `limit` rows.

    Times are those at which frames were received, or with `clock` "event" those of their rows.
    """

    start: int = 0
    stop: int | None = None
    since: float | None = None
    until: float | None = None
    last: float | None = None
    source: str | None = None
    clock: str = "received"
    limit: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it is the journal from its beginning, without gaps."""
        return not self.start and self.since is None and self.last is None and self.source is None


class _Cut(NamedTuple):
    first: int
    last: int


def chosen(reader: JournalReader, wanted: Range) -> Iterator[JournalFrame]:
    """The frames of a range in order; those that reach beyond its ends are cut to it.

    A start of 0 is where the journal begins, which is later once old rows were dropped. Raises JournalError
    where the journal has no such row, or cannot be believed.
    """
    end = reader.end()
    rows, start = end.rows, wanted.start or end.first_offset
    if start and start >= rows:
        raise JournalError(reader.path, f"has {rows} rows, none from offset {start} on")
    left = math.inf if wanted.limit is None else wanted.limit
    frames = reader.frames(
        start, wanted.stop, since=wanted.since, until=wanted.until, source=wanted.source,
        last=wanted.last, clock=wanted.clock,
    )  # fmt: skip
    for frame in frames:
        stop = frame.n if wanted.stop is None else wanted.stop - frame.offset
        cut = _Cut(
            max(0, start - frame.offset),
            int(min(frame.n, stop, max(0, start - frame.offset) + left)),
        )
        if cut.last <= cut.first:
            return
        left -= cut.last - cut.first
        yield frame if cut == (0, frame.n) else _part(reader.path, frame, cut)
        if left <= 0:
            return


def _part(path: str, frame: JournalFrame, cut: _Cut) -> JournalFrame:
    """Rows first <= i < last of a frame, as a frame in the fast form."""
    rows = decoded(frame, path)
    which = slice(cut.first, cut.last)
    part = replace(
        rows, x=rows.x[which], n_sent=cut.last - cut.first, refused=(),
        t=None if rows.t is None else rows.t[which], w=None if rows.w is None else rows.w[which],
        id=None if rows.id is None else rows.id[which],
    )  # fmt: skip
    return frame._replace(offset=frame.offset + cut.first, n=part.n, raw=raw_of(part))


def raw_of(frame: Frame) -> bytes:
    """A frame's accepted rows as the bytes of a `points` message; a row without an id has the empty one."""
    ids = None if frame.id is None else ["" if item is None else item for item in frame.id]
    return encode_points(
        frame.x, source=frame.source, seq=frame.seq, t=frame.t, w=frame.w, id=ids, features=frame.features,
        limits=JOURNALLED,
    )  # fmt: skip
