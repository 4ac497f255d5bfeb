"""Batch EM: its steps are scikit-learn's, it only climbs, and order and repetition of rows do not show."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from stream_mix.mixture import (
    FAMILIES,
    MAXIMUM_LIKELIHOOD,
    Parameters,
    Prior,
    Rows,
    Spec,
    learn,
    parameters,
    state_hash,
)
from stream_mix.mixture.batch import basis_of, fit, from_parameters, in_basis, merged

KINDS = ("full", "tied", "diag", "spherical")


def clusters(n: int = 500, d: int = 3, k: int = 3, seed: int = 0) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=4.0, size=(k, d))
    x = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + centres[rng.integers(0, k, n)]
    return np.asarray(x * np.logspace(-1, 2, d))


def spec(kind: str, k: int = 3, prior: Prior = MAXIMUM_LIKELIHOOD) -> Spec:
    return Spec(k, kind, prior=prior)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sweeps", [1, 5])
def test_sweeps_are_scikit_learns(kind: str, sweeps: int) -> None:
    x = clusters()
    rng = np.random.default_rng(1)
    weights, means = np.array([0.5, 0.3, 0.2]), x[rng.choice(len(x), 3)]
    variance = x.var(axis=0)
    covariances = {
        "full": np.tile(np.diag(variance), (3, 1, 1)), "tied": np.diag(variance),
        "diag": np.tile(variance, (3, 1)), "spherical": np.full(3, variance.mean()),
    }[kind]  # fmt: skip
    inverse = np.linalg.inv if kind in ("full", "tied") else np.reciprocal
    theirs = GaussianMixture(
        3, covariance_type=kind, reg_covar=0.0, max_iter=sweeps, tol=0.0,
        weights_init=weights, means_init=means, precisions_init=inverse(covariances),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(x)
    start = Parameters(FAMILIES[kind], weights, means, covariances)
    fitted = fit(Rows.of(x), spec(kind), max_iter=sweeps, tol=0.0, start=start)
    found = parameters(fitted.model)
    assert found.weights == pytest.approx(theirs.weights_, rel=1e-8)
    assert found.means == pytest.approx(theirs.means_, rel=1e-8)
    size = np.abs(theirs.covariances_).max()
    assert found.covariances == pytest.approx(theirs.covariances_, rel=1e-8, abs=1e-10 * size)
    assert fitted.bounds[-1] == pytest.approx(theirs.lower_bound_, abs=1e-9)
    assert len(fitted.bounds) == sweeps


def test_lloyds_algorithm_is_scikit_learns() -> None:
    x = clusters(k=4)
    centres = x[[1, 100, 200, 300]]
    theirs = KMeans(4, init=centres, n_init=1, algorithm="lloyd", tol=0.0).fit(x)
    start = Parameters(FAMILIES["kmeans"], np.full(4, 0.25), centres, np.full(4, x.var(axis=0).mean()))
    fitted = fit(Rows.of(x), spec("kmeans", 4), max_iter=300, tol=0.0, start=start)
    assert parameters(fitted.model).means == pytest.approx(theirs.cluster_centers_, rel=1e-10, abs=1e-10)
    assert fitted.converged


@pytest.mark.parametrize("kind", ["full", "tied", "diag"])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_without_a_prior_the_likelihood_never_falls(kind: str, missing: float) -> None:
    x = clusters(400)
    x[np.random.default_rng(2).random(x.shape) < missing] = np.nan
    fitted = fit(Rows.of(x), spec(kind, 5), max_iter=60, tol=0.0)
    assert np.diff(fitted.bounds).min() > -1e-10


def test_spherical_likelihood_never_falls() -> None:
    fitted = fit(Rows.of(clusters(400)), spec("spherical", 5), max_iter=60, tol=0.0)
    assert np.diff(fitted.bounds).min() > -1e-10


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_order_and_repetition_do_not_show(kind: str) -> None:
    x = clusters(300)
    x[np.random.default_rng(2).random(x.shape) < 0.1] = np.nan
    w = np.random.default_rng(0).integers(1, 4, 300)
    order = np.random.default_rng(1).permutation(300)
    weighted = fit(Rows.of(x, w), Spec(3, kind), max_iter=20, tol=1e-4)
    shuffled = fit(Rows.of(x[order], w[order]), Spec(3, kind), max_iter=20, tol=1e-4)
    repeated = fit(Rows.of(x.repeat(w, axis=0)), Spec(3, kind), max_iter=20, tol=1e-4)
    assert state_hash(weighted.model) == state_hash(shuffled.model)
    assert weighted.bounds == repeated.bounds
    assert np.array_equal(weighted.model.moments.scatter, repeated.model.moments.scatter)
    assert repeated.model.learned == w.sum()


VALUES = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-300, 1.7e9, float("nan")])


@given(arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(1, 3)), elements=VALUES))
def test_merged_rows_are_the_same_rows(x: NDArray[np.float64]) -> None:
    w = np.random.default_rng(len(x)).integers(1, 5, len(x)).astype(float)
    rows, weights = merged(x, w)
    naive: dict[tuple[float | None, ...], float] = {}
    for row, weight in zip(x, w, strict=True):
        key = tuple(None if np.isnan(value) else value + 0.0 for value in row)
        naive[key] = naive.get(key, 0.0) + weight
    keys = [tuple(None if np.isnan(value) else value + 0.0 for value in row) for row in rows]
    found = dict(zip(keys, weights, strict=True))
    assert found == naive
    assert len(rows) == len(naive)
    order = np.random.default_rng(0).permutation(len(x))
    again, weights_again = merged(x[order], w[order])
    assert np.array_equal(rows, again, equal_nan=True)
    assert np.array_equal(weights, weights_again)


def test_clusters_left_empty_are_filled_from_the_furthest_rows() -> None:
    x = np.array([[0.0], [0.1], [0.2], [50.0], [100.0]])
    start = Parameters(FAMILIES["kmeans"], np.full(3, 1 / 3), np.array([[0.1], [900.0], [901.0]]), np.ones(3))
    fitted = fit(Rows.of(x), spec("kmeans", 3), max_iter=20, tol=0.0, start=start)
    assert sorted(parameters(fitted.model).means.ravel().round(9).tolist()) == [0.1, 50.0, 100.0]


def test_the_start_of_many_rows_is_from_a_sample() -> None:
    x = np.concatenate([np.random.default_rng(i).normal(10.0 * i, 1.0, (8000, 1)) for i in range(3)])
    fitted = fit(Rows.of(x), Spec(3, "full"), max_iter=50, tol=1e-6)
    assert sorted(parameters(fitted.model).means.ravel()) == pytest.approx([0.0, 10.0, 20.0], abs=0.1)
    assert fitted.model.moments.mass.sum() == pytest.approx(24_000)


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_a_fitted_model_goes_on_learning(kind: str) -> None:
    x = clusters(600)
    fitted = fit(Rows.of(x[:300]), Spec(3, kind, batch_size=100), max_iter=20, tol=1e-3)
    model, done = learn(fitted.model, Rows.of(x[300:]))
    assert done.batches == 3
    assert model.moments.mass.sum() == pytest.approx(600)
    assert model.moments.rows == model.learned == 600


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_given_parameters_has_them(kind: str) -> None:
    found = parameters(fit(Rows.of(clusters()), Spec(3, kind), max_iter=10, tol=0.0).model)
    prior = Prior(weight=0.0, covariance=0.0, correlation=0.0, reg_covar=1e-6)
    model = from_parameters(found, spec(kind, prior=prior), rows=50.0)
    back = parameters(model)
    assert back.weights == pytest.approx(found.weights, rel=1e-12)
    assert back.means == pytest.approx(found.means, rel=1e-12)
    assert back.covariances == pytest.approx(found.covariances, rel=1e-9)
    assert model.moments.mass.sum() == pytest.approx(50.0)
    own = in_basis(found, basis_of(found))
    assert own.weights @ own.means == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ValueError, match="there are no rows"):
        fit(Rows.none(2), spec("full"), max_iter=1, tol=0.0)
    same = Rows.of(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="covariance of a component is singular; give a larger reg_covar"):
        fit(same, spec("full", 1), max_iter=5, tol=0.0)
