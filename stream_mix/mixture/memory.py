"""How much of the past a model keeps: values with one interface, four of them here.

A memory sees batches, already turned into moments, and keeps a store: a tuple of moments, oldest first, whose
sum is what the model knows. Forgetting multiplies; a window drops whole buckets and adds up the rest. Nothing
is subtracted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from numbers import Integral, Real
from typing import Protocol, TypeAlias, cast

import numpy as np

from .arrays import Array
from .moments import Moments

Store: TypeAlias = tuple[Moments, ...]


class Memory(Protocol):
    """What a model asks of its memory. Times are Unix seconds of the events; NaN means that a row or model
    has none."""

    def __hash__(self) -> int:
        """Memories are values."""

    @property
    def steps(self) -> Memory:
        """The memory that learning goes by, its store the first of ours: this one, unless it says something
        else than it learns by."""

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """What each row of a batch, with event times t (n,), still counts at the end of it (n,), when `rows`
        rows came before; None where all count 1."""

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """The store after a batch of rows, when the newest event time went from `before` to `now`."""

    def begun(self, moments: Moments) -> Store:
        """The store of a model that begins with these moments."""

    def told(self, store: Store) -> Moments:
        """What a store says of the stream."""

    def pieces(self, n: int) -> Iterator[slice]:
        """How to cut n rows that are replayed at once into batches that this memory can take."""

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """The store of two streams that ran side by side, whose newest event times were t and other_t."""

    def span(self, rows: int) -> float | None:
        """How many rows the memory amounts to after so many; None where the age of a row is not its
        number."""


def total(store: Store) -> Moments:
    """All that a store remembers, as one record."""
    return reduce(Moments.add, store)


def check_positive(value: object, name: str, unit: str, otherwise: str = "") -> float:
    """A parameter as a float. Raises ValueError where it is no finite number above 0; `otherwise` are words
    for what else it may be."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < float(value) < math.inf:
        raise ValueError(f"{name} is {value!r}, expected a number of {unit} > 0{otherwise}")
    return float(value)


def check_rows(window: object) -> int:
    """The length of a window as an int. Raises ValueError where it is no integer above 0."""
    if isinstance(window, bool) or not isinstance(window, Integral) or window < 1:
        raise ValueError(f"window is {window!r}, expected an integer of rows >= 1")
    return int(window)


class OneRecord:
    """What memories have in common that keep one record, or add up to one."""

    @property
    def steps(self) -> Memory:
        """Itself."""
        return cast("Memory", self)

    def begun(self, moments: Moments) -> Store:
        """These alone."""
        return (moments,)

    def told(self, store: Store) -> Moments:
        """The sum."""
        return total(store)

    def pieces(self, n: int) -> Iterator[slice]:
        """One piece."""
        yield slice(0, n)

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """Adds: rows grew old in their own stream, and those of the other do not age them."""
        return (total(store).add(total(other)),)

    def span(self, rows: int) -> float | None:
        """None."""
        return None


@dataclass(frozen=True)
class Forever(OneRecord):
    """Every row counts the same, for ever: step 1/n."""

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """All rows count 1."""
        return None

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Adds."""
        return (total(store).add(batch),) if store else (batch,)

    def span(self, rows: int) -> float | None:
        """All of them."""
        return float(rows)


@dataclass(frozen=True)
class HalfLife(OneRecord):
    """A row counts half after `rows` further rows: weight 2^(-age / rows).

    >>> HalfLife(rows=1).row_weights(np.zeros(3), 0.0, 0)
    array([0.25, 0.5 , 1.  ])
    """

    rows: float

    def __post_init__(self) -> None:
        check_positive(self.rows, "half_life", "rows")

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """2^(-age / rows), the last row having age 0."""
        return np.exp2(-np.arange(len(t) - 1, -1, -1) / self.rows)

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Scales by 2^(-n / rows), then adds the batch of n rows."""
        return (total(store).fade(2.0 ** (-batch.rows / self.rows)).add(batch),) if store else (batch,)

    def span(self, rows: int) -> float | None:
        """The half-life over log 2, as soon as so many came."""
        return min(float(rows), self.rows / math.log(2.0))


@dataclass(frozen=True)
class TimeHalfLife(OneRecord):
    """A row counts half after `seconds` of event time: weight 2^(-(now - t) / seconds), now being the newest
    event time seen.

    A late row enters with the weight that it would have by now. A row without an event time counts as of now.
    """

    seconds: float

    def __post_init__(self) -> None:
        check_positive(self.seconds, "time_half_life", "seconds")

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """2^(-(now - t) / seconds)."""
        age = np.where(np.isnan(t), 0.0, now - t) if not math.isnan(now) else np.zeros(len(t))
        # 2^-2000 is 0 already; beyond it the quotient could overflow.
        return np.exp2(-np.minimum(age, 2000.0 * self.seconds) / self.seconds)

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Scales by 2^(-(now - before) / seconds), then adds the batch."""
        if not store:
            return (batch,)
        return (self._faded(store, before, now).add(batch),)

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """Scales both to the later of the two times, then adds."""
        now = float(np.fmax(t, other_t))
        return (self._faded(store, t, now).add(self._faded(other, other_t, now)),)

    def _faded(self, store: Store, before: float, now: float) -> Moments:
        elapsed = 0.0 if math.isnan(before) or math.isnan(now) else now - before
        return total(store).fade(2.0 ** (-elapsed / self.seconds))


@dataclass(frozen=True)
class Window(OneRecord):
    """The last `rows` rows and nothing before, to within one bucket of a sixteenth of them (or one batch, if
    that is larger)."""

    rows: int

    BUCKETS = 16

    def __post_init__(self) -> None:
        check_rows(self.rows)

    @property
    def bucket(self) -> int:
        """Rows in a full bucket."""
        return -(-self.rows // self.BUCKETS)

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """Rows of one batch that the window can no longer hold count 0, the others 1."""
        return None if len(t) <= self.rows else (np.arange(len(t)) >= len(t) - self.rows).astype(np.float64)

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Adds to the newest bucket, or begins one when that is full; drops the oldest when the rest fill the
        window."""
        if store and store[-1].rows < self.bucket:
            store = (*store[:-1], store[-1].add(batch))
        else:
            store = (*store, batch)
        held = sum(bucket.rows for bucket in store)
        while held - store[0].rows >= self.rows:
            held -= store[0].rows
            store = store[1:]
        return store

    def pieces(self, n: int) -> Iterator[slice]:
        """Buckets."""
        for start in range(0, n, self.bucket):
            yield slice(start, min(start + self.bucket, n))

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """Adds bucket to bucket, the newest to the newest: the last rows of each stream.

        Their number is brought down to one window's by what is learned next.
        """
        longer, shorter = (store, other) if len(store) >= len(other) else (other, store)
        alone = len(longer) - len(shorter)
        both = (mine.add(theirs) for mine, theirs in zip(longer[alone:], shorter, strict=True))
        return (*longer[:alone], *both)
