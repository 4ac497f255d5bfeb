"""Large mixtures: each row is scored by a short list of the components, those that could have made it.

The means are parted into leaves around a few centres. A component is on the list of every leaf that its rows
may fall into: a row of component j falls nearer to centre b than to centre a with probability

    Phi(-z),   z = (|m_j - b|^2 - |m_j - a|^2) / (2 s),   s^2 = (b - a)' Sigma_j (b - a),

a being the centre next to its mean (the margin of a Gaussian along a line), and it is left out where z >
reach. A row is then scored by its own leaf's list, and by all components where none on the list explains it:
where even the likeliest is further away than one row in a thousand of its own. How much log-likelihood lists
cost is measured on rows of every call; where it is more than `MOST_LOST` the reach grows, and at last all
components are scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ..arrays import Array, Ints
from ..basis import Basis
from .natural import Natural

LEAST_COMPONENTS = 256
"""With fewer components every row is scored by all."""

ROWS_A_COMPONENT = 4
"""Rows a component below which the lists cost more than they save."""

REACHES = (2.3, 3.0, 4.0)
"""Standard deviations: the first that keeps enough of the log-likelihood is taken."""

MOST_LOST = 5e-4
"""Share of the log-likelihood, in magnitude, that lists may cost."""

SAMPLE = 1024
"""Rows that the loss is measured on."""

_WORTH = 0.6
"""Lists longer than this share of the components, on average, are not worth their while."""

_LLOYD_STEPS = 3

_CHUNK = 64
"""Components whose margins are computed together."""

_Nearest: TypeAlias = Callable[[Natural, Basis, Array], Ints]


@dataclass(frozen=True, eq=False)
class Shortlist:
    """For each leaf l the components on its list, members[offset[l] : offset[l + 1]], ascending.

    `share` is the mean share of the components that a row of the mixture is scored by.
    """

    offset: Ints
    members: Ints
    share: float


@dataclass(frozen=True)
class Truncation:
    """What short lists did to a mixture of k components over d features in a call: the share of the
    components that a row was scored by, and the share of the log-likelihood, in magnitude, that it cost on a
    sample of its rows."""

    k: int
    d: int
    share: float
    loss: float


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


def leaf_mixture(natural: Natural, centres: Array, basis: Basis | None) -> tuple[Natural, Basis]:
    """The leaves as a mixture whose likeliest component is the nearest centre, and its basis.

    Distances are measured in the mixture's mean standard deviation of each feature.
    """
    g, d = centres.shape
    deviation = _deviations(natural)
    before = Basis(np.zeros(d), np.ones(d)) if basis is None else basis
    even, round_ = np.full(g, 1.0 / g), np.ones((g, d))
    leaves = Natural("diag", natural.origin / deviation, centres / deviation, round_, even, np.zeros(g), True)
    return leaves, Basis(before.origin, before.scale * deviation)


def shortlists(natural: Natural, centres: Array) -> Iterator[Shortlist]:
    """A shortlist for each reach, shortest first, of those that are worth their while."""
    z, own = _margins(natural, centres)
    g = len(centres)
    weight = np.bincount(own, natural.weights, g)
    for reach in REACHES:
        listed = z < reach
        length = np.count_nonzero(listed, axis=1)
        # A leaf that is no component's own may still get a row: it looks at the component next to it.
        for empty in np.flatnonzero(length == 0):
            listed[empty, z[empty].argmin()] = True
        share = float(weight @ length) / (float(weight.sum()) * natural.k)
        if share > _WORTH:
            return
        offset = np.concatenate([[0], np.cumsum(np.maximum(length, 1))]).astype(np.int64)
        yield Shortlist(offset, (np.flatnonzero(listed) % natural.k).astype(np.int64), share)


def first_centres(natural: Natural) -> Array:
    """Means (g, d), about four square roots of k of them, evenly over the components' numbers."""
    g = min(natural.k // 4, 4 * math.isqrt(natural.k))
    return natural.means[np.linspace(0, natural.k - 1, g).astype(np.int64)]


def moved(natural: Natural, centres: Array, label: Ints) -> Array:
    """One of Lloyd's steps: centres at the mean of the component means that are next to them."""
    g, d = centres.shape
    count = np.bincount(label, minlength=g)
    sums = np.stack([np.bincount(label, natural.means[:, j], g) for j in range(d)], axis=1)
    return np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres)


def plausible(d: int) -> float:
    """The squared Mahalanobis distance that one row in a thousand exceeds, over d features.

    The chi-square quantile as Wilson & Hilferty (1931) approximate it.
    """
    ninth = 2.0 / (9.0 * d)
    return d * (1.0 - ninth + 3.09 * math.sqrt(ninth)) ** 3


def _deviations(natural: Natural) -> Array:
    """The mean standard deviation within components (d,)."""
    if natural.kind == "diag":
        variances = natural.weights @ (1.0 / natural.precision) / natural.weights.sum()
    else:
        roots = np.linalg.inv(natural.whiten).reshape(-1, natural.d, natural.d)
        variances = np.square(roots).sum(axis=2).mean(axis=0)
    deviations: Array = np.sqrt(variances)
    return deviations


def _margins(natural: Natural, centres: Array) -> tuple[Array, Ints]:
    """z (g, k) of each leaf and component, and the leaf (k,) next to each mean."""
    scale = 1.0 / _deviations(natural)
    means, leaves = natural.means * scale, centres * scale
    z = leaves @ means.T
    z *= -2.0
    z += np.square(leaves).sum(axis=1)[:, None]
    own = z.argmin(axis=0)
    z -= np.take_along_axis(z, own[None], axis=0)
    spread = _variances(natural, scale, leaves, own)
    np.sqrt(np.maximum(spread, 1e-300, out=spread), out=spread)
    spread *= 2.0
    z /= spread
    return z, own


def _variances(natural: Natural, scale: Array, leaves: Array, own: Ints) -> Array:
    """(b - a)' Sigma_j (b - a) for all leaves b and components j (g, k), a being the leaf of j."""
    if natural.kind == "diag":
        v = np.square(scale) / natural.precision
        a = leaves[own]
        out: Array = np.square(leaves) @ v.T
        out -= leaves @ (2.0 * v * a).T
        out += (v * np.square(a)).sum(axis=1)
        return out
    roots = np.broadcast_to(scale[:, None] * np.linalg.inv(natural.whiten), (natural.k, natural.d, natural.d))
    out = np.empty((len(leaves), natural.k))
    for start in range(0, natural.k, _CHUNK):
        some = slice(start, start + _CHUNK)
        at = leaves @ roots[some]
        at -= np.take_along_axis(at, own[some, None, None], axis=1)
        out[:, some] = np.square(at, out=at).sum(axis=2).T
    return out


def centres_of(natural: Natural, nearest: _Nearest) -> Array:
    """Centres (g, d) of the leaves: a few of Lloyd's steps over the means, `nearest` finding the leaf of
    each."""
    centres = first_centres(natural)
    for _ in range(_LLOYD_STEPS):
        leaves, basis = leaf_mixture(natural, centres, None)
        centres = moved(natural, centres, nearest(leaves, basis, natural.means + natural.origin))
    return centres
