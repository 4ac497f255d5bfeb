"""E-step and moments on rows with holes, against the textbook formulas one row at a time."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from stream_mix.mixture import FAMILIES, MAXIMUM_LIKELIHOOD, estimate
from stream_mix.mixture.em import batch_moments, e_step, patterns, sweep

from . import naive
from .streams import ALL_FAMILIES, fitted, holes, oval

IMPUTING = [name for name in ALL_FAMILIES if FAMILIES[name].scatter != "diag"]


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_densities_with_holes_are_marginals(family: str) -> None:
    x = holes(oval(40), 0.4)
    basis, parameters = fitted(family, x, 3)
    z = basis.forward(x)
    step = e_step(parameters, z)
    for i, row in enumerate(z):
        p, total = naive.responsibilities(parameters, row)
        np.testing.assert_allclose(step.p[i], p, atol=1e-10)
        assert step.log_density[i] == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize(
    ("family", "share"), [(name, 0.0) for name in ALL_FAMILIES] + [(name, 0.35) for name in IMPUTING]
)
@pytest.mark.parametrize("hard", [False, True])
def test_moments_hold_conditional_means_and_covariances(family: str, share: float, hard: bool) -> None:
    x = holes(oval(60, seed=2), share, seed=1) if share else oval(60, seed=2)
    basis, parameters = fitted(family, x, 3)
    z, w = basis.forward(x), np.random.default_rng(0).uniform(0.5, 2.0, len(x))
    ours, log_density = batch_moments(parameters, z, w, basis, "", np.ones((3, 3)), hard)
    twin = naive.moments(parameters, z, w, basis, hard)
    np.testing.assert_allclose(ours.mass, twin["mass"], rtol=1e-9)
    np.testing.assert_allclose(ours.mean[ours.mass > 0], twin["mean"][ours.mass > 0], rtol=1e-8, atol=1e-9)
    full = twin["scatter"]
    shapes = {"diag": np.einsum("kii->ki", full), "full": full, "tied": full.sum(axis=0)}
    np.testing.assert_allclose(ours.scatter, shapes[ours.kind], rtol=1e-7, atol=1e-8)
    assert log_density == pytest.approx([naive.responsibilities(parameters, row)[1] for row in z], abs=1e-9)


def test_a_diagonal_family_averages_each_feature_over_the_rows_that_have_it() -> None:
    x = holes(oval(80), 0.3)
    basis, parameters = fitted("diag", x, 2)
    z = basis.forward(x)
    ours, _ = batch_moments(parameters, z, None, basis, "", np.ones((2, 3)))
    r = e_step(parameters, z).p
    for k in range(2):
        for j in range(3):
            have = ~np.isnan(z[:, j])
            seen = r[have, k].sum()
            mean = r[have, k] @ z[have, j] / seen
            assert ours.seen[k, j] == pytest.approx(seen)
            assert ours.mean[k, j] == pytest.approx(mean)
            assert ours.scatter[k, j] == pytest.approx(r[have, k] @ (z[have, j] - mean) ** 2)


@pytest.mark.parametrize("family", IMPUTING)
def test_em_with_holes_climbs_and_finds_the_covariance(family: str) -> None:
    x = oval(4000, seed=5)
    x[np.random.default_rng(1).random(len(x)) < 0.5, 0] = np.nan
    basis, parameters = fitted(family, x, 1, MAXIMUM_LIKELIHOOD)
    climbed = []
    for _ in range(40):
        moments, total = sweep(parameters, x, None, basis, np.ones((1, 3)), hard=False)
        climbed.append(total / len(x))
        parameters = estimate(parameters.family, moments, MAXIMUM_LIKELIHOOD)
    assert (np.diff(climbed) > -1e-10).all()
    whole = np.cov(oval(200_000, seed=9).T) / np.outer(basis.scale, basis.scale)
    np.testing.assert_allclose(naive.covariance_matrices(parameters)[0], whole, atol=0.12)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_row_with_nothing_observed_has_the_weights(family: str) -> None:
    x = oval(50)
    _, parameters = fitted(family, x, 3)
    step = e_step(parameters, np.full((1, 3), np.nan))
    np.testing.assert_allclose(step.p[0], parameters.weights, atol=1e-12)
    assert step.log_density[0] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("family", IMPUTING)
def test_what_was_never_seen_is_not_learned_from_itself(family: str) -> None:
    x = oval(60)
    basis, parameters = fitted(family, x, 2)
    z = basis.forward(x)
    z[:, 1] = np.nan
    known = np.ones((2, 3))
    known[:, 1] = 0.0
    ours, _ = batch_moments(parameters, z, None, basis, "", known)
    np.testing.assert_array_equal(ours.seen[:, 1], 0.0)
    np.testing.assert_allclose(ours.scatter[..., 1, :], 0.0, atol=1e-12)


def test_sweep_in_blocks_is_one_batch() -> None:
    x = np.tile(oval(2000), (20, 1))
    for family in ALL_FAMILIES:
        basis, parameters = fitted(family, x[:500], 3)
        swept, total = sweep(parameters, x, None, basis, np.ones((3, 3)), hard=False)
        whole, density = batch_moments(parameters, basis.forward(x), None, basis, "", np.ones((3, 3)))
        assert naive.same_moments(swept, whole, 1e-10)
        assert total == pytest.approx(density.sum(), rel=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
def test_patterns_group_rows_by_what_they_have(order: Literal["C", "F"]) -> None:
    z = np.array(holes(np.ones((30, 11)), 0.5), order=order)
    seen = np.concatenate([rows for _, rows in patterns(z)])
    assert sorted(seen) == list(range(30))
    for observed, rows in patterns(z):
        assert (~np.isnan(z[rows]) == observed).all()
