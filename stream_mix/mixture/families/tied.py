"""Tied components: one covariance, of any orientation, shared by all."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..moments import Moments
from ..priors import Prior
from .family import Family, pooled, shrink_correlations


def _covariances(moments: Moments, prior: Prior) -> Array:
    rows = moments.mass.sum(keepdims=True)
    shrunk = shrink_correlations(pooled(moments)[None], rows, prior.correlation)[0]
    covariance: Array = shrunk + prior.reg_covar * np.eye(moments.d)
    return covariance


FAMILY = Family(
    name="tied",
    scatter="tied",
    covariances=_covariances,
    dense=lambda covariances, d: covariances,
    n_covariance_parameters=lambda k, d: d * (d + 1) // 2,
)
