"""How far components overlap, and which of them are one cluster.

A density needs more components than there are clusters wherever a cluster is no Gaussian: two halves of one
bent cluster are two components with hardly a dip between them. The dip is looked for on the ridgeline, the
curve between two means on which all modes and saddles of their two Gaussians lie (Ray & Lindsay 2005):

    x(a) = [(1 - a) P1 + a P2]^-1 [(1 - a) P1 m1 + a P2 m2],   0 <= a <= 1,   P a precision

The overlap of two components is the density at the bottom of the dip over that at the lower of the two modes:
1 where there is one mode only, near 0 where they are far apart. Two components with an overlap of 0.2 or more
are one cluster, and so are those that such pairs connect: this ratio and its bound are Hennig's (2010, the
ridgeline ratio). Between equal Gaussians that is a distance below 4.3 standard deviations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from .arrays import Array, Bools, Ints
from .families import Parameters
from .kernels import Natural
from .model import Model

ONE_CLUSTER = 0.2
"""The least overlap of two components that are one cluster (Hennig 2010)."""

MOST_COMPONENTS = 128
"""Beyond this no pair is looked at: there are thousands of them, each with its curve."""

_STEPS = 17
"""Points on a ridgeline, both means included."""

_FAINT = 0.05
"""A curve is followed only where it could bring an overlap above this; elsewhere the straight line serves."""

_SOLVED = 1 << 22
"""Points times d^3 (full covariances) or d: beyond this no curve is followed."""


def clusters(model: Model, threshold: float = ONE_CLUSTER) -> tuple[tuple[int, ...], ...] | None:
    """The stable ids of components, grouped into clusters: those whose overlaps of `threshold` or more
    connect them.

    Groups and the ids within come in the order of the components. None while the model is warming, or where
    it has more than 128 components.

    >>> from stream_mix.mixture import Rows, Spec, learn
    >>> rows = Rows.of([[x] for x in (0.0, 1.0, 2.0, 3.0, 90.0, 91.0, 92.0, 93.0) * 50])
    >>> model, _ = learn(Model.new(Spec(n_components=3, batch_size=400), d=1), rows)
    >>> sorted(map(len, clusters(model)))
    [1, 2]
    """
    found = overlaps(model)
    if found is None:
        return None
    root = _roots(found >= threshold)
    order: dict[int, list[int]] = {}
    for component, group in zip(model.components, root.tolist(), strict=True):
        order.setdefault(group, []).append(component)
    return tuple(map(tuple, order.values()))


def overlaps(model: Model) -> Array | None:
    """The overlap of every two components (k, k), symmetric, 1 on the diagonal; None where `clusters` is.

    The straight line between the means stands for the ridgeline where they are the same, which is under a
    tied covariance and under round ones, and where the curve could not bring the overlap above 0.05 or would
    be too dear: many components of many features. It never finds an overlap that is not there.
    """
    if model.warming or model.k > MOST_COMPONENTS:
        return None
    return overlaps_of(model.parameters)


def overlaps_of(found: Parameters) -> Array:
    """`overlaps` of a mixture by its parameters."""
    natural = found.natural
    first, second = np.triu_indices(natural.k, 1)
    distances = _distances(natural)
    squared = distances[first, second], distances[second, first]
    t = np.linspace(0.0, 1.0, _STEPS)
    one = natural.peak[first, None] - 0.5 * np.square(t) * squared[0][:, None]
    two = natural.peak[second, None] - 0.5 * np.square(1.0 - t) * squared[1][:, None]
    ratio = _ratio(one, two)
    curve = None if natural.round else _CURVES.get(natural.kind)
    if curve is not None:
        left = np.flatnonzero((ratio < 1.0) & (_bound(found, (first, second)) >= _FAINT))
        if left.size * _STEPS * natural.d ** (3 if natural.kind == "full" else 1) <= _SOLVED:
            pairs, near = (first[left], second[left]), (squared[0][left], squared[1][left])
            ratio[left] = np.maximum(ratio[left], _along(curve, natural, pairs, near, t))
    out = np.eye(natural.k)
    out[first, second] = out[second, first] = ratio
    return out


def _bound(found: Parameters, pairs: tuple[Ints, Ints]) -> Array:
    """What the overlaps (p,) of pairs cannot be above.

    Any way between two means crosses the surface where both terms are equal, and there the density is at most
    2 max sqrt(term 1 term 2) = 2 exp((peak 1 + peak 2) / 2 - D / 4), D the squared distance of the means
    under the sum of the covariances.
    """
    first, second = pairs
    peak = found.natural.peak
    if found.dense.ndim == 3 and first.size * found.means.shape[1] ** 3 > _SOLVED:
        return np.ones(first.size)
    total, delta = found.dense[first] + found.dense[second], found.means[second] - found.means[first]
    if total.ndim == 2:
        distance = (np.square(delta) / total).sum(axis=1)
    else:
        distance = (delta * np.linalg.solve(total, delta[:, :, None])[:, :, 0]).sum(axis=1)
    bound: Array = 2.0 * np.exp(np.minimum(0.5 * np.abs(peak[first] - peak[second]) - 0.25 * distance, 0.0))
    return bound


def _distances(natural: Natural) -> Array:
    """Squared Mahalanobis distances (k, k): row i, column j that of mean j under the precision of
    component i."""
    out = np.empty((natural.k, natural.k))
    tied = natural.kind == "tied"
    for i, mean in enumerate(natural.means):
        delta = natural.means - mean
        whiten = natural.whiten if tied else natural.whiten[i]
        out[i] = np.square(delta * whiten if whiten.ndim == 1 else delta @ whiten.T).sum(axis=1)
    return out


def _ratio(one: Array, two: Array) -> Array:
    """The overlap (p,) of pairs from both log densities (p, s) along the way from one mean to the other: at
    each step the density over the lower of the highest before and the highest behind, and of these the
    least."""
    total = np.logaddexp(one, two)
    before = np.maximum.accumulate(total, axis=1)
    behind = np.maximum.accumulate(total[:, ::-1], axis=1)[:, ::-1]
    ratio: Array = np.exp((total - np.minimum(before, behind)).min(axis=1, initial=0.0))
    return ratio


Curve = Callable[[Array, Array, Array, Array, Array], Array]
"""(precisions 1, precisions 2, means 1, means 2, a (p, s)) -> points (p, s, d)."""


def _along(
    curve: Curve, natural: Natural, pairs: tuple[Ints, Ints], squared: tuple[Array, Array], t: Array
) -> Array:
    """Overlaps (p,) along the ridgelines of pairs, whose squared distances under either precision are
    given."""
    first, second = pairs
    precision, means = natural.precision, natural.means
    # Steps in a that are even steps in space where all runs along the line between the means.
    here, there = (np.maximum(one, 1e-300)[:, None] for one in squared)
    far = np.maximum(here, there)
    share = t * (here / far) / ((1.0 - t) * (there / far) + t * (here / far))
    points = curve(precision[first], precision[second], means[first], means[second], share)
    return _ratio(*(_log_terms(natural, which, points) for which in pairs))


def _log_terms(natural: Natural, which: Ints, points: Array) -> Array:
    """log weight + log density (p, s) of components (p,) at points (p, s, d)."""
    delta = points - natural.means[which][:, None, :]
    whiten = natural.whiten[which]
    white = delta * whiten[:, None, :] if whiten.ndim == 2 else np.matmul(delta, np.swapaxes(whiten, 1, 2))
    terms: Array = natural.peak[which][:, None] - 0.5 * np.square(white).sum(axis=2)
    return terms


def _diag(p1: Array, p2: Array, m1: Array, m2: Array, a: Array) -> Array:
    one, two = (1.0 - a)[:, :, None] * p1[:, None, :], a[:, :, None] * p2[:, None, :]
    total = one + two
    points: Array = m1[:, None, :] + (two / np.where(total > 0, total, 1.0)) * (m2 - m1)[:, None, :]
    return points


def _full(p1: Array, p2: Array, m1: Array, m2: Array, a: Array) -> Array:
    one, two = (1.0 - a)[:, :, None, None] * p1[:, None], a[:, :, None, None] * p2[:, None]
    pull = np.matmul(two, (m2 - m1)[:, None, :, None])
    points: Array = m1[:, None, :] + np.linalg.solve(one + two, pull)[..., 0]
    return points


_CURVES: Mapping[str, Curve] = MappingProxyType({"diag": _diag, "full": _full})


def _roots(linked: Bools) -> Ints:
    """The least index of the component of a graph (k, k) that each node is in (k,)."""
    root = np.arange(len(linked))
    while True:
        least = np.where(linked, root, len(root)).min(axis=1)
        if np.array_equal(least, root):
            return root
        root = least
