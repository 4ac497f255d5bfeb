"""k-means: equal weights, one round covariance for all, hard assignment.

The mini-batch update c += (x - c) / n is the mean of the moments under one-hot responsibilities, exactly
(Sculley 2010, algorithm 1). The common variance is the within-cluster mean square; it gives k-means soft
probabilities and a density.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..moments import Moments
from ..priors import Prior
from .family import Family, pooled_variance


def _covariances(moments: Moments, prior: Prior) -> Array:
    return np.full(moments.k, pooled_variance(moments) + prior.reg_covar)


FAMILY = Family(
    name="kmeans",
    scatter="diag",
    covariances=_covariances,
    dense=lambda covariances, d: np.tile(covariances[:, None], d),
    n_covariance_parameters=lambda k, d: 1,
    isotropic=True,
    equal_weights=True,
    assignment="hard",
    compiled=True,
)
