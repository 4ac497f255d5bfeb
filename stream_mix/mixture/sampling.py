"""A sample of the stream: a few rows that stand for all that is remembered, whatever order they came in.

The reservoir of the start is a prefix. Where rows come in the order of their clusters, or in bursts, a prefix
says little of what follows, so a settled model keeps a sample: row number n is taken with probability size /
n and then takes the place of a random one (Vitter 1985, algorithm R), where memory fades with probability
size / span, span being how many rows the memory amounts to (Aggarwal 2006). Which rows these are is decided a
stretch ahead, by the number of its first row and the model's seed alone: how rows are grouped changes
nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Ints
from .rows import Rows

STRETCH = 32
"""Rows that are taken between two looks at them (`learning`)."""

_SIZE = 2000
_MOST_NUMBERS = 1 << 21
"""Numbers that a sample may hold: 16 MiB."""

_IDLE = 16.0
"""One row of so many is taken where memory is shorter than the sample: there are no reviews then."""

_SALT = 1


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that stand for all that is remembered.

    Attributes:
        rows: the sample as of the last look.
        fresh: rows taken since, in pieces.
        due: numbers, from 0, of the rows that are taken until the next look, ascending.
        places: where in `rows` each of them goes; at the end, while the sample is filled.
        rest: rows learned before which the next review is not made.
        named: ids that were given to components so far.
        review: rows learned at which a review is due whatever the rows are like; None: at none.
    """

    rows: Rows
    fresh: tuple[Rows, ...]
    due: Ints
    places: Ints
    rest: int
    named: int
    review: int | None = None

    @property
    def last(self) -> int:
        """The number of the row after which the sample is looked at."""
        return int(self.due[-1])

    def wants(self, first: int, end: int) -> bool:
        """Whether a row is taken of those from number `first` up to `end`."""
        at = bisect_left(self.due, first)
        return at < len(self.due) and bool(self.due[at] < end)

    def taking(self, rows: Rows, first: int) -> Sample:
        """The sample after rows went by, the first of which has the number `first`."""
        low, high = bisect_left(self.due, first), bisect_left(self.due, first + len(rows))
        if low == high:
            return self
        return replace(self, fresh=(*self.fresh, rows.take(self.due[low:high] - first)))

    @property
    def taken(self) -> Rows:
        """The fresh rows as one piece."""
        return Rows.concatenated(self.fresh) if self.fresh else Rows.none(self.rows.d)

    def settled(self) -> Rows:
        """The sample with its fresh rows in their places."""
        fresh, n = self.taken, len(self.rows)
        places = self.places[: len(fresh)]
        added = places >= n
        rows = Rows.concatenated([self.rows, fresh.take(added)]).copy()
        old = places[~added]
        for column, values in ((rows.x, fresh.x), (rows.w, fresh.w), (rows.t, fresh.t)):
            column[old] = values[~added]
        return rows

    def onward(self, most: int, span: float, seed: int) -> Sample:
        """The sample at the end of its stretch, with the next one ahead: it may hold `most` rows, and the
        memory amounts to `span`."""
        rows = self.settled()
        due, places = _stretch(rows, most, self.last + 1, span, seed)
        return replace(self, rows=rows, fresh=(), due=due, places=places)

    def grown(self, d: int) -> Sample:
        """The same rows with features up to d, all missing."""
        return replace(self, rows=self.rows.grown(d), fresh=tuple(part.grown(d) for part in self.fresh))

    def arranged(self, columns: Ints) -> Sample:
        """The same rows with their features in another order."""
        rows, *fresh = (Rows(part.x[:, columns], part.w, part.t) for part in (self.rows, *self.fresh))
        return replace(self, rows=rows, fresh=tuple(fresh))


def outlives(span: float, rows: Rows) -> bool:
    """Whether a memory that amounts to `span` rows holds what a sample of these does."""
    return span >= 0.9 * len(rows)


def size(start_rows: int, d: int) -> int:
    """Rows that a sample of d features holds."""
    return max(1, min(max(_SIZE, start_rows), _MOST_NUMBERS // max(d, 1)))


def _stretch(rows: Rows, most: int, learned: int, span: float, seed: int) -> tuple[Ints, Ints]:
    """Numbers and places of the rows that are taken next into a sample of `rows` that may hold `most`, after
    so many went by, where the memory amounts to `span` rows."""
    room = most - len(rows)
    in_use = outlives(span, rows)
    if in_use and room > 0:
        ahead = np.arange(min(room, STRETCH))
        return learned + ahead, len(rows) + ahead
    rng = np.random.default_rng([seed, _SALT, learned])
    # None of m further rows is taken with probability (span / (span + m))^most, or e^(-m most / span).
    steps = np.cumsum(rng.exponential(1.0 / most, STRETCH))
    # A memory that loses nothing grows with the rows; its span is known to within a few in a hundred.
    if not in_use:
        far = _IDLE * most * steps
    else:
        far = span * np.expm1(steps) if learned < 1.5 * span else span * steps
    count = np.arange(STRETCH)
    # Each a row of its own: at the earliest the one behind the one before.
    numbers = np.maximum.accumulate(far.astype(np.int64) - count) + count
    return learned + numbers, rng.integers(most, size=STRETCH)


def begun(rows: Rows, most: int, learned: int, seed: int, named: int, span: float | None = None) -> Sample:
    """A sample that begins with rows which stand for the first `learned` ones, with `most` of them where they
    are more; or for as many as `span` says."""
    if len(rows) > most:
        rng = np.random.default_rng([seed, _SALT, learned])
        some = np.zeros(len(rows), dtype=bool)
        some[rng.permutation(len(rows))[:most]] = True
        rows = rows.take(some)
    due, places = _stretch(rows, most, learned, float(learned) if span is None else span, seed)
    return Sample(rows, (), due, places, 0, named)


def mixed(rows: Rows, other: Rows, mass: float, other_mass: float, *, seed: int) -> Rows:
    """Rows of two samples that stand for so much mass each, as many as one sample of both may have of
    each."""
    rng = np.random.default_rng([seed, _SALT])
    parts, total = [], mass + other_mass
    # Neither can give more than it has: the scarcer one decides how many rows there are.
    most = min(len(part) * total / own for part, own in ((rows, mass), (other, other_mass)) if own > 0.0)
    for part, own in ((rows, mass), (other, other_mass)):
        some = np.zeros(len(part), dtype=bool)
        some[rng.permutation(len(part))[: round(most * own / total)]] = True
        parts.append(part.take(some))
    return Rows.concatenated(parts)
