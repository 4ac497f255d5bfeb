"""Student's t in place of the normal distribution: components of heavy tails, which rows far out hardly move.

A row of such a component is a normal one whose covariance was divided by a random factor of mean 1. Given the
row, at squared distance D from the centre over m features, the factor is expected to be

    u = (nu + m) / (nu + D)

and with the row counting r u in mean and scatter, and r in the weight, EM goes as it does for normal ones
(Lange, Little & Taylor 1989, JASA 84:881; the scatter over sum r u, not over sum r, is the faster scheme of
Kent, Tyler & Vardi 1994). u is 1 on average, and falls as 1 / D: outliers take themselves out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Array

_LEAST = 1e-60
"""A row counts so much for mean and scatter at the least: a component of rows 10^30 standard deviations out
knows where they are all the same."""


@dataclass(frozen=True)
class Student:
    """A t distribution with so many degrees of freedom; with many it is the normal one.

    >>> Student(4.0).pull(np.array([0.0, 2.0, 1e6]), 2).round(6).tolist()
    [1.5, 1.0, 6e-06]
    """

    degrees: float

    def height(self, d: int) -> float:
        """By how much its log density at the centre, over d features, is above the normal one's."""
        nu = self.degrees
        return math.lgamma(0.5 * (nu + d)) - math.lgamma(0.5 * nu) - 0.5 * d * math.log(0.5 * nu)

    def drop(self, distance: Array, d: int) -> Array:
        """How far the log density has fallen at a squared distance from the centre."""
        fallen: Array = 0.5 * (self.degrees + d) * np.log1p(distance / self.degrees)
        return fallen

    def distance(self, drop: Array, d: int) -> Array:
        """The squared distance at which it has fallen so far."""
        # Beyond e^700 all is equally far.
        rate = np.minimum(2.0 / (self.degrees + d) * drop, 700.0)
        far: Array = self.degrees * np.expm1(rate)
        return far

    def pull(self, distance: Array, d: int) -> Array:
        """u at a squared distance."""
        pull: Array = np.maximum((self.degrees + d) / (self.degrees + distance), _LEAST)
        return pull
