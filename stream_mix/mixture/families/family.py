"""What a family is, and the M-step that all families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..arrays import Array, Bools
from ..kernels import Natural
from ..kernels.student import Student
from ..moments import Moments
from ..priors import Prior


@dataclass(frozen=True)
class Family:
    """A family of components: a value, not a class to inherit from.

    Attributes:
        name: what users write.
        scatter: shape of the second moments it keeps: `diag`, `tied` or `full`.
        covariances: (moments, prior) -> covariances in the family's own shape.
        dense: (covariances, d) -> the same in the shape of `scatter`, as kernels take them.
        n_covariance_parameters: (k, d) -> free parameters in the covariances.
        isotropic: one scale for all features, so that round clusters stay round.
        equal_weights: components are equally likely beforehand, as in k-means.
        assignment: how rows count while learning unless the user says otherwise, `soft` or `hard`.
        compiled: whether the compiled fold has its M-step too; a family does not need it.
        student: the t distribution that its components have, whose scale matrices the covariances are; None:
            they are normal.
    """

    name: str
    scatter: str
    covariances: Callable[[Moments, Prior], Array]
    dense: Callable[[Array, int], Array]
    n_covariance_parameters: Callable[[int, int], int]
    isotropic: bool = False
    equal_weights: bool = False
    assignment: str = "soft"
    compiled: bool = False
    student: Student | None = None

    def n_parameters(self, k: int, d: int) -> int:
        """Free parameters of k components over d features, for BIC and AIC."""
        return k * d + self.n_covariance_parameters(k, d) + (0 if self.equal_weights else k - 1)


@dataclass(frozen=True, eq=False)
class Parameters:
    """Weights (k,), means (k, d) and covariances of a mixture.

    `covariances` has the family's own shape: kmeans and spherical (k,), diag (k, d), tied (d, d), full (k, d,
    d).
    """

    family: Family
    weights: Array
    means: Array
    covariances: Array

    @cached_property
    def dense(self) -> Array:
        """Covariances in the shape that kernels take."""
        return self.family.dense(self.covariances, self.means.shape[1])

    @cached_property
    def natural(self) -> Natural:
        """The same mixture as kernels take it."""
        return self._natural(self.means, self.dense)

    @property
    def matrices(self) -> Array:
        """The covariances as matrices (k, d, d), whatever the family keeps."""
        k, d = self.means.shape
        if self.family.scatter == "diag":
            return self.dense[:, :, None] * np.eye(d)
        return np.broadcast_to(self.dense, (k, d, d))

    def marginal(self, observed: Bools) -> Natural:
        """The mixture of the observed features (d,) alone: means and covariances lose the rows and columns of
        the others."""
        dense = self.dense[..., observed]
        if self.family.scatter != "diag":
            dense = dense[..., observed, :]
        return self._natural(self.means[:, observed], dense)

    def _natural(self, means: Array, dense: Array) -> Natural:
        # Covariances of shape (k,) are variances, the same for all features.
        round = self.covariances.ndim == 1
        log_weights, student = np.log(self.weights), self.family.student
        return Natural.of(self.family.scatter, log_weights, means, dense, round=round, student=student)


def estimate(family: Family, moments: Moments, prior: Prior) -> Parameters:
    """The M-step: the parameters that maximise the likelihood of the moments under the prior.

    weight_k = (mass_k + a/k) / (total + a). A feature that a component has not seen takes the mean of those
    that have.
    """
    if family.equal_weights:
        weights = np.full(moments.k, 1.0 / moments.k)
    else:
        raw = moments.mass + prior.weight / moments.k
        total = raw.sum()
        # Without a prior a starved component would have weight 0 and log weight -inf; it keeps the smallest
        # positive share instead.
        weights = np.maximum(raw / total, 1e-300) if total > 0 else np.full(moments.k, 1.0 / moments.k)
    means = moments.mean
    if not (moments.seen > 0).all():
        total_seen = moments.seen.sum(axis=0)
        common = (moments.seen * means).sum(axis=0) / np.where(total_seen > 0, total_seen, 1.0)
        means = np.where(moments.seen > 0, means, common)
    return Parameters(family, weights, means, family.covariances(moments, prior))


_ROWS_OF_A_VARIANCE = 2

LEAST = 1e-20
"""The least variance of a stream's component that has no prior: its reciprocal and any row's squared distance
stay finite."""

_THIN = 8.0 * float(np.finfo(np.float64).eps)
"""The least share of its variance, for each feature, that a feature must have to itself beside all others:
with less, rounding decides what a matrix says of its thinnest direction."""

UNIT_ROWS = 0.01
"""Pseudo-rows of unit covariance behind the pooled covariance: it decides only while there is next to no
data."""


def pooled(moments: Moments, unit_rows: float = UNIT_ROWS) -> Array:
    """Covariance within components, pooled over all of them: diag (d,), tied and full (d, d)."""
    shape = moments.shape_of_scatter
    scatter = shape.pooled(moments.scatter)
    seen = np.maximum(moments.seen.sum(axis=0) + unit_rows, 1e-300)
    if scatter.ndim == 1:
        diagonal: Array = (scatter + unit_rows) / seen
        return diagonal
    root = np.sqrt(seen)
    full: Array = (scatter + unit_rows * np.eye(moments.d)) / (root[:, None] * root)
    return full


def variances(moments: Moments, prior: Prior) -> Array:
    """Variances (k, d) of a diagonal scatter: (scatter + c pooled) / (seen + c) + reg_covar, with c
    pseudo-rows."""
    c = prior.pseudo_rows(moments.mass, _ROWS_OF_A_VARIANCE)[:, None]
    return (moments.scatter + c * pooled(moments)) / np.maximum(moments.seen + c, 1e-300) + prior.reg_covar


def round_variances(moments: Moments, prior: Prior) -> Array:
    """One variance a component (k,), over all of its features: (scatter + c d pooled) / (seen + c d) +
    reg_covar, where scatter and seen are summed over features, so that a feature counts as far as it was
    seen."""
    pseudo = moments.d * prior.pseudo_rows(moments.mass, _ROWS_OF_A_VARIANCE)
    rows = np.maximum(moments.seen.sum(axis=1) + pseudo, 1e-300)
    summed = moments.scatter.sum(axis=1) + pseudo * pooled_variance(moments)
    variance: Array = summed / rows + prior.reg_covar
    return variance


def pooled_variance(moments: Moments) -> float:
    """The variance of a diagonal scatter, pooled over components and features."""
    unit = UNIT_ROWS * max(moments.d, 1)
    return float((moments.scatter.sum() + unit) / (moments.seen.sum() + unit))


def shrink_correlations(covariances: Array, rows: Array, strength: float) -> Array:
    """Covariances (k, d, d), estimated from rows (k,) each, with correlations r shrunk to (1 - lambda) r by
    their `shrinkage` lambda."""
    if covariances.shape[-1] == 1 or strength == 0.0:
        return covariances
    diagonal = np.arange(covariances.shape[-1])
    amount = shrinkage(covariances, rows, strength)
    shrunk: Array = covariances * (1.0 - amount)[:, None, None]
    shrunk[:, diagonal, diagonal] = covariances[:, diagonal, diagonal]
    return shrunk


def shrinkage(covariances: Array, rows: Array, strength: float) -> Array:
    """By how much (k,), from 0 to 1, the correlations r of covariances (k, d, d) of two features or more,
    estimated from rows (k,) each, are shrunk.

    lambda = sum Var(r) / sum r^2 over i < j, clipped to 1, with Var(r) = (1 - r^2)^2 / n: the shrinkage that
    minimises the expected squared error (Schäfer & Strimmer 2005, eq. 8). In the variance r itself is damped
    by n / (n + d + 1), since correlations of fewer rows than features look perfect and are not.
    """
    d = covariances.shape[-1]
    if strength == 0.0:
        return np.zeros(len(covariances))
    n = np.maximum(rows, 1e-300)[:, None, None]
    variance = np.diagonal(covariances, axis1=1, axis2=2)
    # A feature without variance is correlated with nothing.
    deviation = np.sqrt(np.where(variance > 0, variance, np.inf))
    # Beside a value of 1e100 sums keep no digits, and correlations could be anything.
    r2 = np.square(np.clip(covariances / (deviation[:, :, None] * deviation[:, None, :]), -1.0, 1.0))
    noise = np.square(1.0 - r2 * np.square(n / (n + d + 1)))
    diagonal = np.arange(d)
    r2[:, diagonal, diagonal] = noise[:, diagonal, diagonal] = 0.0
    signal = r2.sum(axis=(1, 2))
    wanted, most = strength * (noise.sum(axis=(1, 2)) / n[:, 0, 0]), min(strength, 1.0)
    # min(wanted / signal, most), without a quotient that overflows where a component has next to no rows.
    amount: Array = wanted / np.maximum(signal, wanted / most)
    return amount


def grounded(parameters: Parameters) -> Parameters:
    """The same parameters with variances of `LEAST` at least, in units of the basis, and no singular matrix.

    Maximum likelihood has no answer where a component's rows do not spread in all directions; a stream goes
    on all the same.
    """
    covariances = parameters.covariances
    if parameters.family.scatter == "diag":
        mended = np.maximum(covariances, LEAST)
    else:
        matrices = covariances.reshape(-1, *covariances.shape[-2:])
        thick = _each_definite(_thinner(matrices) - LEAST * np.eye(matrices.shape[-1]))
        mended = np.where(thick, matrices, _diagonals(matrices, LEAST)).reshape(covariances.shape)
    return replace(parameters, covariances=mended)


def sound(covariances: Array, floor: float) -> Array:
    """Covariances (k, d, d), symmetric to the last bit, each that is not positive definite replaced by its
    diagonal, floored.

    Beside a value of 1e100 the sums of ordinary rows keep no digits, and what is left need not be a
    covariance. With a floor of 0 nothing is replaced: the caller wants to know instead.
    """
    covariances = 0.5 * (covariances + np.swapaxes(covariances, 1, 2))
    if floor == 0.0 or _positive_definite(thinner := _thinner(covariances)):
        return covariances
    return np.where(_each_definite(thinner), covariances, _diagonals(covariances, floor))


def _thinner(matrices: Array) -> Array:
    """Matrices (k, d, d) that are positive definite if these are for more than rounding."""
    d = matrices.shape[-1]
    thinner: Array = matrices * (1.0 - _THIN * (d + 2) * np.eye(d))
    return thinner


def _each_definite(matrices: Array) -> Bools:
    """Which of the matrices (k, d, d) are positive definite (k, 1, 1)."""
    return np.array([_positive_definite(matrix) for matrix in matrices])[:, None, None]


def _diagonals(matrices: Array, floor: float) -> Array:
    """The diagonals of matrices (k, d, d), floored, as matrices."""
    diagonal = np.nan_to_num(np.diagonal(matrices, axis1=1, axis2=2), nan=floor, posinf=1e200, neginf=floor)
    return np.maximum(diagonal, floor)[:, :, None] * np.eye(matrices.shape[-1])


def _positive_definite(matrices: Array) -> bool:
    """Whether one matrix, or every one of several, is finite and has a Cholesky factor."""
    if not np.isfinite(matrices).all():
        return False
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return True
