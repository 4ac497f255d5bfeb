"""The kernels in NumPy: readable, the oracle of every faster kernel, and what runs where there is none.

Rows are taken in blocks that stay in the cache, turned on their side so that every loop runs over rows, and
widened to features. Then both halves of EM are one matrix product each:

    scores (k, b) = theta (k, f) @ features (f, b)          sums (k, f) = responsibilities (k, b) @ features'
    (b, f)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints
from .natural import Natural, unpack

_BLOCK_NUMBERS = 1 << 17
"""float64 numbers in a block: 1 MiB, about a core's second-level cache."""

_LEAST_SCORE = -600.0
"""Scores are cut this far below a row's best: e^-600 is no responsibility at all, and exponentials that
underflow cost ten times more."""


@dataclass(frozen=True, eq=False)
class Sums:
    """Raw sums about `origin` under the responsibilities: mass (k,), first (k, d), second by kind, log
    density (n,) of each row."""

    origin: Array
    mass: Array
    first: Array
    second: Array
    log_density: Array


def posterior(x: Array, natural: Natural) -> tuple[Array, Ints, Array, Array]:
    """Responsibilities (n, k), likeliest component (n,), log density (n,) and squared Mahalanobis distance
    (n,) to that component.

    x (n, d) must be complete: no NaN. Rows sum to 1; log-sum-exp is taken about the largest score, so no row
    underflows.
    """
    n = len(x)
    p = np.empty((n, natural.k))
    label = np.empty(n, dtype=np.int64)
    log_density = np.empty(n)
    distance = np.empty(n)
    for start, features in _blocks(x, natural):
        stop = start + features.shape[1]
        scores = natural.theta @ features
        top = scores.max(axis=0)
        total = _softmax(scores, top)
        p[start:stop] = scores.T
        p[start:stop].argmax(axis=1, out=label[start:stop])
        top += _shared(features, natural)
        log_density[start:stop] = np.log(total) + top
        distance[start:stop] = 2.0 * (natural.peak[label[start:stop]] - top)
    return p, label, log_density, np.maximum(distance, 0.0, out=distance)


def accumulate(x: Array, w: Array | None, natural: Natural, hard: bool = False) -> Sums:
    """The sums that the M-step needs, of complete rows x (n, d) with weights w (n,), in one visit.

    With `hard` each row counts wholly for its likeliest component, else by its responsibilities. Log
    densities are the mixture's in both cases.
    """
    k, d = natural.k, natural.d
    sums = np.zeros((k, natural.theta.shape[1]))
    pooled = np.zeros((d, d))
    log_density = np.empty(len(x))
    for start, features in _blocks(x, natural):
        stop = start + features.shape[1]
        scores = natural.theta @ features
        top = scores.max(axis=0)
        chosen = _one_hot(scores, top) if hard else None
        total = _softmax(scores, top)
        log_density[start:stop] = np.log(total) + top + _shared(features, natural)
        if chosen is not None:
            scores = chosen
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
    # An odd multiple of 64 rows: rows of a power of two would all fall on the same lines of the cache.
    size = 64 * max(1, (_BLOCK_NUMBERS // (f + natural.k) // 64 - 1) | 1)
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


def _one_hot(scores: Array, top: Array) -> Array:
    """1 for each row's likeliest component (k, b), the first where several are."""
    chosen: Array = (scores == top).astype(np.float64)
    if chosen.sum() != top.size:
        chosen[:] = 0.0
        chosen[scores.argmax(axis=0), np.arange(top.size)] = 1.0
    return chosen


def _softmax(scores: Array, top: Array) -> Array:
    """Turns scores (k, b) into responsibilities in place and returns the sums of their exponentials (b,)."""
    scores -= top
    np.maximum(scores, _LEAST_SCORE, out=scores)
    np.exp(scores, out=scores)
    total: Array = scores.sum(axis=0)
    scores /= total
    return total
