"""Decreasing steps, and the average of the second half of what they left: two memories.

Online EM with a step g_t on normalised statistics, s <- (1 - g) s + g s(row), converges for any g_t =
O(t^-exponent), 1/2 < exponent <= 1 (Cappé & Moulines 2009, theorem 1). With 1 every row counts the same for
ever, and what the first rows were taken for is forgotten only as 1/n; with less the first rows are forgotten
sooner, at the price of noise: the memory amounts to n^exponent rows. An average over statistics takes that
noise away again (Polyak & Juditsky 1992). Over those of all rows it would bring the poor ones of the
beginning back, so it is taken over the second half.

Moments are not normalised. A step g on what is worth N rows is: fade by (N - 1) / N', N' being what it was
worth before, and add the row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from .arrays import Array
from .memory import Memory, OneRecord, Store, check_positive, total
from .moments import Moments

_EACH = 100.0
"""Rows a component before memory grows more slowly than the stream: as many as the start is made of."""

USUAL_EXPONENT = 0.6
"""That of steps whose statistics are averaged."""


@dataclass(frozen=True)
class Decreasing(OneRecord):
    """After n rows the memory amounts to N(n) = rows (1 + n / rows)^exponent rows: step 1 / N(n).

    With exponent 1 that is plain summation. In batches of B rows it is the step (t + t0)^-exponent, t batches
    having been learned and t0 = rows / B, times t0^(exponent - 1).

    >>> Decreasing(exponent=0.6, rows=3).row_weights(np.zeros(3), 0.0, 0).round(3)
    array([0.751, 0.87 , 1.   ])
    """

    exponent: float
    rows: float

    def __post_init__(self) -> None:
        _check_exponent(self.exponent)
        check_positive(self.rows, "rows", "rows")
        if self.rows < 1:
            raise ValueError(f"rows is {self.rows!r}, expected a number of rows >= 1")

    @classmethod
    def suited(cls, n_components: int, batch_size: int, exponent: object) -> Decreasing:
        """The steps for so many components: the first hundred rows of each count alike, and a batch at
        least."""
        return cls(_check_exponent(exponent), max(_EACH * n_components, float(batch_size)))

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """What the steps of the later rows of the batch leave of each."""
        left = np.ones(len(t))
        left[:-1] = np.cumprod(self._left(rows + 1, rows + len(t))[::-1])[::-1]
        return left

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Scales by what the steps of the batch's rows leave, then adds the batch."""
        if not store:
            return (batch,)
        old = total(store)
        return (old.fade(float(self._left(old.rows, old.rows + batch.rows).prod())).add(batch),)

    def span(self, rows: int) -> float | None:
        """N."""
        return float(self._worth(np.array(float(rows))))

    def _worth(self, n: Array) -> Array:
        worth: Array = self.rows ** (1.0 - self.exponent) * (self.rows + n) ** self.exponent
        return worth

    def _left(self, first: int, last: int) -> Array:
        """What each of the rows with numbers first + 1 to last leaves of those before it."""
        worth = self._worth(np.arange(first, last + 1, dtype=np.float64))
        left: Array = (worth[1:] - 1.0) / worth[:-1]
        return left


@dataclass(frozen=True)
class Averaged(OneRecord):
    """Decreasing steps, which learn; what is said is the average of their statistics over the second half of
    the rows.

    The average is kept in two parts: of the last stretch that was as long as all before it, and of what came
    since, which becomes the last stretch when it is. In between, of the older part counts what is left of it
    in the second half. So the average has the mass of half the rows, in three records.

    >>> memory = Averaged(exponent=0.6, rows=100)
    >>> memory.steps
    Decreasing(exponent=0.6, rows=100)
    """

    exponent: float
    rows: float

    def __post_init__(self) -> None:
        Decreasing(self.exponent, self.rows)

    @classmethod
    def suited(cls, n_components: int, batch_size: int, exponent: object = USUAL_EXPONENT) -> Averaged:
        """`Decreasing.suited`, averaged."""
        steps = Decreasing.suited(n_components, batch_size, exponent)
        return cls(steps.exponent, steps.rows)

    @property
    def steps(self) -> Memory:
        """The steps that learn."""
        return Decreasing(self.exponent, self.rows)

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """Those of the steps."""
        return self.steps.row_weights(t, now, rows)

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """One step, and what it left once more in the newer part of the average."""
        if not store:
            return self.begun(batch)
        at_work, older, newer = store
        (at_work,) = self.steps.fold((at_work,), batch, before, now)
        newer = newer.add(_counting(at_work, batch))
        # The newer part is as long as all before it.
        if 2 * newer.rows >= at_work.rows:
            older, newer = newer, _nothing(at_work)
        return at_work, older, newer

    def begun(self, moments: Moments) -> Store:
        """As if they were of one batch."""
        return moments, moments, _nothing(moments)

    def told(self, store: Store) -> Moments:
        """The average: of the older part as much as is in the second half."""
        at_work, older, newer = store
        share = (0.5 * at_work.rows - newer.rows) / older.rows if older.rows else 1.0
        return replace(older.scale(min(max(share, 0.0), 1.0)).add(newer), rows=at_work.rows)

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """Adds record to record, or one record to each."""
        others = other if len(other) == len(store) else other * len(store)
        return tuple(mine.add(theirs) for mine, theirs in zip(store, others, strict=True))

    def span(self, rows: int) -> float | None:
        """Half of the rows."""
        return max(1.0, 0.5 * rows)


def stepping(step_exponent: object, averaged: object, n_components: int, batch_size: int) -> Memory | None:
    """The memory that two parameters ask for, for so many components and rows a batch; None where they ask
    for none. Raises ValueError where one makes no sense.

    >>> stepping(0.7, False, 2, 1), stepping(None, True, 2, 1), stepping(None, False, 2, 1)
    (Decreasing(exponent=0.7, rows=200.0), Averaged(exponent=0.6, rows=200.0), None)
    """
    if not isinstance(averaged, (bool, np.bool_)):
        raise ValueError(f"averaged is {averaged!r}, expected True or False")  # noqa: TRY004  # as for all choices
    kind = Averaged if averaged else Decreasing
    exponent = USUAL_EXPONENT if averaged and step_exponent is None else step_exponent
    return None if exponent is None else kind.suited(n_components, batch_size, exponent)


def _counting(at_work: Moments, batch: Moments) -> Moments:
    """The statistics as they stand, with the mass of the batch that led to them."""
    mass, whole = _mass(batch), _mass(at_work)
    return replace(at_work.scale(mass / whole if whole > 0.0 else 0.0), rows=batch.rows)


def _mass(moments: Moments) -> float:
    return float(moments.mass.sum()) + moments.noise


def _nothing(like: Moments) -> Moments:
    return Moments.zeros(like.kind, like.basis, like.k, like.lineage)


def _check_exponent(value: object) -> float:
    """The exponent as a float. Raises ValueError where steps by it would not converge."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.5 < float(value) <= 1.0:
        raise ValueError(f"step_exponent is {value!r}, expected a number > 0.5 and <= 1")
    return float(value)
