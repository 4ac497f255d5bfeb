"""The start: where one pass is won or lost.

Batch EM from a poor start stays wrong, and a stream has no second chance. So the first rows are kept in a
reservoir, centres are placed there by greedy k-means++ (Arthur & Vassilvitskii 2007, with 2 + log k
candidates each), moved by guided swaps, and refined by a few steps of EM.

A guided swap takes away a centre that would hardly be missed and puts one where the error is large; it is
kept if, after two Lloyd steps, the error fell (random swap of Fränti 2018, its removal guided by utility as
in Fritzke's breathing k-means 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Ints, squared_distances
from .background import Background, left
from .basis import Basis
from .chances import draw
from .em import e_step, nearest_moments
from .families import Family, Parameters, estimate
from .kernels import Natural, accumulate, nearest_two
from .moves import Reservoir, moved
from .priors import Prior

EM_STEPS = 10
_SWAP_BUDGET = 2e10
"""Floating-point operations that swaps may cost; it binds only for thousands of components."""

FAR = 1e5
"""Rows further out than this, in units of the basis, are placed as if they were here: squares of giants would
leave the distances between all others no digits."""


@dataclass(frozen=True, eq=False)
class _Partition:
    """Centres (k, d), each row's nearest one (n,), squared distances to the nearest and second nearest (n,),
    and the error."""

    centres: Array
    label: Ints
    nearest: Array
    second: Array
    error: float


def start(
    z: Array,
    w: Array,
    k: int,
    family: Family,
    prior: Prior,
    basis: Basis,
    rng: np.random.Generator,
    *,
    hard: bool,
    robust: bool = False,
) -> Parameters:
    """Parameters of k components fitted to the reservoir z (n, d) with weights w (n,) >= 0, in coordinates of
    `basis`; with `robust` beside a background that takes what fits none."""
    near = np.clip(z, -FAR, FAR)
    points = np.where(np.isnan(z), 0.0, near)
    known = np.tile((~np.isnan(z)).any(axis=0).astype(np.float64), (k, 1))
    reservoir = Reservoir(near, w, basis, family, prior, known, hard, robust)
    found = _placed(reservoir, points, w, k, rng)
    if robust:
        # Once more, without what is noise beside that: rows far from all others draw centres to them.
        step = e_step(found, near)
        ordinary = left(Background.suspected(found), near, w, step.log_density)[0]
        found = _placed(reservoir, points, ordinary, k, rng)
    return found if np.array_equal(near, z, equal_nan=True) else _reaching(found, near, z, w)


def _placed(reservoir: Reservoir, points: Array, w: Array, k: int, rng: np.random.Generator) -> Parameters:
    """The k components of a reservoir that begin at centres for its points (n, d) with weights w (n,)."""
    centres = swap(points, w, greedy_kmeans_plusplus(points, w, k, rng), rng)
    family = reservoir.family
    moments = nearest_moments(family, centres, points, w, reservoir.basis)
    return moved(reservoir, estimate(family, moments, reservoir.prior), rng, EM_STEPS)


def _reaching(found: Parameters, near: Array, z: Array, w: Array) -> Parameters:
    """The parameters with each component that has far rows moved to where its rows z (n, d) really are."""
    label = e_step(found, near).label
    far = (near != z) & ~np.isnan(z)
    means = found.means.copy()
    for i in np.unique(label[far.any(axis=1)]):
        own, weight = z[label == i], w[label == i]
        seen = np.where(np.isnan(own), 0.0, weight[:, None]).sum(axis=0)
        total = np.nansum(weight[:, None] * own, axis=0)
        means[i] = np.where(seen > 0.0, total / np.where(seen > 0.0, seen, 1.0), means[i])
    return replace(found, means=means)


def greedy_kmeans_plusplus(x: Array, w: Array, k: int, rng: np.random.Generator) -> Array:
    """Centres (k, d) among the rows x (n, d): each the best of 2 + log k rows drawn by weight times squared
    distance so far."""
    candidates = 2 + int(math.log(k)) if k > 1 else 1
    centres = np.empty((k, x.shape[1]))
    centres[0] = x[draw(w, 1, rng)[0]]
    nearest = squared_distances(x, centres[:1])[:, 0]
    for i in range(1, k):
        drawn = draw(w * nearest, candidates, rng)
        with_each = np.minimum(nearest[:, None], squared_distances(x, x[drawn]))
        best = int((w @ with_each).argmin())
        centres[i] = x[drawn[best]]
        nearest = with_each[:, best]
    return centres


def swap(x: Array, w: Array, centres: Array, rng: np.random.Generator) -> Array:
    """Centres (k, d) after Lloyd's algorithm and guided swaps.

    Swaps end when as many in a row failed as there are centres.
    """
    k, d = centres.shape
    current = _lloyd(x, w, _partition(x, w, centres), steps=3)
    if k == 1:
        return current.centres
    affordable = int(_SWAP_BUDGET / (8.0 * len(x) * k * (d + 4)))
    failures = 0
    for _ in range(min(4 * k + 16, affordable)):
        trial = _lloyd(x, w, _partition(x, w, _swapped(x, w, current, rng)), steps=2)
        if trial.error < current.error * (1.0 - 1e-6):
            current, failures = trial, 0
        else:
            failures += 1
        if failures > k + 8:
            break
    return _lloyd(x, w, current, steps=5).centres


def _swapped(x: Array, w: Array, partition: _Partition, rng: np.random.Generator) -> Array:
    """The centres with one of little use moved to a row of large error."""
    k = len(partition.centres)
    # Utility: by how much the error would grow if the centre's rows had to go to their second nearest.
    utility = np.bincount(partition.label, w * (partition.second - partition.nearest), k)
    removed = draw(1.0 / np.maximum(utility, 1e-12 * utility.max() + 1e-300), 1, rng)[0]
    centres = partition.centres.copy()
    centres[removed] = x[draw(w * partition.nearest, 1, rng)[0]]
    return centres


def _lloyd(x: Array, w: Array, partition: _Partition, steps: int) -> _Partition:
    """The partition after steps of Lloyd's algorithm, fewer where nothing moves any more."""
    k, d = partition.centres.shape
    centres = partition.centres
    for _ in range(steps):
        even = np.full(k, -math.log(k))
        sums = accumulate(x, w, Natural.of("diag", even, centres, np.ones((k, d)), round=True), hard=True)
        assert sums is not None
        mass = sums.mass[:, None]
        moved = np.where(mass > 0, sums.origin + sums.first / np.where(mass > 0, mass, 1.0), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return partition if centres is partition.centres else _partition(x, w, centres)


def _partition(x: Array, w: Array, centres: Array) -> _Partition:
    label, nearest, second = nearest_two(x, centres)
    return _Partition(centres, label, nearest, second, float(w @ nearest))
