"""What the kernels answer, whichever implementation runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Array, Ints
from .natural import Natural


def has_missing(x: Array) -> bool:
    """Whether any value of x (n, d) is NaN."""
    return math.isnan(float(x.sum())) and bool(np.isnan(x).any())


@dataclass(frozen=True, eq=False)
class Told:
    """What an E-step says of n rows.

    Responsibilities p (n, k), likeliest component (n,), log density (n,), and squared Mahalanobis distance
    (n,) to that component.
    """

    p: Array
    label: Ints
    log_density: Array
    distance: Array

    @classmethod
    def blank(cls, n: int, k: int) -> Told:
        """Room for n rows and k components."""
        return cls(np.empty((n, k)), np.empty(n, dtype=np.int64), np.empty(n), np.empty(n))

    @classmethod
    def of_holes(cls, p: Array, label: Ints, log_density: Array, x: Array, natural: Natural) -> Told:
        """With the distances of rows x (n, d) over the features that they have, kind being `diag`."""
        peak = np.log(natural.weights)[label] + (~np.isnan(x) * natural.heights[label]).sum(axis=1)
        top = log_density + np.log(np.take_along_axis(p, label[:, None], axis=1)[:, 0])
        return cls(p, label, log_density, np.maximum(2.0 * (peak - top), 0.0))

    def block(self, rows: slice, p: Array, top: Array, log_density: Array, natural: Natural) -> None:
        """Fills in a block of rows, from responsibilities (k, b) and each row's largest score (b,)."""
        self.p[rows] = p.T
        label = self.p[rows].argmax(axis=1, out=self.label[rows])
        self.log_density[rows] = log_density
        self.distance[rows] = natural.distance(np.maximum(natural.peak[label] - top, 0.0))


@dataclass(frozen=True, eq=False)
class Filled:
    """Moments of rows filled in by what is expected of them: mass (k,), seen (k, d), mean (k, d), scatter by
    kind, and the log density (n,) of each row. Where a component has no mass, its mean is 0."""

    mass: Array
    seen: Array
    mean: Array
    scatter: Array
    log_density: Array


@dataclass(frozen=True, eq=False)
class Sums:
    """Raw sums about `origin` under the responsibilities: mass (k,), first (k, d), second by kind, log
    density (n,) of each row; with `told`, where it was asked for, what the E-step said of them.

    Where values are missing, `seen` (k, d) is the mass that each feature was observed with.
    """

    origin: Array
    mass: Array
    first: Array
    second: Array
    log_density: Array
    told: Told | None = None
    seen: Array | None = None
