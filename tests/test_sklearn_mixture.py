"""The mixture's own methods and attributes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as TheirMixture

from stream_mix.sklearn import GaussianMixture

KINDS = ("full", "tied", "diag", "spherical")


def blobs(n: int = 900, k: int = 3, d: int = 2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x, y = make_blobs(n, centers=k, n_features=d, center_box=(-20, 20), random_state=0)
    return x, y.astype(np.int64)


def test_a_row_of_a_mixture_with_holes_has_the_marginal_density() -> None:
    x, _ = blobs(d=3)
    mixture = GaussianMixture(3, random_state=0).fit(x)
    theirs = mixture.to_sklearn()
    marginal = TheirMixture(3)
    keep = [0, 2]
    marginal.weights_, marginal.means_ = theirs.weights_, theirs.means_[:, keep]
    marginal.covariances_ = theirs.covariances_[:, keep][:, :, keep]
    roots = np.linalg.inv(np.linalg.cholesky(marginal.covariances_))
    marginal.precisions_cholesky_ = np.swapaxes(roots, 1, 2)
    holes = x.copy()
    holes[:, 1] = np.nan
    assert mixture.score_samples(holes) == pytest.approx(marginal.score_samples(x[:, keep]), abs=1e-9)
    assert mixture.predict_proba(holes) == pytest.approx(marginal.predict_proba(x[:, keep]), abs=1e-9)


def test_a_fit_that_was_cut_short_warns() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 sweeps"):
        mixture = GaussianMixture(4, tol=0.0, max_iter=2, random_state=0).fit(x)
    assert not mixture.converged_
    assert mixture.n_iter_ == len(mixture.lower_bounds_) == 2
    assert mixture.lower_bound_ == mixture.lower_bounds_[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_inverses(kind: str) -> None:
    x, _ = blobs(d=3)
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).partial_fit(x)
    theirs = TheirMixture(3, covariance_type=kind, random_state=0).fit(x)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(mixture, name).shape == np.shape(getattr(theirs, name)), name
    assert mixture.weights_.sum() == pytest.approx(1.0)
    if kind in ("full", "tied"):
        identity = mixture.covariances_ @ mixture.precisions_
        assert identity == pytest.approx(np.broadcast_to(np.eye(3), identity.shape), abs=1e-10)
        assert np.array_equal(mixture.precisions_cholesky_, np.triu(mixture.precisions_cholesky_))
    else:
        assert mixture.covariances_ * mixture.precisions_ == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_has_the_moments_of_the_mixture(kind: str) -> None:
    x, _ = blobs(d=2)
    x = x @ np.array([[1.0, 0.7], [0.0, 0.5]])
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    drawn, label = mixture.sample(60_000)
    assert drawn.shape == (60_000, 2)
    assert label.shape == (60_000,)
    assert np.bincount(label) / 60_000 == pytest.approx(mixture.weights_, abs=0.01)
    for k in range(3):
        own = mixture.covariances_ if kind == "tied" else mixture.covariances_[k]
        expected = own if kind in ("full", "tied") else own * np.eye(2)
        assert drawn[label == k].mean(axis=0) == pytest.approx(mixture.means_[k], abs=0.05)
        assert np.cov(drawn[label == k].T) == pytest.approx(expected, abs=0.06 * np.trace(expected))
    assert np.array_equal(drawn, mixture.sample(60_000)[0])
    with pytest.raises(ValueError, match="n_samples is 0"):
        mixture.sample(0)


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_matter(kind: str) -> None:
    x, _ = blobs()
    units = 1e-6 if kind == "spherical" else np.array([1e-6, 1e5])
    near, far = (GaussianMixture(3, covariance_type=kind, random_state=0).fit(x * u) for u in (1.0, units))
    assert far.predict_proba(x * units) == pytest.approx(near.predict_proba(x), abs=1e-9)


def test_outlier_scores() -> None:
    x, _ = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(x)
    scores = mixture.outlier_samples(x)
    assert np.mean(scores > 0.95) == pytest.approx(0.05, abs=0.02)
    assert mixture.outlier_samples([[1000.0, 0.0]])[0] == pytest.approx(1.0)
    # The likeliest point of all is a mean; the others are less likely, but nothing strange.
    assert mixture.outlier_samples(mixture.means_).min() == pytest.approx(0.0, abs=1e-9)
    assert mixture.outlier_samples(mixture.means_).max() < 0.5


def test_noise_is_labelled_minus_one_and_ranked_by_remoteness() -> None:
    rng = np.random.default_rng(4)
    x, _ = blobs()
    noise = rng.random(len(x)) < 0.1
    x[noise] = rng.uniform(-90.0, 90.0, (int(noise.sum()), 2))
    for mixture in (
        GaussianMixture(3, robust=True, random_state=0).fit(x),
        GaussianMixture(3, robust=True, random_state=0).partial_fit(x),
    ):
        label = mixture.predict(x)
        assert set(label.tolist()) == {-1, 0, 1, 2}
        assert noise[label == -1].mean() > 0.9
        assert (label == -1)[noise].mean() > 0.8
        assert mixture.predict_proba(x).sum(axis=1) == pytest.approx(1.0, abs=1e-12)
        remote = mixture.remoteness_samples(x)
        assert remote[noise].min() >= 0.0
        assert np.median(remote[noise]) > 5.0 * np.median(remote[~noise])
    assert GaussianMixture(3, random_state=0).fit(x).predict(x).min() == 0


def test_rows_drawn_from_heavy_tails_have_them_and_scikit_learn_is_not_given_them() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, (4000, 1))
    mixture = GaussianMixture(1, degrees_of_freedom=3.0, random_state=0).fit(x)
    drawn, _ = mixture.sample(4000)
    low, high = np.quantile(x, [0.25, 0.75]), np.quantile(drawn, [0.25, 0.75])
    np.testing.assert_allclose(low, high, atol=0.1)
    assert np.mean(np.abs(drawn) > 6.0) == pytest.approx(np.mean(np.abs(x) > 6.0), abs=0.006)
    assert mixture.covariances_[0, 0, 0] == pytest.approx(1.0, abs=0.1)
    with pytest.raises(ValueError, match=r"to_sklearn: degrees_of_freedom is 3\.0, expected None"):
        mixture.to_sklearn()
