"""The M-step of every family: closed forms, counts of parameters, and the prior's few promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture import FAMILIES, MAXIMUM_LIKELIHOOD, Basis, Moments, Prior, estimate
from stream_mix.mixture.families.family import shrink_correlations

from .streams import ALL_FAMILIES, oval

UNIT = Basis(np.zeros(3), np.ones(3))


def hard_moments(family: str, x: np.ndarray, k: int) -> Moments:
    r = np.eye(k)[np.arange(len(x)) % k]
    return Moments.of_rows(FAMILIES[family].scatter, UNIT, x, r)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_without_a_prior_it_is_maximum_likelihood(family: str) -> None:
    x, k = oval(400), 2
    ours = estimate(FAMILIES[family], hard_moments(family, x, k), MAXIMUM_LIKELIHOOD)
    parts = [x[i::k] for i in range(k)]
    each = np.stack([np.cov(part.T, bias=True) for part in parts])
    pooled = each.mean(axis=0)
    truth = {
        "full": each,
        "tied": pooled,
        "diag": np.diagonal(each, axis1=1, axis2=2),
        "spherical": np.trace(each, axis1=1, axis2=2) / 3,
        "kmeans": np.full(k, np.trace(pooled) / 3),
    }[family]
    # The hundredth of a pseudo-row behind the pooled covariance is all that may be left.
    np.testing.assert_allclose(ours.covariances, truth, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours.means, [part.mean(axis=0) for part in parts])
    np.testing.assert_allclose(ours.weights, 1 / k)


@pytest.mark.parametrize(
    ("family", "count"), [("kmeans", 7), ("spherical", 9), ("diag", 13), ("tied", 13), ("full", 19)]
)
def test_free_parameters(family: str, count: int) -> None:
    assert FAMILIES[family].n_parameters(2, 3) == count


@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(
    masses=st.lists(st.floats(0.0, 1e6), min_size=3, max_size=3),
    seed=st.integers(0, 99),
    flat=st.booleans(),
)
def test_covariances_are_positive_and_weights_sum_to_one_whatever_the_moments(
    family: str, masses: list[float], seed: int, flat: bool
) -> None:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(6, 3))
    if flat:
        z[:, 1] = z[:, 0]
        z[:, 2] = 4.0
    r = np.eye(3)[[0, 0, 1, 1, 2, 2]] * np.array(masses)
    moments = Moments.of_rows(FAMILIES[family].scatter, UNIT, z, r)
    ours = estimate(FAMILIES[family], moments, Prior())
    assert ours.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (ours.weights > 0).all()
    dense = ours.dense
    if FAMILIES[family].scatter == "diag":
        assert (dense > 0).all()
    else:
        np.linalg.cholesky(dense)
        np.testing.assert_array_equal(dense, np.swapaxes(dense, -1, -2))
    assert np.isfinite(ours.natural.theta).all()


def test_a_component_with_few_rows_looks_like_the_others() -> None:
    x = oval(300)
    lonely = Moments.of_rows("diag", UNIT, x, np.eye(3)[np.r_[np.zeros(299, int), 2]])
    ours = estimate(FAMILIES["diag"], lonely, Prior())
    ratio = ours.covariances[2] / ours.covariances[0]
    assert ((ratio > 0.3) & (ratio < 1.1)).all()


def test_correlations_within_the_noise_go_and_plain_ones_stay() -> None:
    rng = np.random.default_rng(0)
    noise = np.cov(rng.normal(size=(80, 40)).T)[None]
    plain = np.array([[[1.0, 0.999], [0.999, 1.0]]])
    off = ~np.eye(40, dtype=bool)
    shrunk = shrink_correlations(noise, np.array([80.0]), 1.0)[0]
    assert np.abs(shrunk[off]).max() < 0.2 * np.abs(noise[0][off]).max()
    assert shrink_correlations(plain, np.array([300.0]), 1.0)[0, 0, 1] == pytest.approx(0.999, abs=1e-4)
    np.testing.assert_array_equal(shrink_correlations(plain, np.array([300.0]), 0.0), plain)


@pytest.mark.parametrize("name", ["weight", "covariance", "correlation", "reg_covar"])
def test_a_senseless_prior_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1.0"):
        Prior(**{name: -1.0})


@pytest.mark.parametrize("family", ["kmeans", "spherical"])
@pytest.mark.parametrize("prior", [Prior(), MAXIMUM_LIKELIHOOD])
def test_a_feature_counts_for_a_round_variance_as_far_as_it_was_seen(family: str, prior: Prior) -> None:
    x = oval(400)
    known = hard_moments(family, x, 2)
    more = replace(known.grown(4), basis=Basis(np.zeros(4), np.ones(4)))
    ours, wider = (estimate(FAMILIES[family], moments, prior).covariances for moments in (known, more))
    np.testing.assert_allclose(wider, ours, rtol=1e-2)
    seen, scatter = known.seen.copy(), known.scatter.copy()
    seen[:, 0], scatter[:, 0] = 0.5 * seen[:, 0], 0.5 * scatter[:, 0]
    halved = estimate(FAMILIES[family], replace(known, seen=seen, scatter=scatter), MAXIMUM_LIKELIHOOD)
    by_hand = scatter.sum(axis=1) / seen.sum(axis=1)
    wanted = by_hand if family == "spherical" else np.full(2, scatter.sum() / seen.sum())
    np.testing.assert_allclose(halved.covariances, wanted, rtol=1e-4)


@pytest.mark.parametrize("family", ["full", "tied"])
def test_a_prior_without_pseudo_rows_shrinks_correlations_of_flat_features_too(family: str) -> None:
    z = np.tile([1.0, 2.0, 3.0], (6, 1))
    ours = estimate(FAMILIES[family], hard_moments(family, z, 3), Prior(covariance=0.0))
    assert np.isfinite(ours.covariances).all()
    np.linalg.cholesky(ours.dense)
