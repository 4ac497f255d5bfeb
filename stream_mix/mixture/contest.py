"""Which family of components it is, where nobody says: the one that foretells the stream best.

Nobody knows whether clusters are round, upright, of one shape or each of its own; and while rows are few,
even those that know are better served by fewer numbers to estimate. So beside the model stand candidates,
one for each family: whole models, which learn the stream by themselves. Block by block each foretells rows
before it learns them. Where another family than the model's has foretold rows better, its candidate takes the
model's place. So what is in use is what a model of that family alone would be.

What speaks for a family is summed as in `adaptive` (Page 1954): the log density that rows would have
gained, from where the sum was last 0, and never below. After n rows it takes over at 2 log n nats: were the
density in use the true one, a sum from a given row on would come to that with a chance of 1/n^2 at the most,
and one from any of n rows on with a chance of 1/n. The true one it never is, least of all while rows are few,
so families that fit alike do follow one another then, which costs next to nothing. And the sum must be `SURE`
standard errors, since between two families that are both wrong it wanders, and e^sum says nothing of
chance. The first in use is the one with the fewest
parameters, and a richer one must foretell rows better than a simpler one does, not as well.

One record of full second moments, from which the covariances of all families can be derived, would need one
E-step only. But the family in use would then place everybody's components, a diagonal one would pay for d^2
numbers, and no family's record would be what that family learns by itself.

What it costs: for `TRIAL` starts' worth of rows candidates learn all of them. From then on they learn one
block of many, few enough to cost `SHARE` of what the model does. Half-life and window are then as many
times shorter for them in rows, which is the same in the stream, and blocks come often enough that they hold
a start's worth all the same. A candidate that takes over late begins with the rows that it learned. Where
memory goes by event time, finds its half-life by itself, or takes decreasing steps, candidates go on learning
all rows: how far it reaches follows from the number of rows learned, and no shorter one is the same stretch
of the stream. Blocks are cut by the number of learned rows: how rows are grouped changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array
from .families import FAMILIES
from .folders import answer
from .following import going_on
from .memory import Forever, HalfLife, Memory, Window
from .model import Model, posterior
from .rows import Rows
from .spec import Spec

SURE = 1.0
"""Standard errors that a sum must be away from 0. More would be dear: a change between families that foretell
alike costs next to nothing, and to let one wait that foretells better costs what it would have gained."""

FADING = 1.0
"""Half-lives of the sums in all rows so far: what was foretold by candidates that knew next to nothing fades
soon."""

REST = 0.5
"""The share of the rows so far, or of those that memory amounts to, that must come between two changes: rows
that come together are alike, so what speaks for a family in one stretch need not in the next."""

MOST = 8.0
"""The most nats, for each root of a feature as log densities spread, that one row can speak for a family or
against it: far outliers do not outweigh all other rows. Log densities of normal rows spread by 0.7 of these
roots: families that fit differ by less."""

FIRST, GROWTH, LEAST = 16, 4, 32
"""Rows of the first block, and of every block at least; which part of all rows so far the next one is, until
it is as long as a batch, or as `LEAST` where batches are shorter: it has to be worth making mixtures of."""

TRIAL = 4
"""Starts' worth of rows (`Spec.start_rows`) that candidates learn before they rest between blocks."""

SHARE, ALONE, TOGETHER = 0.2, 15_000, 400
"""What candidates that rest may cost beside the model, by operations; and those that a row costs beside its
arithmetic, in looks and samples, where one batch is learned, and where many are learned together. In
operations of 0.15 ns these were measured as 14,000 for blocks of `LEAST` rows and 3,300 for 256, and as 700
to 1,500: the share is reckoned as larger than it is."""

Learning = Callable[[Model, Rows], Model]
"""Takes rows into a model, all of them at once."""


