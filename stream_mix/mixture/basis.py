"""The coordinates in which a model computes: an origin and a scale for each feature.

Data is mapped to ``z = (x - origin) / scale`` before anything is summed, so that floors and priors are free
of units, and an offset of 1.7e9 (Unix seconds) costs no digits: the subtraction is exact where it matters,
the squares come after it. A basis is fixed when a model starts; `Moments.rebase` moves statistics from one
basis to another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array

_SMALLEST = 1e-30
"""No scale is below this: the largest value that rows may have, squared in units of it, must stay finite."""

DIGITS = 16.0 * float(np.finfo(np.float64).eps)
"""Nor below this share of the origin: a spread of so few last digits is rounding and no spread."""

_GRID = 2.0**-8
"""An origin need not be the mean, only near it."""

_GIANT = 1e4
"""Times the reach of ordinary values, beyond which a value does not decide on a basis: a scale that it
stretched would leave the others no digits above the floor under variances."""


def least_scale(origin: Array) -> Array:
    """The least scale (d,) that features about an origin (d,) can have."""
    magnitude = np.where(np.isnan(origin), 0.0, np.abs(origin))
    return np.maximum(_SMALLEST, DIGITS * magnitude)


def gridded(origin: Array, scale: Array) -> Array:
    """The origin (d,), to the nearest `_GRID` of a scale (d,) rounded to a power of two.

    A mean of large numbers is rounded where that of small ones is not; on a grid both are alike, and rows
    that are moved by a number on it are learned to the last bit as they were before. What has no spread is
    not to be moved: all of it is at its origin.
    """
    step = np.exp2(np.floor(np.log2(scale))) * _GRID
    with np.errstate(over="ignore"):
        rounded: Array = np.round(origin / step) * step
    return np.where(np.isfinite(rounded), rounded, origin)


def without_giants(x: Array) -> Array:
    """Rows x (n, d) with values missing that lie further from their feature's median than `_GIANT` times what
    nine of ten do."""
    out = x
    for j, column in enumerate(x.T):
        known = column[~np.isnan(column)]
        if not len(known):
            continue
        middle = np.sort(known)[len(known) // 2]
        # The lower of two neighbours: of four values, one of them a giant, it is another.
        reach = np.sort(np.abs(known - middle))[int(0.9 * (len(known) - 1))]
        far = np.abs(column - middle) > _GIANT * reach
        if reach > 0.0 and far.any():
            out = x.copy() if out is x else out
            out[far, j] = np.nan
    return out


@dataclass(frozen=True, eq=False)
class Basis:
    """An origin (d,) and a scale (d,) > 0, both in the data's units.

    A feature that was never observed has origin NaN: every value mapped through it is then missing, which is
    the truth.

    >>> basis = Basis.of(np.array([[0.0, 100.0], [2.0, 300.0]]))
    >>> basis.forward(np.array([[1.0, 400.0]]))
    array([[0., 2.]])
    """

    origin: Array
    scale: Array

    @property
    def d(self) -> int:
        """Number of features."""
        return self.origin.size

    @classmethod
    def of(cls, x: Array, w: Array | None = None, *, isotropic: bool = False) -> Basis:
        """Mean and standard deviation of the observed values of x (n, d), weighted by w (n,).

        With `isotropic` all features share one scale, the root mean square of theirs, since round clusters
        stay round only under one scale. A feature without spread has scale 1, for want of a better unit.
        """
        observed = ~np.isnan(x)
        weight = observed * (1.0 if w is None else w[:, None])
        total = weight.sum(axis=0)
        known = total > 0
        # A value of each feature is taken away first: what remains is small and the mean of it keeps all its
        # digits.
        reference = np.where(known, np.take_along_axis(x, observed.argmax(axis=0)[None, :], axis=0)[0], 0.0)
        delta = np.where(observed, x - reference, 0.0)
        divisor = np.where(known, total, 1.0)
        shift = (weight * delta).sum(axis=0) / divisor
        variance = (weight * np.square(np.where(observed, delta - shift, 0.0))).sum(axis=0) / divisor
        spread = variance > 0.0
        if isotropic and known.any():
            variance = np.where(known, variance[known].mean(), variance)
        scale = np.sqrt(variance)
        usable = known & (scale > _SMALLEST) & np.isfinite(scale)
        origin = np.where(known, reference + shift, np.nan)
        if isotropic and usable.any():
            scale = np.full(scale.size, scale[usable][0])
        else:
            scale = np.where(usable, scale, 1.0)
        return cls(np.where(spread, gridded(origin, scale), origin), scale)

    def forward(self, x: Array) -> Array:
        """Data x (n, d) in this basis, stored feature by feature as kernels read it; missing stays NaN."""
        columns = np.subtract(x.T, self.origin[:, None], order="C")
        columns /= self.scale[:, None]
        return columns.T

    def backward(self, z: Array) -> Array:
        """Points z (n, d) of this basis in the data's units."""
        return self.origin + z * self.scale

    def grown(self, d: int) -> Basis:
        """The same basis with features up to d that were never observed; their scale is the common one or
        1."""
        new = d - self.d
        common = self.scale[0] if self.d and (self.scale == self.scale[0]).all() else 1.0
        return Basis(
            np.append(self.origin, np.full(new, np.nan)), np.append(self.scale, np.full(new, common))
        )

    def same(self, other: Basis) -> bool:
        """Whether both are equal to the last bit."""
        return np.array_equal(self.origin, other.origin, equal_nan=True) and np.array_equal(
            self.scale, other.scale
        )
