"""A memory that finds out by itself how much of the past to keep: several, side by side.

Nobody knows the half-life of a stream. So every batch is put into several records, which differ in nothing
but how fast they forget, and each foretells the next rows; the one that has foretold them best is the model.
All of them are fed under its responsibilities, so component 3 is the same in all. One more record is there
for clusters on the move: it forgets as fast as the fastest, and is read as equally likely clusters with one
variance for all (a feature). It finds its own responsibilities, since a mixture that is free to bend
follows moving clusters into places from which it does not come back.

Which record it is, is decided as Page (1954) does: for each other one, the log-likelihood that it would have
gained, summed from where the sum was last 0, and never below; at `ENOUGH` it takes over. Were the present
record the truth, e^sum would be a fair game (Ville 1939), so a stream that stands still sees a wrong change
less than once in e^ENOUGH rows, and one that moves sees its change after ENOUGH / (nats gained per row) rows.
There is no horizon to be set.

A change to a shorter memory is a drift: what the longer ones hold is of the past, so they go on with what
the shorter one holds. Forever then means: since the last drift.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array
from .memory import Forever, HalfLife, Memory, Store
from .moments import Moments

ENOUGH = 16.0
"""Nats by which a record must have foretold rows better to take over: e^16 is nine million."""

GAIN, LOSS = 2.0, 8.0
"""The most nats that one row can speak for a change, and against it: no change rests on a few odd rows, and
one that would have been far off counts as far off."""

TILE = 32
"""Rows of a batch that records foretell. In batches of several times as many they take turns, and foretell as
many times as many: what costs most is to make a mixture of a record."""

_WEIGHED_HALF_LIFE = 4096.0
"""Rows after which a row counts half in the mean weight: weights say what rows count beside each other."""

_FIRST, _RATIO, _STEPS = 16.0, 4.0, 4
"""The shortest half-life, in rows a component; that of the next, in half-lives; how many there are."""

NO_AUTO_TIME = (
    "time_half_life is 'auto', expected a number of seconds > 0; a half-life of rows can be: half_life='auto'"
)
"""What those are told who ask for a half-life of event time to be found: nothing says beforehand how dense
events lie in time, and so which seconds to try."""


@dataclass(frozen=True)
class Adaptive:
    """Several half-lives side by side, and the one in use chosen by how well it foretold the rows so far.

    `rates` are half-lives in rows, rising; the last may be infinite: nothing is forgotten. With two or more
    there is also the record of clusters on the move, unless `moving` is false. Rows of one batch have one
    age.

    >>> Adaptive.suited(n_components=2, batch_size=1).rates
    (32.0, 128.0, 512.0, 2048.0, inf)
    """

    rates: tuple[float, ...]
    moving: bool = True

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.rates, self.rates[1:], strict=False))
        if not self.rates or not rising or not self.rates[0] > 0:
            raise ValueError(f"rates are {self.rates!r}, expected rising numbers of rows > 0")

    @classmethod
    def suited(cls, n_components: int, batch_size: int) -> Adaptive:
        """The half-lives for so many components and rows a batch: from 16 rows a component, fewer than which
        say little of where it is, and half a batch at least, in steps of 4; and forever."""
        first = max(_FIRST * n_components, 0.5 * batch_size)
        return cls((*(first * _RATIO**i for i in range(_STEPS)), math.inf))

    @property
    def extra(self) -> int:
        """1 where the first record is that of clusters on the move, else 0."""
        return int(self.moving and len(self.rates) > 1)

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The memory of each record."""
        own = tuple(Forever() if math.isinf(rate) else HalfLife(rate) for rate in self.rates)
        return own[: self.extra] + own

    @property
    def settling(self) -> int:
        """Rows after a drift in which memory may grow and shrink again before it is another drift: the third
        half-life, or the longest there is."""
        finite = [rate for rate in self.rates if not math.isinf(rate)]
        return math.ceil(finite[min(2, len(finite) - 1)]) if finite else 0

    @property
    def half_lives(self) -> tuple[float, ...]:
        """The half-life of each record, infinite where rows count for ever."""
        return tuple(_rows_of(memory) for memory in self.memories)

    @property
    def steps(self) -> Memory:
        """Itself."""
        return self

    def row_weights(self, t: Array, now: float, rows: int) -> Array | None:
        """All rows count 1; where there is one rate alone, what its memory says."""
        return self.memories[0].row_weights(t, now, rows) if len(self.rates) == 1 else None

    def fold(self, store: Store, batch: Moments, before: float, now: float) -> Store:
        """Each record folds the batch in."""
        return self.fold_each(store, (batch,) * len(self.memories), before, now)

    def fold_each(self, store: Store, batches: Store, before: float, now: float) -> Store:
        """Each record folds its own batch in."""
        olds = [(record,) for record in store] if store else [()] * len(batches)
        each = zip(self.memories, olds, batches, strict=True)
        return tuple(memory.fold(old, batch, before, now)[0] for memory, old, batch in each)

    def pieces(self, n: int) -> Iterator[slice]:
        """One piece."""
        yield slice(0, n)

    def beside(self, store: Store, t: float, other: Store, other_t: float) -> Store:
        """Adds record to record, or one record to each."""
        others = other if len(other) == len(store) else other * len(store)
        return tuple(mine.add(theirs) for mine, theirs in zip(store, others, strict=True))

    def begun(self, moments: Moments) -> Store:
        """The records of a model that begins with these moments: each as heavy as it would be by now."""
        mass = float(moments.mass.sum())
        most = [half_life / math.log(2.0) for half_life in self.half_lives]
        return tuple(moments.scale(rows / mass) if rows < mass else moments for rows in most)

    def told(self, store: Store) -> Moments:
        """What the longest memory says, while none was chosen yet."""
        return store[-1]

    def span(self, rows: int) -> float | None:
        """None: which record is in use changes."""
        return None


