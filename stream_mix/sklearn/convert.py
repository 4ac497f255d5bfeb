"""To and from scikit-learn's own Gaussian mixture."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.utils.validation import check_is_fitted

from ..mixture import FAMILIES, MAXIMUM_LIKELIHOOD, Parameters, parameters
from ..mixture.arrays import Array
from ..mixture.batch import basis_of, from_parameters, in_basis
from . import inputs

E = TypeVar("E", bound=Any)
_REG_COVAR = 1e-6


def of_model(estimator: Any) -> Parameters:
    """The estimator's parameters in the data's units. Raises NotFittedError before any learning."""
    check_is_fitted(estimator)
    return parameters(estimator.model_)


def precisions_cholesky(covariance_type: str, covariances: Array) -> Array:
    """P with covariance^-1 = P P' and P upper triangular, in the shape of the covariances."""
    if covariance_type in ("diag", "spherical"):
        return 1.0 / np.sqrt(covariances)
    upper: Array = np.swapaxes(np.linalg.inv(np.linalg.cholesky(covariances)), -1, -2)
    return np.triu(upper)


def precisions(covariance_type: str, roots: Array) -> Array:
    """P P' of the above."""
    if covariance_type in ("diag", "spherical"):
        return np.square(roots)
    product: Array = roots @ np.swapaxes(roots, -1, -2)
    return product


def from_sklearn(kind: type[E], fitted: SklearnMixture, rows: float, params: dict[str, Any]) -> E:
    """See `GaussianMixture.from_sklearn`."""
    check_is_fitted(fitted)
    if not 0.0 < rows < float("inf"):
        raise ValueError(f"rows is {rows!r}, expected a finite number > 0")
    fixed = {"n_components", "covariance_type", "prior", "reg_covar"} & params.keys()
    if fixed:
        raise ValueError(f"{', '.join(sorted(fixed))}: taken from the fitted mixture, cannot be given")
    found = _parameters(fitted)
    of_theirs = {"tol": fitted.tol, "max_iter": max(1, fitted.max_iter), "random_state": fitted.random_state}
    estimator: E = kind(
        **{**of_theirs, **params},
        n_components=len(found.weights),
        covariance_type=fitted.covariance_type,
        reg_covar=min(_REG_COVAR, 0.5 * _least_eigenvalue(found)),
        prior=MAXIMUM_LIKELIHOOD,
    )
    spec = estimator._spec(inputs.seed(estimator.random_state))
    estimator.model_ = from_parameters(found, spec, rows)
    for name in ("feature_names_in_", "n_iter_", "converged_", "lower_bound_", "lower_bounds_"):
        if hasattr(fitted, name):
            setattr(estimator, name, getattr(fitted, name))
    estimator.n_features_in_ = found.means.shape[1]
    return estimator


def to_sklearn(estimator: Any) -> SklearnMixture:
    """See `GaussianMixture.to_sklearn`."""
    found = of_model(estimator)
    if found.family.student is not None:
        raise ValueError(
            f"to_sklearn: degrees_of_freedom is {estimator.degrees_of_freedom}, expected None:"
            " scikit-learn has normal components only"
        )
    theirs = SklearnMixture(
        n_components=estimator.model_.k,
        covariance_type=found.family.name,
        tol=estimator.tol,
        max_iter=estimator.max_iter,
        random_state=estimator.random_state,
    )
    theirs.weights_, theirs.means_, theirs.covariances_ = found.weights, found.means, found.covariances
    theirs.precisions_cholesky_ = precisions_cholesky(found.family.name, found.covariances)
    theirs.precisions_ = precisions(found.family.name, theirs.precisions_cholesky_)
    # A model that only streamed has no sweeps to tell of; scikit-learn's attributes are there all the same.
    theirs.converged_ = getattr(estimator, "converged_", False)
    theirs.n_iter_ = getattr(estimator, "n_iter_", 0)
    theirs.lower_bound_ = getattr(estimator, "lower_bound_", -np.inf)
    theirs.lower_bounds_ = getattr(estimator, "lower_bounds_", [])
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            setattr(theirs, name, getattr(estimator, name))
    return theirs


def _parameters(fitted: SklearnMixture) -> Parameters:
    """scikit-learn's parameters as ours: float64, matrices symmetric to the last bit."""
    covariances = np.asarray(fitted.covariances_, dtype=np.float64)
    if fitted.covariance_type in ("full", "tied"):
        covariances = 0.5 * (covariances + np.swapaxes(covariances, -1, -2))
    weights = np.asarray(fitted.weights_, dtype=np.float64)
    means = np.asarray(fitted.means_, dtype=np.float64)
    return Parameters(FAMILIES[fitted.covariance_type], weights, means, covariances)


def _least_eigenvalue(found: Parameters) -> float:
    """Of all covariances, in units of the mixture's own variances."""
    own = in_basis(found, basis_of(found))
    values = own.dense if own.family.scatter == "diag" else np.linalg.eigvalsh(own.dense)
    return max(0.0, float(values.min()))
