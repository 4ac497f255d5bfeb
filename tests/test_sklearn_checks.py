"""scikit-learn's own checks of an estimator: every one passes, so no list of expected failures."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from stream_mix.mixture import MAXIMUM_LIKELIHOOD
from stream_mix.sklearn import GaussianMixture, KMeans

ESTIMATORS = [
    GaussianMixture(),
    GaussianMixture(n_components=3, covariance_type="full"),
    GaussianMixture(n_components=3, covariance_type="tied"),
    GaussianMixture(n_components=3, covariance_type="diag"),
    GaussianMixture(n_components=3, covariance_type="spherical"),
    GaussianMixture(n_components=2, prior=MAXIMUM_LIKELIHOOD, reg_covar=1e-3, batch_size=7),
    GaussianMixture(n_components=2, half_life=100),
    KMeans(),
    KMeans(n_clusters=3, window=1000),
]


# scikit-learn skips check_array_api_input unless SCIPY_ARRAY_API is set; these estimators do not claim it.
@parametrize_with_checks(ESTIMATORS, xfail_strict=True)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)
