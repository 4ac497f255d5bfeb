"""Tied components: one covariance, of any orientation, shared by all."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..moments import Moments
from ..priors import Prior
from .family import UNIT_ROWS, Family, pooled, shrink_correlations, sound


def _covariances(moments: Moments, prior: Prior) -> Array:
    rows = moments.mass.sum(keepdims=True)
    # The pooled covariance is the estimate itself here: a prior without pseudo-rows must leave it as it is.
    raw = pooled(moments, UNIT_ROWS * prior.covariance) + prior.reg_covar * np.eye(moments.d)
    covariance: Array = sound(shrink_correlations(raw[None], rows, prior.correlation), prior.reg_covar)[0]
    return covariance


FAMILY = Family(
    name="tied",
    scatter="tied",
    covariances=_covariances,
    dense=lambda covariances, d: covariances,
    n_covariance_parameters=lambda k, d: d * (d + 1) // 2,
    compiled=True,
)