@dataclass(frozen=True)
class Choice:
    """Which record is in use, and what speaks for the others.

    Attributes:
        chosen: its number in the store.
        evidence: for each record the nats it would have gained, since the sum was last 0.
        drifted: whether memory has become shorter, and not longer since.
        same_until: number of learned rows until which all that happens belongs to the last drift.
        weighed: discounted sums over the rows of (weight, 1), for their mean weight.
    """

    chosen: int
    evidence: tuple[float, ...]
    drifted: bool = False
    same_until: int = 0
    weighed: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def first(cls, memory: Adaptive) -> Choice:
        """The longest memory, which has not been contradicted yet."""
        records = len(memory.memories)
        return cls(records - 1, (0.0,) * records)


def _rows_of(memory: Memory) -> float:
    return memory.rows if isinstance(memory, HalfLife) else math.inf


def half_life_of(memory: Memory, choice: Choice | None) -> float:
    """The half-life in rows that is in use, infinite where rows count for ever; NaN for other memories."""
    if isinstance(memory, Adaptive) and choice is not None:
        memory = memory.memories[choice.chosen]
    return _rows_of(memory) if isinstance(memory, (HalfLife, Forever)) else math.nan


def seen_as(memory: Adaptive, store: Store, record: int) -> Moments:
    """What a record says of the stream."""
    return levelled(store[record]) if record < memory.extra else store[record]


def levelled(moments: Moments) -> Moments:
    """The moments of equally heavy components with the same means and one variance for all, a feature.

    An M-step leaves next to nothing else to them, in every family: so few rows cannot say more.

    >>> from stream_mix.mixture.basis import Basis
    >>> basis = Basis(np.zeros(1), np.ones(1))
    >>> mass, each = np.array([1.0, 3.0]), np.ones((2, 1))
    >>> found = levelled(Moments("diag", basis, "", mass, mass[:, None], each, 4.0 * each, 4))
    >>> found.mass, found.scatter.ravel()
    (array([2., 2.]), array([4., 4.]))
    """
    shape, k, d = moments.shape_of_scatter, moments.k, moments.d
    pooled = shape.pooled(moments.scatter)
    spread = pooled if pooled.ndim == 1 else np.diagonal(pooled)
    rows = moments.seen.sum(axis=0)
    variance = np.where(rows > 0, spread / np.where(rows > 0, rows, 1.0), 0.0)
    heavy = moments.mass > 0
    mass = np.full(k, moments.mass.mean())
    share = moments.seen / np.where(heavy, moments.mass, 1.0)[:, None]
    seen = mass[:, None] * np.where(heavy[:, None], share, 1.0)
    scatter = shape.pair(seen) * shape.stretch(shape.identity(k, d), np.sqrt(variance))
    return replace(moments, mass=mass, seen=seen, scatter=scatter)


def asked(extra: int, choice: Choice, n: int, generation: int) -> tuple[int, ...]:
    """How many of the first rows of a batch of n each record is to foretell, after so many batches.

    >>> asked(1, Choice(5, (0.0,) * 6), n=64, generation=3)
    (32, 0, 64, 0, 64, 64)
    """
    own = [i for i in range(extra, len(choice.evidence)) if i != choice.chosen]
    turns = min(max(n // TILE, 1), max(len(own), 1))
    rows = [min(n, TILE)] * len(choice.evidence)
    for place, record in enumerate(own):
        rows[record] = min(n, TILE * turns) if place % turns == generation % turns else 0
    rows[choice.chosen] = max(rows)
    return tuple(rows)


def judged_anew(choice: Choice, foretold: Sequence[Array], w: Array) -> Choice:
    """The choice after each record has foretold some of the first rows of weights w with the log densities
    `foretold`, those in use the most of them; which record is in use stays. A row of the mean weight counts
    once."""
    fade = 2.0 ** (-len(w) / _WEIGHED_HALF_LIFE)
    weighed = fade * choice.weighed[0] + float(w.sum()), fade * choice.weighed[1] + len(w)
    share = w * (weighed[1] / weighed[0]) if weighed[0] > 0.0 else w
    sums = []
    for nats, found in zip(choice.evidence, foretold, strict=True):
        n = len(found)
        gained = np.nan_to_num((found - foretold[choice.chosen][:n]) * share[:n], nan=0.0)
        sums.append(max(nats + float(np.clip(gained, -LOSS, GAIN).sum()), 0.0))
    return replace(choice, evidence=tuple(sums), weighed=weighed)


def decided(
    memory: Adaptive, store: Store, choice: Choice, learned: int
) -> tuple[Store, Choice, bool]:
    """The records and the choice after a record took over, where one has enough for it after so many learned
    rows; and whether that is a drift, and another than the last."""
    best = int(np.argmax(choice.evidence))
    if choice.evidence[best] <= ENOUGH:
        return store, choice, False
    extra, old = memory.extra, choice.chosen
    before, after = memory.half_lives[old], memory.half_lives[best]
    if best < extra <= old:
        # Found under other responsibilities: what stands in the others is not of these clusters.
        store = (store[best],) * len(store)
    elif after < before:
        store = store[: best + 1] + (store[best],) * (len(store) - best - 1)
    shorter = after < before
    drifted = shorter or (choice.drifted and after == before)
    new = shorter and not choice.drifted and learned >= choice.same_until
    until = learned + memory.settling if new else choice.same_until
    return store, Choice(best, (0.0,) * len(store), drifted, until, choice.weighed), new
