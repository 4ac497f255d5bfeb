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
from functools import cached_property

import numpy as np

from .arrays import Array, Ints
from .rows import Rows

STRETCH, LONGEST = 32, 256
"""Rows that are taken between two looks at them (`review`), at least and at the most: the stretch doubles
whenever two looks found nothing new, and is short again after one that did."""

_SIZE, _EACH = 2000, 40
"""Rows of a sample at least, and for each component."""

_MOST_NUMBERS = 1 << 21
"""Numbers that a sample may hold: 16 MiB."""

_IDLE = 16.0
"""One row of so many is taken where memory is shorter than the sample: there are no reviews then."""

_NEVER = 1e18
"""Rows that no stream reaches: with weights at the ends of what is allowed a memory may amount to more."""

_SMALL, _WAITING = 1 << 16, 512
"""A sample of more bytes than these is put together once so many fresh rows wait."""

_PIECES = 8
"""Fresh rows are joined when they are in as many pieces."""

_SALT = 1

_ONES, _NO_TIMES = np.ones(LONGEST), np.full(LONGEST, np.nan)
"""Columns that rows of plain arrays share: nobody writes into them."""
for _column in (_ONES, _NO_TIMES):
    _column.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows that stand for all that is remembered.

    Attributes:
        rows: the sample as it was last put together.
        fresh: rows taken since, in pieces.
        looked: how many of these were there at the last look.
        due: numbers, from 0, of the rows that are taken until the next look, ascending.
        places: where in `rows` each fresh row goes, and each that is due; at the end, while the sample is
            filled.
        rest: rows learned before which the next review is not made.
        named: ids that were given to components so far.
        quiet: looks that found nothing new, since one that did.
        review: rows learned at which a review is due whatever the rows are like; None: at none.
    """

    rows: Rows
    fresh: tuple[Rows, ...]
    looked: int
    due: Ints
    places: Ints
    rest: int
    named: int
    quiet: int = 0
    review: int | None = None

    @property
    def last(self) -> int:
        """The number of the row after which the sample is looked at."""
        return self._numbers[-1]

    @cached_property
    def _numbers(self) -> list[int]:
        numbers: list[int] = self.due.tolist()
        return numbers

    def wants(self, first: int, end: int) -> bool:
        """Whether a row is taken of those from number `first` up to `end`."""
        numbers = self._numbers
        at = bisect_left(numbers, first)
        return at < len(numbers) and numbers[at] < end

    def taking(self, x: Array, w: Array | None, t: Array | None, first: int) -> Sample:
        """The sample after rows x (n, d) with weights w (n,), None: each 1, and event times t (n,), None:
        none, went by, the first of which has the number `first`."""
        low, high = bisect_left(self._numbers, first), bisect_left(self._numbers, first + len(x))
        if low == high:
            return self
        which = self.due[low:high] - first
        weights = _ONES[: high - low] if w is None else w[which]
        times = _NO_TIMES[: high - low] if t is None else t[which]
        before = self.fresh if len(self.fresh) < _PIECES else (self.taken,)
        # What `replace` would make, in a fifth of its time, and with the numbers that are at hand.
        made = object.__new__(Sample)
        made.__dict__.update(self.__dict__, fresh=(*before, Rows(x.take(which, 0), weights, times)))
        return made

    @property
    def latest(self) -> Rows:
        """The rows that were taken since the last look."""
        return self.taken[self.looked :]

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

    def onward(self, most: int, span: float, seed: int, *, quiet: bool) -> Sample:
        """The sample at the end of its stretch, in which nothing new was found where it is `quiet`, with the
        next one ahead: it may hold `most` rows, and the memory amounts to `span`."""
        taken, calm = self.taken, self.quiet + 1 if quiet else 0
        length = min(STRETCH << min(calm // 2, 8), LONGEST)
        # To put a large sample together takes longer than to learn what came since.
        if len(self.rows) == most and len(taken) < _WAITING and self.rows.x.nbytes > _SMALL:
            due, places = _stretch(self.rows, most, self.last + 1, span, seed, length)
            places = np.concatenate([self.places, places])
            return replace(self, fresh=(taken,), looked=len(taken), due=due, places=places, quiet=calm)
        rows = self.settled()
        due, places = _stretch(rows, most, self.last + 1, span, seed, length)
        return replace(self, rows=rows, fresh=(), looked=0, due=due, places=places, quiet=calm)

    def grown(self, d: int) -> Sample:
        """The same rows with features up to d, all missing; some of them, where all would be too many
        numbers."""
        most = max(1, _MOST_NUMBERS // max(d, 1))
        kept = self if len(self.rows) + len(self.taken) <= most else self._thinned(most)
        return replace(kept, rows=kept.rows.grown(d), fresh=tuple(part.grown(d) for part in kept.fresh))

    def _thinned(self, most: int) -> Sample:
        """So many of the rows at random, fresh ones in their places."""
        rows, fresh = self.settled(), len(self.taken)
        some = np.zeros(len(rows), dtype=bool)
        some[np.random.default_rng([_SALT, self.last]).permutation(len(rows))[:most]] = True
        # What is still to come takes the places of rows that are there.
        places = self.places[fresh:] % min(most, len(rows))
        due = self.due[len(self.due) - len(places) :]
        return replace(self, rows=rows.take(some), fresh=(), looked=0, due=due, places=places)

    def arranged(self, columns: Ints) -> Sample:
        """The same rows with their features in another order."""
        rows, *fresh = (Rows(part.x[:, columns], part.w, part.t) for part in (self.rows, *self.fresh))
        return replace(self, rows=rows, fresh=tuple(fresh))


def outlives(span: float, rows: Rows) -> bool:
    """Whether a memory that amounts to `span` rows holds what a sample of these does."""
    return span >= 0.9 * len(rows)


def size(k: int, d: int) -> int:
    """Rows that a sample holds for k components of d features."""
    return max(1, min(max(_SIZE, _EACH * k), _MOST_NUMBERS // max(d, 1)))


def _stretch(
    rows: Rows, most: int, learned: int, span: float, seed: int, length: int = STRETCH
) -> tuple[Ints, Ints]:
    """Numbers and places of the `length` rows that are taken next into a sample of `rows` that may hold
    `most`, after so many went by, where the memory amounts to `span` rows."""
    room = most - len(rows)
    in_use = outlives(span, rows)
    if in_use and room > 0:
        ahead = np.arange(min(room, length))
        return learned + ahead, len(rows) + ahead
    rng = np.random.default_rng([seed, _SALT, learned])
    # None of m further rows is taken with probability (span / (span + m))^most, or e^(-m most / span).
    steps = np.cumsum(rng.exponential(1.0 / most, length))
    # A memory that loses nothing grows with the rows; its span is known to within a few in a hundred.
    if not in_use:
        far = _IDLE * most * steps
    else:
        far = span * np.expm1(steps) if learned < 1.5 * span else span * steps
    count = np.arange(length)
    # Each a row of its own: at the earliest the one behind the one before.
    numbers = np.maximum.accumulate(np.minimum(far, _NEVER).astype(np.int64) - count) + count
    return learned + numbers, rng.integers(most if in_use else len(rows), size=length)


def begun(rows: Rows, most: int, learned: int, seed: int, named: int) -> Sample:
    """A sample that begins with rows which stand for the first `learned` ones, with `most` of them where they
    are more."""
    if len(rows) > most:
        rng = np.random.default_rng([seed, _SALT, learned])
        some = np.zeros(len(rows), dtype=bool)
        some[rng.permutation(len(rows))[:most]] = True
        rows = rows.take(some)
    due, places = _stretch(rows, most, learned, float(learned), seed)
    return Sample(rows, (), 0, due, places, 0, named)


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
