"""Large mixtures: each row is scored by a short list of the components, those that could have made it.

The means are parted into leaves around a few centres, and a component is on the list of every leaf that its
rows may fall into, up to a reach in standard deviations (`native/leaves.hpp`). A row is looked at with the
components of its leaf's list only, and its posterior is truncated: components under 2^-16 of its likeliest
have no share in it. A row that no component of its list explains, since even the likeliest is further away
than one row in a hundred of its own, is looked at with all components. How much log-likelihood all of this
costs is measured on rows of every call: what is cut off, which costs all rows a little, on a few of them that
are scored by all components; what lists leave out, which costs some rows much, on more of them that are
looked at with all. Where it is more than `MOST_LOST` the reach grows, and at last all components are scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..arrays import Array
from ..basis import Basis
from . import threads
from .natural import Natural

if TYPE_CHECKING:
    from . import _native

LEAST_COMPONENTS = 256
"""With fewer components every row is scored by all."""

ROWS_A_COMPONENT = 4
"""Rows a component below which the lists cost more than they save."""

REACHES = (2.0, 2.3, 2.6, 3.0, 4.0)
"""Standard deviations: the first that keeps enough of the log-likelihood is taken."""

MOST_LOST = 5e-4
"""Share of the log-likelihood, in magnitude, that lists may cost."""

FEW, MANY, SAMPLED = 256, 1024, 32
"""Rows that are scored by all components; rows that are looked at with all, at least, and one in `SAMPLED` of
a call's, up to eight times as many."""

_MOST_WORKED_OUT = {"diag": 1 / 16, "tied": 1 / 16, "full": 3 / 8}
"""Lists are not worth their while where more components may matter to a row, as a share of all, by
`Natural.kind`: what is worked out for one row and one component is dearer than where all are."""


@dataclass(frozen=True)
class Truncation:
    """What short lists did to a mixture of k components over d features in a call: the share of the
    components that a row was looked at with, and the share of a row's usual log density, in magnitude, that
    it cost on a sample of its rows."""

    k: int
    d: int
    share: float
    loss: float


@dataclass(frozen=True, eq=False)
class Choice:
    """Lists, the number of components whose densities were worked out for a row of the sample, on average,
    and what it cost."""

    lists: _native.Lists
    pairs: float
    truncation: Truncation


_latest: list[Truncation] = []
_allowed = True


def applies(k: int, rows: int) -> bool:
    """Whether so many components and rows are enough for short lists."""
    return _allowed and k >= LEAST_COMPONENTS and rows >= ROWS_A_COMPONENT * k


@contextmanager
def dense() -> Iterator[None]:
    """All components for all rows inside the context, for all of the process: what lists are measured
    against."""
    global _allowed
    before, _allowed = _allowed, False
    try:
        yield
    finally:
        _allowed = before


def latest() -> Truncation | None:
    """What short lists did in the last call of this process that could use them; None where they were not
    worth their while, or there was none."""
    return _latest[-1] if _latest else None


def record(truncation: Truncation | None) -> None:
    """Keeps what `latest` says."""
    _latest[:] = [] if truncation is None else [truncation]


def sample(x: Array, n: int) -> Array:
    """About n rows, evenly over x (n, d)."""
    return np.ascontiguousarray(x[:: -(-len(x) // n)])


def leaves(
    isa: str, natural: Natural, basis: Basis | None, reaches: tuple[float, ...] = REACHES
) -> _native.Leaves:
    """The mixture with the leaves that its rows fall into, for rows in the data's units or in the basis."""
    d = natural.d
    origin, inverse = (np.zeros(d), np.ones(d)) if basis is None else (basis.origin, 1.0 / basis.scale)
    # Not above: what picks lists is read where nothing is compiled, too.
    from . import _native

    return _native.Leaves(
        isa=isa,
        second=natural.kind,
        round=natural.round,
        origin=origin,
        inverse_scale=inverse,
        centre=natural.origin,
        means=np.ascontiguousarray(natural.means),
        whiten=np.ascontiguousarray(natural.whiten),
        weights=natural.weights,
        peak=natural.peak,
        reaches=list(reaches),
        threads=threads.count(),
    )


def chosen(parted: _native.Leaves, packed: _native.Mixture, natural: Natural, x: Array) -> Choice | None:
    """The first lists for rows x (n, d) that keep enough of the log-likelihood; None where there are none
    that are worth their while."""
    few, reach = sample(x, FEW), plausible(natural.d)
    most = _MOST_WORKED_OUT[natural.kind] * natural.k
    first = parted.density(parted.lists(0), few, reach, threads.count())
    if first is None or first[2] > most * len(few):
        return None
    many = sample(x, min(8 * MANY, max(MANY, len(x) // SAMPLED)))
    dense = packed.density(few, threads.count())
    looked = parted.density(None, few, 0.0, threads.count())
    whole = parted.density(None, many, 0.0, threads.count())
    if dense is None or looked is None or whole is None:
        return None
    cut, _ = _lost(dense, looked[0])
    for number in range(len(REACHES)):
        lists = parted.lists(number)
        found = parted.density(lists, many, reach, threads.count())
        if found is None or found[2] > most * len(many):
            return None
        log_density, far, worked_out = found
        loss, error = _lost(whole[0], log_density)
        if cut + loss + 2.0 * error <= MOST_LOST:
            share = min(1.0, lists.share + far / len(many))
            truncation = Truncation(natural.k, natural.d, share, cut + loss)
            return Choice(lists, worked_out / len(many), truncation)
    return None


def _lost(before: Array, after: Array) -> tuple[float, float]:
    """The share of log densities (n,) that is lost, and its standard error.

    It is a share of what is usual, in magnitude: a row far out must not hide what others lose. Rows that are
    further out than lists go, NaN, lose nothing: they are scored by all components.
    """
    there = ~np.isnan(after)
    lost = np.where(there, np.abs(before - after), 0.0)
    usual = float(np.median(np.abs(before[there]))) if there.any() else 0.0
    if not usual > 0.0:
        return math.inf, 0.0
    return float(lost.mean()) / usual, float(lost.std()) / usual / math.sqrt(len(lost))


def plausible(d: int) -> float:
    """The squared Mahalanobis distance that one row in a hundred exceeds, over d features.

    The chi-square quantile as Wilson & Hilferty (1931) approximate it.
    """
    ninth = 2.0 / (9.0 * d)
    return d * (1.0 - ninth + 2.326 * math.sqrt(ninth)) ** 3
