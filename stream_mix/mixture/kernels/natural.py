"""Gaussian components as log-linear scores: one matrix product gives the log densities of all components.

    log weight_k + log N(x | m_k, P_k^-1) = theta_k . features(y),   y = x - origin

with features (1, y, y^2) for diagonal precisions, (1, y, y_i y_j for i <= j) for full ones, and (1, y) for a
tied precision, whose quadratic term is the same for all components and is added to the log density alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..arrays import LOG_2PI, Array
from .student import Student


@dataclass(frozen=True, eq=False)
class Natural:
    """Natural parameters of k components over d features.

    Attributes:
        kind: shape of the second moments, `diag`, `tied` or `full`.
        origin: (d,), taken from x before anything is squared.
        means: (k, d), about the origin.
        whiten: W with W'W the precision: diag (k, d), tied (d, d) and full (k, d, d) lower triangles.
        weights: (k,).
        peak: (k,), log weight + log density at the component's own mean.
        round: whether a component's precision is the same in all directions.
        student: the t distribution that components have; None: they are normal. What `theta` says of a row
            is then its peak less half its squared distance (`student.drop` makes a score of that).
    """

    kind: str
    origin: Array
    means: Array
    whiten: Array
    weights: Array
    peak: Array
    round: bool = False
    student: Student | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What kernels made of it is made again.
        return {name: value for name, value in self.__dict__.items() if name != "packed"}

    @property
    def k(self) -> int:
        """Number of components."""
        return self.peak.size

    @property
    def d(self) -> int:
        """Number of features."""
        return self.origin.size

    @classmethod
    def of(
        cls,
        kind: str,
        log_weights: Array,
        means: Array,
        covariances: Array,
        *,
        round: bool = False,
        student: Student | None = None,
    ) -> Natural:
        """From log weights (k,), means (k, d) and covariances: diag (k, d), tied (d, d), full (k, d, d).

        `round` says that the variances of a component are all the same. Raises numpy.linalg.LinAlgError where
        a covariance is not positive definite.
        """
        # The heaviest component's mean, not the mean of all: one component far out must not cost the others
        # their digits.
        origin = means[int(log_weights.argmax())].copy()
        if kind == "diag":
            log_det = np.log(covariances).sum(axis=1)
            whiten = 1.0 / np.sqrt(covariances)
        else:
            root = np.linalg.cholesky(covariances)
            log_det = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
            whiten = np.tril(np.linalg.inv(root))
        peak = log_weights - 0.5 * (origin.size * LOG_2PI + log_det)
        if student is not None:
            peak += student.height(origin.size)
        return cls(kind, origin, means - origin, whiten, np.exp(log_weights), peak, round, student)

    def distance(self, drop: Array) -> Array:
        """The squared distance from a component's mean at which its log density has fallen by so much."""
        return 2.0 * drop if self.student is None else self.student.distance(drop, self.d)

    @cached_property
    def packed(self) -> dict[str, Any]:
        """What an implementation of the kernels made of it, by the implementation's name."""
        return {}

    @cached_property
    def precision(self) -> Array:
        """Inverse covariances, symmetric to the last bit: diag (k, d), tied (d, d), full (k, d, d)."""
        if self.kind == "diag":
            return np.square(self.whiten)
        matrices: Array = np.matmul(np.swapaxes(self.whiten, -1, -2), self.whiten)
        return matrices

    @cached_property
    def theta(self) -> Array:
        """(k, f), a row for each component over the f features."""
        m, precision = self.means, self.precision
        if self.kind == "diag":
            linear, quadratic = precision * m, -0.5 * precision
        elif self.kind == "tied":
            linear, quadratic = m @ precision, np.zeros((len(m), 0))
        else:
            linear = np.matmul(precision, m[:, :, None])[:, :, 0]
            quadratic = pack(-precision, halve=True)
        constant = self.peak - 0.5 * (linear * m).sum(axis=1)
        return np.ascontiguousarray(np.concatenate([constant[:, None], linear, quadratic], axis=1))

    @cached_property
    def heights(self) -> Array:
        """Log density (k, d) of each feature at the component's own mean, where kind is `diag`."""
        heights: Array = np.log(self.whiten) - 0.5 * LOG_2PI
        return heights

    @cached_property
    def theta_of_holes(self) -> Array:
        """(k, 1 + 3d) over the features (1, y, y^2, observed) of rows with missing values, where kind is
        `diag`: y is 0 where it is missing, and the feature's constant is left out with it."""
        d = self.d
        constants = self.heights - 0.5 * self.precision * np.square(self.means)
        return np.column_stack([np.log(self.weights), self.theta[:, 1 : 1 + 2 * d], constants])


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
