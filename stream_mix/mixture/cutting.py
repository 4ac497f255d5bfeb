"""A component cut in two along what its own rows show: a way up for the number of components."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .arrays import Array, Bools, squared_distances
from .chances import draw
from .completed import criterion
from .em import nearest_moments
from .families import Parameters, estimate
from .moves import Reservoir
from .overlap import overlaps_of

ONE_MODE = 0.95
"""Overlap (`overlap`) from which two components are one cluster: what dip there is could be noise."""

LEAST_ROWS = 8
"""A component of fewer rows is none, and a part of one neither."""

STEPS = 2, 4
"""Steps of EM after a cut or a joint: for each that is tried, and for the best of them."""


def halves(rows: Reservoir, mean: Array, n: int, rng: np.random.Generator) -> tuple[float, Parameters]:
    """The best of several ways to cut the rows of one component in two, and what it gains."""
    points = np.where(np.isnan(rows.z), mean, rows.z)
    centre = np.average(points, axis=0, weights=rows.w)
    rows = replace(rows, known=np.broadcast_to(rows.known[0], (2, points.shape[1])))
    one = nearest_moments(rows.family, centre[None], points, rows.w, rows.basis)
    whole = criterion(rows, estimate(rows.family, one, rows.prior), one, n)
    tried = []
    for centres in _pairs(points, rows.w, centre, rng):
        first = nearest_moments(rows.family, centres, points, rows.w, rows.basis)
        found, _, value = rows.climb(estimate(rows.family, first, rows.prior), STEPS[0])
        tried.append((value, found))
    found, moments, _ = rows.climb(max(tried, key=lambda one: one[0])[1], STEPS[1])
    if moments.mass.min() < LEAST_ROWS or overlaps_of(found)[0, 1] >= ONE_MODE:
        return -math.inf, found
    return criterion(rows, found, moments, n) - whole, found


def _pairs(points: Array, w: Array, centre: Array, rng: np.random.Generator) -> list[Array]:
    """Pairs of centres (2, d) to begin a cut with: along the longest axis, and of rows apart, in units of the
    basis and in those of the rows' own spread."""
    delta = points - centre
    values, axes = np.linalg.eigh((w[:, None] * delta).T @ delta / w.sum())
    step = 0.8 * math.sqrt(max(values[-1], 1e-300)) * axes[:, -1]
    pairs = [_parted(points, w, points, np.stack([centre - step, centre + step]))]
    white = delta @ (axes / np.sqrt(np.maximum(values, 1e-9 * max(values[-1], 1e-300))))
    for units in (delta, white):
        one = int(draw(w, 1, rng)[0])
        other = int(draw(w * squared_distances(units, units[one][None])[:, 0], 1, rng)[0])
        pairs.append(_parted(points, w, units, units[[one, other]]))
    return pairs


def _parted(points: Array, w: Array, units: Array, centres: Array) -> Array:
    """The means (2, d) of points (n, d), parted by k-means with two centres (2, m) in other units (n, m)."""
    for _ in range(3):
        side = np.diff(squared_distances(units, centres), axis=1)[:, 0] < 0.0
        if side.all() or not side.any():
            break
        centres = _means(units, w, side)
    if side.all() or not side.any():
        side = np.arange(len(points)) % 2 == 0
    return _means(points, w, side)


def _means(points: Array, w: Array, side: Bools) -> Array:
    """The means (2, d) of the rows on either side (n,), by their weights."""
    share = np.stack([np.where(side, 0.0, w), np.where(side, w, 0.0)])
    means: Array = share @ points / np.maximum(share.sum(axis=1), 1e-300)[:, None]
    return means


def with_cuts(parameters: Parameters, cuts: list[tuple[float, int, Parameters]]) -> Parameters:
    """The mixture with these components replaced by their halves."""
    gone = [i for _, i, _ in cuts]
    weights = [np.delete(parameters.weights, gone)]
    means = [np.delete(parameters.means, gone, axis=0)]
    shared = parameters.family.scatter == "tied"
    covariances = [parameters.covariances if shared else np.delete(parameters.covariances, gone, axis=0)]
    for _, i, halves in cuts:
        weights.append(parameters.weights[i] * halves.weights)
        means.append(halves.means)
        if not shared:
            covariances.append(halves.covariances)
    together = np.concatenate(weights)
    return Parameters(
        parameters.family, together / together.sum(), np.concatenate(means), np.concatenate(covariances)
    )