@dataclass(frozen=True, eq=False)
class Contest:
    """The candidates, and what speaks for each.

    Attributes:
        candidates: a model for each of `Spec.families`.
        chosen: which of them is in use.
        evidence: for each the nats it would have gained, since the sum was last 0.
        squares: the squares of these gains, summed alike.
        fresh: rows of the present block that came so far, in pieces.
        start: number of the block's first row, from 0.
        end: that of the row behind its last.
        rest: learned rows before which no other family takes over.
    """

    candidates: tuple[Model, ...]
    chosen: int
    evidence: tuple[float, ...]
    squares: tuple[float, ...]
    fresh: tuple[Rows, ...] = ()
    start: int = 0
    end: int = FIRST
    rest: int = 0

    @classmethod
    def begun(cls, spec: Spec, d: int) -> Contest:
        """Candidates that have seen nothing yet of rows of d features."""
        alone = tuple(Model.new(_alone(spec, family, spec.memory), d) for family in spec.families)
        none = (0.0,) * len(alone)
        return cls(alone, spec.families.index(spec.family), none, none)

    @property
    def family(self) -> str:
        """The family in use."""
        return self.candidates[self.chosen].spec.family

    @property
    def waiting(self) -> int:
        """Rows of the block that came so far."""
        return sum(map(len, self.fresh))

    @property
    def block(self) -> Rows:
        """These rows as one piece."""
        return Rows.concatenated([Rows.none(self.candidates[0].d), *self.fresh])

    def taking(self, rows: Rows, first: int) -> Contest:
        """The contest after these rows went by, the first of which has the number `first`."""
        own = rows[max(self.start - first, 0) : max(self.end - first, 0)]
        # A copy: a view would hold on to the whole group.
        return replace(self, fresh=(*self.fresh, own.copy())) if len(own) else self

    def onward(self, spec: Spec, learning: Learning) -> Contest:
        """The contest after its block, which is whole: foretold, judged, learned; with the next one ahead."""
        rows = Rows.concatenated(self.fresh)
        judged = self
        if not self.candidates[0].warming:
            judged = self._judged([_log_density(one, rows.x) for one in self.candidates], rows.w, _span(spec))
        every = _every(spec, rows.d, judged.family, self.end)
        memory = _thinned(spec.memory, every)
        learned = tuple(
            learning(going_on(one, _alone(spec, one.spec.family, memory, one.spec)), rows)
            for one in self.candidates
        )
        length = min(max(FIRST, self.end // GROWTH), _batch(spec))
        start = self.end + (every - 1) * length
        return replace(judged, candidates=learned, fresh=(), start=start, end=start + length)

    def _judged(self, foretold: list[Array], w: Array, span: float) -> Contest:
        """The contest after each candidate has foretold rows of weights w (n,) with the log densities
        `foretold`, where memory amounts to `span` rows."""
        kept = 2.0 ** (-FADING * len(w) / self.end)
        evidence, squares = [], []
        for nats, square, found in zip(self.evidence, self.squares, foretold, strict=True):
            more, off = gained(found, foretold[self.chosen], w, self.candidates[0].d)
            evidence.append(max(kept * nats + more, 0.0))
            squares.append(kept * square + off if evidence[-1] > 0.0 else 0.0)
        judged = replace(self, evidence=tuple(evidence), squares=tuple(squares))
        better = None if self.end < self.rest else spoken_for(evidence, squares, self.end)
        if better is None:
            return judged
        rest = self.end + math.ceil(REST * min(self.end, span))
        return replace(judged.undecided(), chosen=better, rest=rest)

    def undecided(self) -> Contest:
        """The same contest with nothing that speaks for any family."""
        none = (0.0,) * len(self.candidates)
        return replace(self, evidence=none, squares=none)

    def after(self, learned: int) -> Contest:
        """The same candidates, their block to begin after so many rows, with nothing that speaks for any."""
        return replace(self.undecided(), fresh=(), start=learned, end=learned + self.end - self.start)

    def each(self, model: Callable[[Model], Model], rows: Callable[[Rows], Rows]) -> Contest:
        """The contest with something done to each candidate, and to the rows of its block."""
        fresh = tuple(rows(part) for part in self.fresh)
        return replace(self, candidates=tuple(model(one) for one in self.candidates), fresh=fresh)


def gained(found: Array, used: Array, w: Array, d: int) -> tuple[float, float]:
    """The nats by which log densities `found` (n,) of rows of d features and weights w (n,) exceed those in
    use, and the sum of their squares; weights say what rows count beside each other, not how many there are.

    >>> gained(np.array([-1.0, -99.0]), np.array([-2.0, -3.0]), np.array([5.0, 5.0]), d=1)
    (-7.0, 65.0)
    """
    most = MOST * math.sqrt(d)
    nats = np.clip(np.nan_to_num(found - used, nan=0.0), -most, most) * (w / w.mean())
    return float(nats.sum()), float(np.square(nats).sum())


def spoken_for(evidence: Sequence[float], squares: Sequence[float], learned: int) -> int | None:
    """Which family rows speak for, and against the one in use, by sums of what each gained over so many and
    of the squares: the first that is nearly as good as the best, since a richer one has to be better; None:
    none.

    >>> spoken_for([0.0, 46.0, 50.0], [0.0, 80.0, 80.0], learned=100)
    1
    >>> spoken_for([0.0, 40.0, 9.0], [0.0, 1700.0, 1.0], learned=100) is None
    True
    """
    best, enough = max(evidence), 2.0 * math.log(learned)
    for family, (nats, square) in enumerate(zip(evidence, squares, strict=True)):
        if nats > enough and nats * nats >= SURE * SURE * square and nats >= best - enough:
            return family
    return None


def _log_density(model: Model, x: Array) -> Array:
    """Log densities (n,) of rows x (n, d), in the data's units."""
    found = None if model.spec.robust else answer(model.spec, model.moments, x, "log_density")
    return posterior(model, x).log_density if found is None else found


def _alone(spec: Spec, family: str, memory: Memory, known: Spec | None = None) -> Spec:
    """A candidate's choices: those of the model, with a family and a memory of its own, and as many
    components as it had if `known`."""
    k = spec.n_components if known is None else known.n_components
    found = replace(
        spec, family=family, families=(), memory=memory, n_components=k, batch_size=_batch(spec),
        lateness=None, watch=False,
    )  # fmt: skip
    return known if known == found else found


def _batch(spec: Spec) -> int:
    """Rows that candidates learn at once, once blocks are as long as they get."""
    return max(LEAST, spec.batch_size)


def _every(spec: Spec, d: int, family: str, learned: int) -> int:
    """One block of how many candidates learn after so many rows of d features, beside a model of that
    family."""
    start = spec.start_rows(d)
    if learned < TRIAL * start:
        return 1
    cost = {name: spec.n_components * _cost(name, d) for name in {*spec.families, family}}
    beside = sum(ALONE + cost[name] for name in spec.families)
    span = _span(spec) if isinstance(spec.memory, Forever | HalfLife | Window) else 0.0  # the others: no rest
    return max(1, int(min(beside / (SHARE * (TOGETHER + cost[family])), span / start)))


def _span(spec: Spec) -> float:
    """How many rows the memory amounts to, as far as that is known beforehand."""
    if isinstance(spec.memory, HalfLife):
        return spec.memory.rows / math.log(2.0)
    return float(spec.memory.rows) if isinstance(spec.memory, Window) else math.inf


def _cost(family: str, d: int) -> int:
    """Operations of a row and component, up to a factor that all families share."""
    return 11 + d + (d if FAMILIES[family].scatter == "diag" else d * (d + 1) // 2)


def _thinned(memory: Memory, every: int) -> Memory:
    """The memory that holds the same stretch of the stream where one row of so many is learned."""
    if isinstance(memory, HalfLife):
        return HalfLife(memory.rows / every)
    return Window(max(1, memory.rows // every)) if isinstance(memory, Window) else memory
