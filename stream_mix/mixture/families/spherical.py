"""Spherical components: one variance each, the same in every direction."""

from __future__ import annotations

import numpy as np

from .family import Family, round_variances

FAMILY = Family(
    name="spherical",
    scatter="diag",
    covariances=round_variances,
    dense=lambda covariances, d: np.tile(covariances[:, None], d),
    n_covariance_parameters=lambda k, d: k,
    isotropic=True,
    compiled=True,
)
