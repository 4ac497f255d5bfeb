"""The kernels in NumPy: readable, the oracle of every faster kernel, and what runs where there is none.

Rows are taken in blocks that stay in the cache, turned on their side so that every loop runs over rows, and
widened to features. Then both halves of EM are one matrix product each:

    scores (k, b) = theta (k, f) @ features (f, b)
    sums (k, f)   = responsibilities (k, b) @ features' (b, f)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays import Array, Floats, Ints
from ..basis import Basis
from .answers import Sums, Told, has_missing
from .natural import Natural, unpack

_BLOCK_NUMBERS = 1 << 17
"""float64 numbers in a block: 1 MiB, about a core's second-level cache."""

_LEAST_SCORE = -600.0
"""Scores are cut this far below a row's best: e^-600 is no responsibility at all, and exponentials that
underflow cost ten times more."""


class Reference:
    """The kernels in NumPy."""

    name = "reference"
    described = "reference (NumPy)"

    def nearest_two(self, x: Array, centres: Array) -> tuple[Ints, Array, Array]:
        """The nearest of the centres (k, d) to each row of x (n, d), its squared distance (n,), and that of
        the second nearest (n,), which is the nearest where there is one centre."""
        distances = -2.0 * (x @ centres.T)
        distances += np.square(x).sum(axis=1)[:, None]
        distances += np.square(centres).sum(axis=1)
        np.maximum(distances, 0.0, out=distances)
        rows = np.arange(len(x))
        label: Ints = distances.argmin(axis=1)
        nearest = distances[rows, label]
        if len(centres) == 1:
            return label, nearest, nearest
        distances[rows, label] = np.inf
        return label, nearest, distances.min(axis=1)

    def first_beyond(self, x: Array, most: float) -> int:
        """The first row of x (n, d) with a number further than `most` from 0, or -1; NaN is no such
        number."""
        # The extremes are taken over what is there, and only a failure looks for the culprit.
        if not x.size or not (
            np.fmax.reduce(x, axis=None) > most or np.fmin.reduce(x, axis=None) < -most
        ):
            return -1
        return int((np.abs(x) > most).any(axis=1).argmax())

    def marginals(self, kind: str, weights: Array, means: Array, covariances: Array) -> None:
        """None: `em` goes pattern by pattern."""

    def folder(self, **choices: Any) -> None:
        """None: `learning` is the fold."""

    def crc32(self, data: bytes, before: int = 0) -> int:
        """`zlib.crc32`."""
        return zlib.crc32(data, before)

    def read_points(
        self, message: bytes, rows: int, features: int, cells: int, string: int, seq: int, value: float
    ) -> None:
        """None: `protocol` reads messages."""

    def columns(self, label: Ints, p: Floats | None, log_density: Array, outlier: Floats) -> None:
        """None: `protocol` writes messages."""

    def posterior(self, x: Array, natural: Natural, basis: Basis | None = None) -> Told | None:
        """The E-step of rows x (n, d); None where a value is missing and kind is not `diag`.

        Rows are in the coordinates of the mixture, or, where a basis is given, in that basis' data's units.
        Responsibilities sum to 1, and no row underflows: the log-sum-exp is taken about the largest score.
        """
        x = x if basis is None else basis.forward(x)
        holes = has_missing(x)
        if holes and (natural.kind != "diag" or natural.student):
            return None
        told = Told.blank(len(x), natural.k)
        for rows, features in _blocks(x, natural, holes):
            scores, top, log_density, _ = _e_step(features, natural, holes)
            told.block(rows, scores, top, log_density, natural)
        return Told.of_holes(told.p, told.label, told.log_density, x, natural) if holes else told

    def accumulate(
        self,
        x: Array,
        w: Array | None,
        natural: Natural,
        hard: bool = False,
        tell: bool = False,
        basis: Basis | None = None,
    ) -> Sums | None:
        """The sums that the M-step needs, of rows x (n, d) with weights w (n,), in one visit; None where a
        value is missing and kind is not `diag`.

        With `hard` each row counts wholly for its likeliest component, else by its responsibilities; log
        densities are the mixture's in both cases. With `tell` the sums carry what `posterior` would say.
        """
        x = x if basis is None else basis.forward(x)
        holes = has_missing(x)
        if holes and (natural.kind != "diag" or natural.student):
            return None
        told = Told.blank(len(x), natural.k) if tell else None
        mass = np.zeros(natural.k)
        k, d = natural.k, natural.d
        sums = np.zeros((k, (natural.theta_of_holes if holes else natural.theta).shape[1]))
        pooled = np.zeros((d, d))
        log_densities = np.empty(len(x))
        for rows, features in _blocks(x, natural, holes):
            r, top, log_density, pull = _e_step(features, natural, holes)
            log_densities[rows] = log_density
            if told is not None:
                told.block(rows, r, top, log_density, natural)
            if hard:
                r = _one_hot(r)
            weights = None if w is None else w[rows]
            if weights is not None:
                r *= weights
            if pull is not None:
                mass += r.sum(axis=1)
                r *= pull
                weights = r.sum(axis=0)
            sums += r @ features.T
            if natural.kind == "tied":
                y = features[1:]
                pooled += (y if weights is None else y * weights) @ y.T
        second = pooled
        if natural.kind == "diag":
            second = sums[:, 1 + d : 1 + 2 * d]
        elif natural.kind == "full":
            second = unpack(sums[:, 1 + d :], d)
        if holes and told is not None:
            told = Told.of_holes(told.p, told.label, told.log_density, x, natural)
        seen = sums[:, 1 + 2 * d :] if holes else None
        if natural.student is None:
            mass = sums[:, 0].copy()
        else:
            seen = np.repeat(sums[:, :1], d, axis=1)
        return Sums(natural.origin, mass, sums[:, 1 : 1 + d], second, log_densities, told, seen)


