"""Diagonal components: a variance for each feature, no correlation within a component."""

from __future__ import annotations

from .family import Family, variances

FAMILY = Family(
    name="diag",
    scatter="diag",
    covariances=variances,
    dense=lambda covariances, d: covariances,
    n_covariance_parameters=lambda k, d: k * d,
    compiled=True,
)
