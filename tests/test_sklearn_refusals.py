"""What the scikit-learn estimators refuse, in one line; and hostile data that they take."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as TheirMixture

from stream_mix.sklearn import GaussianMixture, KMeans

KINDS = ("full", "tied", "diag", "spherical")
BOTH = [
    pytest.param(GaussianMixture(3, random_state=0), id="mixture"),
    pytest.param(KMeans(3, random_state=0), id="kmeans"),
]


def blobs(n: int = 900, k: int = 3, d: int = 2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x, y = make_blobs(n, centers=k, n_features=d, center_box=(-20, 20), random_state=0)
    return x, y.astype(np.int64)


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -1.0, 1.0], "row 1 has -1.0"),
        ([0.0, 0.0, 0.0], "at least one non-zero"),
        ([1.0, 1.0], r"shape \(2,\), expected \(3,\)"),
        ([1.0, np.nan, 1.0], "NaN"),
    ],
)
def test_bad_weights_are_refused(estimator: Any, weight: Any, message: str) -> None:
    x = [[0.0], [1.0], [2.0]]
    for learn in (clone(estimator).fit, clone(estimator).partial_fit):
        with pytest.raises(ValueError, match=message):
            learn(x, sample_weight=weight)


@pytest.mark.parametrize("estimator", BOTH)
def test_infinite_values_are_refused(estimator: Any) -> None:
    x, _ = blobs(30)
    fitted = clone(estimator).fit(x)
    x[3, 1] = np.inf
    for method in (clone(estimator).fit, clone(estimator).partial_fit, fitted.predict):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(x)


@pytest.mark.parametrize("estimator", BOTH)
def test_attributes_are_absent_before_learning(estimator: Any) -> None:
    names = ["model_", "means_", "weights_", "covariances_", "precisions_", "precisions_cholesky_"]
    for name in [*names, "cluster_centers_", "inertia_", "labels_"]:
        assert not hasattr(clone(estimator), name)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(estimator).predict([[0.0, 0.0]])


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 0}, "is 0, expected an integer >= 1"),
        ({"n": 2.5}, "is 2.5, expected an integer >= 1"),
        ({"max_iter": 0}, "max_iter is 0, expected an integer >= 1"),
        ({"tol": -1.0}, "tol is -1.0, expected a finite number >= 0"),
        ({"batch_size": True}, "batch_size is True, expected an integer >= 1"),
        ({"half_life": -5}, "half_life is -5, expected a number of rows > 0"),
        ({"window": 1.5}, "window is 1.5, expected an integer of rows >= 1"),
        ({"half_life": 5, "window": 7}, "half_life=5 and window=7 are given, expected at most one memory"),
        ({"window": 7, "averaged": True}, "window=7 and averaged=True are given, expected at most one"),
        ({"step_exponent": "0.7"}, "step_exponent is '0.7', expected a number > 0.5 and <= 1"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(estimator: Any, params: dict[str, Any], message: str) -> None:
    name = "n_clusters" if isinstance(estimator, KMeans) else "n_components"
    params = {name if key == "n" else key: value for key, value in params.items()}
    with pytest.raises(ValueError, match=message) as error:
        clone(estimator).set_params(**params).fit([[0.0], [1.0], [2.0]])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"covariance_type": "round"}, ValueError, "covariance_type is 'round', expected one of 'full'"),
        ({"reg_covar": -1.0}, ValueError, "reg_covar is -1.0"),
        ({"prior": 3}, TypeError, "prior is 3, expected a stream_mix.mixture.Prior"),
    ],
)
def test_bad_parameters_of_a_mixture(params: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GaussianMixture(**params).fit([[0.0], [1.0]])


def test_what_may_change_between_calls_and_what_may_not() -> None:
    x, _ = blobs(600)
    mixture = GaussianMixture(3, random_state=0).partial_fit(x)
    mixture.set_params(half_life=100, batch_size=50).partial_fit(x)
    assert mixture.model_.moments.mass.sum() < 200
    with pytest.raises(ValueError, match="n_components was 3 and is now 4"):
        mixture.set_params(n_components=4).partial_fit(x)
    assert mixture.fit(x).means_.shape == (4, 2)


def test_too_few_rows_are_refused_in_scikit_learns_words() -> None:
    with pytest.raises(ValueError, match="but got n_components = 3, n_samples = 2"):
        GaussianMixture(3).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match=r"n_samples=2 should be >= n_clusters=3\."):
        KMeans(3).fit([[0.0], [1.0]])


def test_parameter_names_and_defaults_are_scikit_learns_where_it_has_them() -> None:
    for ours, theirs in ((GaussianMixture, TheirMixture), (KMeans, TheirKMeans)):
        known = inspect.signature(theirs).parameters
        for name, parameter in inspect.signature(ours).parameters.items():
            if name in known:
                assert parameter.default == known[name].default, name


HOSTILE: dict[str, NDArray[np.float64]] = {
    "constant": np.ones((20, 3)),
    "duplicates": np.repeat([[0.0, 1.0], [2.0, 3.0], [9.0, 9.0]], 20, axis=0),
    "more features than rows": np.random.default_rng(0).normal(size=(6, 40)),
    "huge": np.random.default_rng(0).normal(size=(50, 2)) * 1e90,
    "tiny": np.random.default_rng(0).normal(size=(50, 2)) * 1e-90,
    "units far apart": np.random.default_rng(0).normal(size=(50, 3)) * [1e-9, 1.0, 1e9],
    "one far away": np.append(np.random.default_rng(0).normal(size=(50, 2)), [[1e12, 0.0]], axis=0),
    "a feature never seen": np.random.default_rng(0).normal(size=(50, 2)) * [1.0, np.nan],
    "an empty row": np.append(np.random.default_rng(0).normal(size=(50, 2)), np.full((1, 2), np.nan), axis=0),
    "nothing at all": np.full((10, 2), np.nan),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_mixture_of_hostile_data_stays_sound(name: str, kind: str, method: str) -> None:
    x = HOSTILE[name]
    mixture = getattr(GaussianMixture(3, covariance_type=kind, random_state=0), method)(x).partial_fit(x)
    assert mixture.predict_proba(x).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
    assert np.isfinite(mixture.score_samples(x)).all()
    assert np.isfinite(mixture.sample(10)[0]).all()
    assert np.isfinite(mixture.bic(x))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_k_means_of_hostile_data_stays_sound(name: str, method: str) -> None:
    x = HOSTILE[name]
    kmeans = getattr(KMeans(3, random_state=0), method)(x).partial_fit(x)
    assert np.isfinite(kmeans.transform(x)).all()
    assert np.isfinite(kmeans.cluster_centers_).all()
    assert np.isfinite(kmeans.inertia_)


def test_a_half_life_in_event_time_needs_event_times() -> None:
    with pytest.raises(ValueError, match="time_half_life needs event times"):
        GaussianMixture(time_half_life=60.0).partial_fit([[0.0], [1.0]])
