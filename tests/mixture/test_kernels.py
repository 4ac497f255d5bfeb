"""The kernels against one row, one component at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture.kernels import accumulate, posterior, reference
from stream_mix.mixture.kernels.natural import pack, unpack

from . import naive
from .streams import ALL_FAMILIES, blobs, fitted


@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(seed=st.integers(0, 200), n=st.sampled_from([1, 2, 63, 64, 65, 200]), d=st.integers(1, 4))
def test_posterior_equals_its_twin(family: str, seed: int, n: int, d: int) -> None:
    x, _, _ = blobs(n + 20, d=d, seed=seed, spread=3.0)
    basis, parameters = fitted(family, x, 3)
    z = basis.forward(x[:n])
    told = posterior(z, parameters.natural)
    p, label, log_density, distance = told.p, told.label, told.log_density, told.distance
    for row, ours, best, density, squared in zip(z[:30], p, label, log_density, distance, strict=False):
        twin, total = naive.responsibilities(parameters, row)
        np.testing.assert_allclose(ours, twin, rtol=0, atol=1e-10)
        assert density == pytest.approx(total, abs=1e-9)
        delta = row - parameters.means[best]
        sigma = naive.covariance_matrices(parameters)[best]
        assert squared == pytest.approx(delta @ np.linalg.solve(sigma, delta), rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_accumulate_is_the_posterior_summed(family: str, hard: bool, weighted: bool) -> None:
    x, _, _ = blobs(3000, k=4, d=3, seed=1, spread=2.0)
    basis, parameters = fitted(family, x, 4)
    z = basis.forward(x)
    w = np.random.default_rng(0).uniform(0.1, 3.0, len(x)) if weighted else None
    sums = accumulate(z, w, parameters.natural, hard)
    told = posterior(z, parameters.natural)
    p, label, log_density = told.p, told.label, told.log_density
    r = np.eye(4)[label] if hard else p
    r = r if w is None else r * w[:, None]
    y = z - sums.origin
    np.testing.assert_allclose(sums.mass, r.sum(axis=0), rtol=1e-11)
    np.testing.assert_allclose(sums.first, r.T @ y, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.log_density, log_density, rtol=1e-12)
    second = np.einsum("nk,ni,nj->kij", r, y, y)
    shapes = {"diag": np.einsum("kii->ki", second), "full": second, "tied": second.sum(axis=0)}
    np.testing.assert_allclose(sums.second, shapes[parameters.family.scatter], rtol=1e-9, atol=1e-9)


def test_a_row_far_from_everything_still_has_responsibilities() -> None:
    x, _, _ = blobs(100, d=2)
    for family in ALL_FAMILIES:
        basis, parameters = fitted(family, x, 3)
        far = basis.forward(np.array([[1e6, -1e6], [1e60, 1e60], [-1e100, 1e100]]))
        told = posterior(far, parameters.natural)
        p, log_density, distance = told.p, told.log_density, told.distance
        assert np.isfinite(p).all()
        assert np.isfinite(log_density).all()
        assert np.isfinite(distance).all()
        np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-12)


def test_the_first_of_equal_components_gets_a_hard_row() -> None:
    _, parameters = fitted("kmeans", np.array([[0.0], [0.0], [4.0]]), 3)
    sums = accumulate(np.zeros((5, 1)), None, parameters.natural, hard=True)
    assert sums.mass.sum() == 5.0
    assert (np.sort(sums.mass) == [0.0, 0.0, 5.0]).all()


@given(k=st.integers(1, 4), d=st.integers(1, 6), seed=st.integers(0, 99))
def test_triangles_unpack_to_what_was_packed(k: int, d: int, seed: int) -> None:
    half = np.random.default_rng(seed).normal(size=(k, d, d))
    whole = half + np.swapaxes(half, 1, 2)
    np.testing.assert_array_equal(unpack(pack(whole), d), whole)


def test_blocks_cover_all_rows_once_and_avoid_powers_of_two() -> None:
    x, _, _ = blobs(30_000, k=3, d=4)
    _, parameters = fitted("full", x, 3)
    blocks = [(start, features.shape[1]) for start, features in reference._blocks(x, parameters.natural)]
    assert sum(size for _, size in blocks) == len(x)
    assert [rows.start for rows, _ in blocks] == list(np.cumsum([0] + [size for _, size in blocks])[:-1])
    assert blocks[0][1] % 128 == 64