def _e_step(features: Array, natural: Natural, holes: bool) -> tuple[Array, Array, Array, Array | None]:
    """Responsibilities (k, b), each row's largest score (b,) and log density (b,) of a block of features; and
    by how much each row counts more for mean and scatter than for the weight (k, b), None: by nothing."""
    scores = (natural.theta_of_holes if holes else natural.theta) @ features
    pull = None
    if natural.student is not None:
        scores, pull = _heavy(scores, features, natural)
    top = scores.max(axis=0)
    scores -= top
    np.maximum(scores, _LEAST_SCORE, out=scores)
    np.exp(scores, out=scores)
    total = scores.sum(axis=0)
    scores /= total
    if natural.kind == "tied" and natural.student is None:
        top -= _tied_part(features, natural)
    return scores, top, np.log(total) + top, pull


def _heavy(scores: Array, features: Array, natural: Natural) -> tuple[Array, Array]:
    """Scores (k, b) of heavy tails, and what rows count for means and scatter, from those of normal ones."""
    student, peak = natural.student, natural.peak[:, None]
    assert student is not None
    if natural.kind == "tied":
        scores -= _tied_part(features, natural)
    # What theta says is the peak less half the squared distance.
    distance = np.maximum(2.0 * (peak - scores), 0.0)
    return peak - student.drop(distance, natural.d), student.pull(distance, natural.d)


def _tied_part(features: Array, natural: Natural) -> Array:
    """The quadratic term (b,) that tied components share."""
    y = features[1:]
    shared: Array = 0.5 * ((natural.precision @ y) * y).sum(axis=0)
    return shared


def _blocks(x: Array, natural: Natural, holes: bool) -> Iterator[tuple[slice, Array]]:
    """Which rows a block holds, and the block as features (f, b)."""
    d = natural.d
    f = 1 + d + {"diag": 2 * d if holes else d, "tied": 0, "full": d * (d + 1) // 2}[natural.kind]
    # An odd multiple of 64 rows: rows of a power of two would all fall on the same lines of the cache.
    size = 64 * max(1, (_BLOCK_NUMBERS // (f + natural.k) // 64 - 1) | 1)
    buffer = np.empty((f, min(size, len(x))))
    for start in range(0, len(x), size):
        block = x[start : start + size]
        features = buffer[:, : len(block)] if len(block) == buffer.shape[1] else np.empty((f, len(block)))
        _widen(block, natural, features)
        yield slice(start, start + len(block)), features


def _widen(block: Array, natural: Natural, features: Array) -> None:
    """Writes (1, y, second-order terms of y), with holes what is observed, of a block of rows into features
    (f, b)."""
    d = natural.d
    y = features[1 : 1 + d]
    features[0] = 1.0
    np.subtract(block.T, natural.origin[:, None], out=y)
    if natural.kind == "diag":
        if len(features) > 1 + 2 * d:
            observed = ~np.isnan(y)
            features[1 + 2 * d :] = observed
            y[~observed] = 0.0
        np.square(y, out=features[1 + d : 1 + 2 * d])
    elif natural.kind == "full":
        at = 1 + d
        for i in range(d):
            np.multiply(y[i], y[i:], out=features[at : at + d - i])
            at += d - i


def _one_hot(r: Array) -> Array:
    """1 for each row's likeliest component (k, b), the first where several are."""
    chosen: Array = (r == r.max(axis=0)).astype(np.float64)
    if chosen.sum() != r.shape[1]:
        chosen[:] = 0.0
        chosen[r.argmax(axis=0), np.arange(r.shape[1])] = 1.0
    return chosen
