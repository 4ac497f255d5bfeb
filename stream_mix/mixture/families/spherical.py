"""Spherical components: one variance each, the same in every direction."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..moments import Moments
from ..priors import Prior
from .family import Family, variances


def _covariances(moments: Moments, prior: Prior) -> Array:
    mean: Array = variances(moments, prior).mean(axis=1)
    return mean


FAMILY = Family(
    name="spherical",
    scatter="diag",
    covariances=_covariances,
    dense=lambda covariances, d: np.tile(covariances[:, None], d),
    n_covariance_parameters=lambda k, d: k,
    isotropic=True,
)
