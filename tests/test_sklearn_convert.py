"""Agreement with scikit-learn's own mixture, and the way to it and back."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as TheirMixture

from stream_mix.mixture import MAXIMUM_LIKELIHOOD, state_hash
from stream_mix.sklearn import GaussianMixture

KINDS = ("full", "tied", "diag", "spherical")


def data(seed: int = 0, n: int = 400, d: int = 3) -> NDArray[np.float64]:
    """Overlapping, correlated clusters with features in very different units.

    Their offsets are small: scikit-learn's diag and spherical densities lose digits by (mean / deviation)^2.
    """
    rng = np.random.default_rng(seed)
    x, _ = make_blobs(n, centers=3, n_features=d, cluster_std=2.0, random_state=seed)
    return (x @ rng.normal(size=(d, d))) * np.logspace(-2, 2, d)


def theirs(kind: str, x: NDArray[np.float64], **params: Any) -> TheirMixture:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return TheirMixture(3, covariance_type=kind, random_state=0, **params).fit(x)


@pytest.mark.parametrize("kind", KINDS)
def test_there_agrees(kind: str) -> None:
    x = data()
    fitted = theirs(kind, x)
    ours = GaussianMixture.from_sklearn(fitted)
    assert ours.predict_proba(x) == pytest.approx(fitted.predict_proba(x), abs=1e-9)
    assert ours.score_samples(x) == pytest.approx(fitted.score_samples(x), abs=1e-9)
    assert np.array_equal(ours.predict(x), fitted.predict(x))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name) == pytest.approx(getattr(fitted, name), rel=1e-7, abs=1e-10), name
    assert ours.n_features_in_ == 3
    for name in ("n_iter_", "converged_", "lower_bound_"):
        assert getattr(ours, name) == getattr(fitted, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streamed", [False, True])
def test_back_agrees(kind: str, streamed: bool) -> None:
    x = data()
    ours = GaussianMixture(3, covariance_type=kind, random_state=0)
    ours = ours.partial_fit(x) if streamed else ours.fit(x)
    back = ours.to_sklearn()
    assert back.predict_proba(x) == pytest.approx(ours.predict_proba(x), abs=1e-9)
    assert back.score_samples(x) == pytest.approx(ours.score_samples(x), abs=1e-9)
    assert ours.bic(x) == pytest.approx(back.bic(x), rel=1e-12)
    assert ours.aic(x) == pytest.approx(back.aic(x), rel=1e-12)
    assert ours.score(x) == pytest.approx(back.score(x), rel=1e-12)
    assert back.sample(5)[0].shape == (5, 3)
    again = GaussianMixture.from_sklearn(back)
    assert again.predict_proba(x) == pytest.approx(ours.predict_proba(x), abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10_000), rows=st.floats(1.0, 1e9))
def test_the_way_there_and_back_changes_nothing(kind: str, seed: int, rows: float) -> None:
    x = data(seed, n=60)
    fitted = theirs(kind, x, max_iter=3, init_params="k-means++")
    back = GaussianMixture.from_sklearn(fitted, rows=rows).to_sklearn()
    assert back.predict_proba(x) == pytest.approx(fitted.predict_proba(x), abs=1e-9)


def test_nearly_singular_covariances_survive() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 1)) @ np.ones((1, 2)) + 1e-5 * rng.normal(size=(300, 2))
    fitted = TheirMixture(1, reg_covar=0.0).fit(x)
    ours = GaussianMixture.from_sklearn(fitted)
    assert 0 < ours.reg_covar < 1e-9
    # The matrix has a condition number of 4e10; more digits than these are in neither.
    assert ours.score_samples(x) == pytest.approx(fitted.score_samples(x), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_mixture_learns_on(kind: str) -> None:
    x = data()
    ours = GaussianMixture.from_sklearn(theirs(kind, x), rows=400, half_life=200)
    assert ours.half_life == 200
    before = ours.score(x + 40.0)
    ours.partial_fit(x + 40.0)
    assert ours.model_.moments.mass.sum() < 400
    assert ours.score(x + 40.0) > before
    assert state_hash(clone(ours).fit(x).model_) == state_hash(clone(ours).fit(x).model_)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mass_of_an_imported_mixture_is_what_rows_says(kind: str) -> None:
    x = data()
    fitted = theirs(kind, x)
    light, heavy = (GaussianMixture.from_sklearn(fitted, rows=rows) for rows in (10, 1e6))
    moved = x + x.std(axis=0)
    for ours, least, most in ((light, 0.5, 10.0), (heavy, 0.0, 0.01)):
        ours.partial_fit(moved)
        centre = ours.weights_ @ ours.means_ - fitted.weights_ @ fitted.means_
        assert ((centre >= least * x.std(axis=0)) & (centre <= most * x.std(axis=0))).all()


def test_a_component_without_weight_comes_along() -> None:
    x = data()
    fitted = theirs("full", x)
    fitted.weights_ = np.array([0.6, 0.4, 0.0])
    ours = GaussianMixture.from_sklearn(fitted)
    assert ours.means_ == pytest.approx(fitted.means_, rel=1e-9)
    with np.errstate(divide="ignore"):
        assert ours.predict_proba(x) == pytest.approx(fitted.predict_proba(x), abs=1e-9)


def test_float32_mixtures_and_feature_names() -> None:
    pd = pytest.importorskip("pandas")
    x = data().astype(np.float32)
    fitted = theirs("diag", pd.DataFrame(x, columns=list("abc")))
    ours = GaussianMixture.from_sklearn(fitted)
    assert ours.feature_names_in_.tolist() == ["a", "b", "c"]
    assert ours.means_.dtype == np.float64
    assert ours.to_sklearn().feature_names_in_.tolist() == ["a", "b", "c"]


def test_what_cannot_be_converted_is_refused() -> None:
    with pytest.raises(NotFittedError):
        GaussianMixture.from_sklearn(TheirMixture())
    with pytest.raises(NotFittedError):
        GaussianMixture().to_sklearn()
    fitted = theirs("diag", data())
    with pytest.raises(ValueError, match="rows is 0, expected a finite number > 0"):
        GaussianMixture.from_sklearn(fitted, rows=0)
    with pytest.raises(ValueError, match="n_components: taken from the fitted mixture"):
        GaussianMixture.from_sklearn(fitted, n_components=2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_without_prior_ends_where_scikit_learns_does(kind: str) -> None:
    x, _ = make_blobs(900, centers=3, center_box=(-20, 20), random_state=1)
    params: dict[str, Any] = {"covariance_type": kind, "reg_covar": 0.0, "tol": 1e-12, "max_iter": 500}
    ours = GaussianMixture(3, prior=MAXIMUM_LIKELIHOOD, random_state=0, **params).fit(x)
    fitted = TheirMixture(3, random_state=0, **params).fit(x)
    assert ours.lower_bound_ == pytest.approx(fitted.lower_bound_, abs=1e-8)
    order, other = ours.means_[:, 0].argsort(), fitted.means_[:, 0].argsort()
    assert ours.means_[order] == pytest.approx(fitted.means_[other], abs=1e-4)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_type_that_was_found_out_goes_there_and_its_precisions_with_it(streamed: bool) -> None:
    x, _ = make_blobs(3000, centers=3, n_features=2, cluster_std=0.5, random_state=0)
    ours = GaussianMixture(3, covariance_type="auto", random_state=0)
    ours = ours.partial_fit(x) if streamed else ours.fit(x)
    assert ours.covariance_type_ == "spherical"
    assert ours.covariances_.shape == ours.precisions_.shape == (3,)
    there = ours.to_sklearn()
    assert there.covariance_type == "spherical"
    assert there.score_samples(x) == pytest.approx(ours.score_samples(x), abs=1e-9)
    assert there.precisions_ == pytest.approx(1.0 / there.covariances_)
