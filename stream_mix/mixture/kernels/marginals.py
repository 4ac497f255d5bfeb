"""Rows with holes under full and tied components, in C++: the answers of `em`'s way pattern by pattern.

The covariances of a pattern's features are factored once a call, all components at once; what a row lacks is
worked out for the components that have a share of it, 2^-60 or more.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from . import _native, threads
from .answers import Filled, Told


class Marginals:
    """A mixture packed for rows that lack features; see `choice.Marginals`."""

    def __init__(self, isa: str, kind: str, weights: Array, means: Array, covariances: Array) -> None:
        weights, means, covariances = map(np.ascontiguousarray, (weights, means, covariances))
        self._native = _native.Marginals(
            isa=isa, kind=kind, weights=weights, means=means, covariances=covariances
        )

    def posterior(self, z: Array) -> Told | None:
        """E-step of rows z (n, d)."""
        said = self._native.posterior(z, threads.count())
        return None if said is None else Told(*said)

    def outlier(self, z: Array, log_density: Array) -> Array | None:
        """Outlier scores (n,) of rows z (n, d) with their log densities (n,)."""
        return self._native.outlier(z, np.ascontiguousarray(log_density), threads.count())

    def accumulate(self, z: Array, w: Array | None, known: Array | None, hard: bool) -> Filled | None:
        """Moments of rows z (n, d) with weights w (n,); `known` (k, d) None: every component knows every
        feature."""
        if known is not None:
            known = None if (known == 1.0).all() else np.ascontiguousarray(known)
        found = self._native.accumulate(z, w, known, hard, threads.count())
        return None if found is None else Filled(*found)
