"""The kernels in NumPy: readable, the oracle of every faster kernel, and what runs where there is none.

Rows are taken in blocks that stay in the cache, turned on their side so that every loop runs over rows, and widened to features. Then
both halves of EM are one matrix product each:

    scores (k, b) = theta (k, f) @ features (f, b)          sums (k, f) = responsibilities (k, b) @ features' (b, f)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Array
from .natural import Natural, unpack

_BLOCK_NUMBERS = 1 << 17  # float64 numbers in a block: 1 MiB, about a core's second-level cache


@dataclass(frozen=True, eq=False)
class Sums:
    """Raw sums about `origin` under the responsibilities: mass (k,), first (k, d), second by kind, log density (n,) of each row."""

    origin: Array
    mass: Array
    first: Array
    second: Array
    log_density: Array


def posterior(x: Array, natural: Natural) -> tuple[Array, Array, Array]:
    """Responsibilities (n, k), log density (n,) and squared Mahalanobis distance (n,) to the likeliest component.

    x (n, d) must be complete: no NaN. Rows sum to 1; log-sum-exp is taken about the largest score, so no row underflows.
    """
    n = len(x)
    p = np.empty((n, natural.k))
    log_density = np.empty(n)
    distance = np.empty(n)
    for start, features in _blocks(x, natural):
        stop = start + features.shape[1]
        scores = natural.theta @ features
        shared = _shared(features, natural)
        best = scores.argmax(axis=0)
        top = scores[best, np.arange(best.size)]
        distance[start:stop] = 2.0 * (natural.peak[best] - top - shared)
        total = _softmax(scores, top)
        log_density[start:stop] = np.log(total) + top + shared
        p[start:stop] = scores.T
    return p, log_density, np.maximum(distance, 0.0)


def accumulate(x: Array, w: Array | None, natural: Natural, hard: bool = False) -> Sums:
    """The sums that the M-step needs, of complete rows x (n, d) with weights w (n,), in one visit.

    With `hard` each row counts wholly for its likeliest component, else by its responsibilities. Log densities are the mixture's
    in both cases.
    """
    k, d = natural.k, natural.d
    sums = np.zeros((k, natural.theta.shape[1]))
    pooled = np.zeros((d, d))
    log_density = np.empty(len(x))
    for start, features in _blocks(x, natural):
        stop = start + features.shape[1]
        scores = natural.theta @ features
        best = scores.argmax(axis=0) if hard else None
        top = scores.max(axis=0)
        total = _softmax(scores, top)
        log_density[start:stop] = np.log(total) + top + _shared(features, natural)
        if best is not None:
            scores[:] = 0.0
            scores[best, np.arange(best.size)] = 1.0
        weights = None if w is None else w[start:stop]
        if weights is not None:
            scores *= weights
        sums += scores @ features.T
        if natural.shared is not None:
            y = features[1:]
            pooled += (y if weights is None else y * weights) @ y.T
    second = pooled
    if natural.kind == "diag":
        second = sums[:, 1 + d :]
    elif natural.kind == "full":
        second = unpack(sums[:, 1 + d :], d)
    return Sums(natural.origin, sums[:, 0].copy(), sums[:, 1 : 1 + d], second, log_density)


def _blocks(x: Array, natural: Natural) -> Iterator[tuple[int, Array]]:
    """Blocks of rows as features (f, b), with the number of the first row of each."""
    f = 1 + natural.d + {"diag": natural.d, "tied": 0, "full": natural.d * (natural.d + 1) // 2}[natural.kind]
    size = max(64, _BLOCK_NUMBERS // (f + natural.k) // 64 * 64)
    buffer = np.empty((f, min(size, len(x))))
    for start in range(0, len(x), size):
        block = x[start : start + size]
        features = buffer[:, : len(block)] if len(block) == buffer.shape[1] else np.empty((f, len(block)))
        _widen(block, natural, features)
        yield start, features


def _widen(block: Array, natural: Natural, features: Array) -> None:
    """Writes (1, y, second-order terms of y) of a block of rows into features (f, b)."""
    d = natural.d
    y = features[1 : 1 + d]
    features[0] = 1.0
    np.subtract(block.T, natural.origin[:, None], out=y)
    if natural.kind == "diag":
        np.square(y, out=features[1 + d :])
    elif natural.kind == "full":
        at = 1 + d
        for i in range(d):
            np.multiply(y[i], y[i:], out=features[at : at + d - i])
            at += d - i


def _shared(features: Array, natural: Natural) -> Array | float:
    """The quadratic term that all components share, (b,), where the precision is tied."""
    if natural.shared is None:
        return 0.0
    y = features[1:]
    shared: Array = -0.5 * ((natural.shared @ y) * y).sum(axis=0)
    return shared


def _softmax(scores: Array, top: Array) -> Array:
    """Turns scores (k, b) into responsibilities in place and returns the sums of their exponentials (b,)."""
    scores -= top
    np.exp(scores, out=scores)
    total: Array = scores.sum(axis=0)
    scores /= total
    return total
