"""Slow, obvious twins of the mixture: one row, one component, one formula at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from stream_mix.mixture import Basis, Moments, Parameters
from stream_mix.mixture.arrays import Array


def covariance_matrices(parameters: Parameters) -> list[Array]:
    """A full matrix for each component, whatever the family keeps."""
    k, d = parameters.means.shape
    own = parameters.covariances
    shapes = {
        "kmeans": lambda i: own[i] * np.eye(d),
        "spherical": lambda i: own[i] * np.eye(d),
        "diag": lambda i: np.diag(own[i]),
        "tied": lambda i: own,
        "full": lambda i: own[i],
    }
    return [shapes[parameters.family.name](i) for i in range(k)]


def log_joint(parameters: Parameters, row: Array) -> Array:
    """log weight + log density of the observed part of one row, for each component (k,)."""
    o = ~np.isnan(row)
    out = []
    for weight, mean, sigma in zip(
        parameters.weights, parameters.means, covariance_matrices(parameters), strict=True
    ):
        delta, s = (row - mean)[o], sigma[np.ix_(o, o)]
        quadratic = float(delta @ np.linalg.solve(s, delta)) if o.any() else 0.0
        log_det = math.log(np.linalg.det(s)) if o.any() else 0.0
        out.append(math.log(weight) - 0.5 * (o.sum() * math.log(2 * math.pi) + log_det + quadratic))
    return np.array(out)


def responsibilities(parameters: Parameters, row: Array, hard: bool = False) -> tuple[Array, float]:
    """Responsibilities (k,) and log density of one row."""
    scores = log_joint(parameters, row)
    top = scores.max()
    total = math.log(sum(math.exp(s - top) for s in scores)) + top
    p = np.array([math.exp(s - total) for s in scores])
    return (np.eye(len(p))[scores.argmax()] if hard else p), total


def expectations(parameters: Parameters, row: Array, i: int) -> tuple[Array, Array]:
    """Mean (d,) and covariance (d, d) of a row that component i made, given what was observed of it."""
    mean, sigma = parameters.means[i], covariance_matrices(parameters)[i]
    o, m = ~np.isnan(row), np.isnan(row)
    filled, spread = row.copy(), np.zeros((row.size, row.size))
    if m.any():
        gain = sigma[np.ix_(m, o)] @ np.linalg.inv(sigma[np.ix_(o, o)]) if o.any() else np.zeros((m.sum(), 0))
        filled[m] = mean[m] + gain @ (row - mean)[o]
        spread[np.ix_(m, m)] = sigma[np.ix_(m, m)] - gain @ sigma[np.ix_(o, m)]
    return filled, spread


def moments(parameters: Parameters, z: Array, w: Array, basis: Basis, hard: bool = False) -> dict[str, Any]:
    """Mass, mean and scatter of rows, every component knowing every feature; two passes, full matrices."""
    k, d = parameters.means.shape
    r = np.array([responsibilities(parameters, row, hard)[0] for row in z]) * w[:, None]
    mass = r.sum(axis=0)
    mean, scatter = np.zeros((k, d)), np.zeros((k, d, d))
    for i in range(k):
        both = [expectations(parameters, row, i) for row in z]
        mean[i] = sum(r[n, i] * both[n][0] for n in range(len(z))) / mass[i]
        for n in range(len(z)):
            delta = both[n][0] - mean[i]
            scatter[i] += r[n, i] * (np.outer(delta, delta) + both[n][1])
    return {"mass": mass, "mean": mean, "scatter": scatter}


def same_moments(a: Moments, b: Moments, tolerance: float = 1e-9) -> bool:
    """Whether two records agree, relative to the larger of each pair and to the scatter as a whole."""
    close = [
        np.allclose(x, y, rtol=tolerance, atol=tolerance * (1.0 + np.abs(y).max(initial=0.0)))
        for x, y in ((a.mass, b.mass), (a.seen, b.seen), (a.mean, b.mean), (a.scatter, b.scatter))
    ]
    return all(close) and a.rows == b.rows and a.lineage == b.lineage
