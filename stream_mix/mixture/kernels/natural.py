"""Gaussian components as log-linear scores: one matrix product gives the log densities of all components.

    log weight_k + log N(x | m_k, P_k^-1) = theta_k . features(y),   y = x - origin

with features (1, y, y^2) for diagonal precisions, (1, y, y_i y_j for i <= j) for full ones, and (1, y) for a
tied precision, whose quadratic term is the same for all components and is added to the log density alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import LOG_2PI, Array


@dataclass(frozen=True, eq=False)
class Natural:
    """Natural parameters of k components over d features.

    Attributes:
        kind: shape of the second moments, `diag`, `tied` or `full`.
        origin: (d,), taken from x before anything is squared.
        theta: (k, f), a row for each component over the f features.
        weights: (k,).
        peak: (k,), log weight + log density at the component's own mean.
        shared: (d, d) precision of all components where kind is `tied`, else None.
    """

    kind: str
    origin: Array
    theta: Array
    weights: Array
    peak: Array
    shared: Array | None = None

    @property
    def k(self) -> int:
        """Number of components."""
        return self.peak.size

    @property
    def d(self) -> int:
        """Number of features."""
        return self.origin.size

    @classmethod
    def of(cls, kind: str, log_weights: Array, means: Array, covariances: Array) -> Natural:
        """From log weights (k,), means (k, d) and covariances: diag (k, d), tied (d, d), full (k, d, d).

        Raises numpy.linalg.LinAlgError where a covariance is not positive definite.
        """
        # The heaviest component's mean, not the mean of all: one component far out must not cost the others
        # their digits.
        origin = means[int(log_weights.argmax())].copy()
        m = means - origin
        d = m.shape[1]
        if kind == "diag":
            precision = 1.0 / covariances
            log_det = np.log(covariances).sum(axis=1)
            linear = precision * m
            quadratic = -0.5 * precision
        else:
            root = np.linalg.cholesky(covariances)
            log_det = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
            precision = _inverse(root)
            linear = m @ precision if kind == "tied" else np.matmul(precision, m[:, :, None])[:, :, 0]
            quadratic = np.zeros((len(m), 0)) if kind == "tied" else pack(-precision, halve=True)
        peak = log_weights - 0.5 * (d * LOG_2PI + log_det)
        constant = peak - 0.5 * (linear * m).sum(axis=1)
        theta = np.concatenate([constant[:, None], linear, quadratic], axis=1)
        shared = precision if kind == "tied" else None
        return cls(kind, origin, np.ascontiguousarray(theta), np.exp(log_weights), peak, shared)


def _inverse(root: NDArray[np.floating[Any]]) -> Array:
    """Inverses, symmetric to the last bit, of the matrices whose Cholesky factors are given."""
    inverse_root = np.linalg.inv(root)
    inverse: Array = np.matmul(np.swapaxes(inverse_root, -1, -2), inverse_root)
    return inverse


def pack(matrices: Array, *, halve: bool = False) -> Array:
    """Upper triangles (k, d(d+1)/2), row by row, of symmetric matrices (k, d, d); `halve` halves the
    diagonal."""
    d = matrices.shape[-1]
    upper = matrices[:, *np.triu_indices(d)]
    if halve:
        upper[:, np.cumsum(np.arange(d, 0, -1)) - np.arange(d, 0, -1)] *= 0.5
    return upper


def unpack(triangles: Array, d: int) -> Array:
    """Symmetric matrices (k, d, d) from their upper triangles (k, d(d+1)/2)."""
    out = np.empty((len(triangles), d, d))
    rows, columns = np.triu_indices(d)
    out[:, rows, columns] = triangles
    out[:, columns, rows] = triangles
    return out
