"""Full components: each its own covariance, oval in any direction."""

from __future__ import annotations

import numpy as np

from ..arrays import Array
from ..moments import Moments
from ..priors import Prior
from .family import Family, pooled, shrink_correlations, sound


def _covariances(moments: Moments, prior: Prior) -> Array:
    # A covariance of d features needs d + 1 rows.
    c = prior.pseudo_rows(moments.mass, moments.d + 1)
    rows = np.maximum(moments.seen + c[:, None], 1e-300)
    # The divisor sqrt(n_i n_j) is n where all features were seen, and keeps the matrix positive where some
    # were not.
    raw = (moments.scatter + c[:, None, None] * pooled(moments)) / moments.shape_of_scatter.pair(rows)
    floored = raw + prior.reg_covar * np.eye(moments.d)
    return sound(shrink_correlations(floored, moments.mass, prior.correlation), prior.reg_covar)


FAMILY = Family(
    name="full",
    scatter="full",
    covariances=_covariances,
    dense=lambda covariances, d: covariances,
    n_covariance_parameters=lambda k, d: k * d * (d + 1) // 2,
    compiled=True,
)
