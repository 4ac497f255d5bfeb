"""Coordinates: there and back, steady under offsets, and honest about what was never seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture import Basis


@given(offset=st.floats(-1e12, 1e12), scale=st.floats(1e-3, 1e9), seed=st.integers(0, 99))
def test_there_and_back(offset: float, scale: float, seed: int) -> None:
    x = offset + scale * np.random.default_rng(seed).normal(size=(20, 2))
    basis = Basis.of(x)
    np.testing.assert_allclose(basis.backward(basis.forward(x)), x, rtol=1e-12, atol=1e-12 * scale)


def test_mean_and_deviation_at_a_large_offset() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.19, (10_000, 1))
    basis = Basis.of(1.7e9 + noise)
    assert basis.scale[0] == pytest.approx((1.7e9 + noise).std(), rel=1e-6)
    assert basis.origin[0] - 1.7e9 == pytest.approx(noise.mean(), abs=0.19 / 256)


@pytest.mark.parametrize("isotropic", [False, True])
def test_rows_far_from_0_are_the_same_in_their_basis_to_the_last_bit(isotropic: bool) -> None:
    for seed in range(20):
        x = np.random.default_rng(seed).normal(0.0, [0.01, 1.0, 300.0, 0.0], (500, 4))
        x = np.round(x * 2.0**20) / 2.0**20
        near, far = Basis.of(x, isotropic=isotropic), Basis.of(x + 1e8, isotropic=isotropic)
        np.testing.assert_array_equal(near.scale, far.scale)
        np.testing.assert_array_equal(near.forward(x), far.forward(x + 1e8))
        # A feature without spread is at its origin.
        assert not near.forward(x)[:, 3].any()


def test_weights_and_holes() -> None:
    x = np.array([[1.0, np.nan], [3.0, 5.0], [np.nan, 7.0]])
    basis = Basis.of(x, np.array([3.0, 1.0, 1.0]))
    np.testing.assert_allclose(basis.origin, [1.5, 6.0])
    np.testing.assert_allclose(basis.scale, [np.sqrt(0.75), 1.0])


def test_a_constant_or_unseen_feature_has_scale_one_and_the_unseen_no_origin() -> None:
    basis = Basis.of(np.array([[1e12, np.nan], [1e12, np.nan]]))
    np.testing.assert_array_equal(basis.scale, [1.0, 1.0])
    assert basis.origin[0] == 1e12
    assert np.isnan(basis.origin[1])
    assert np.isnan(basis.forward(np.ones((1, 2)))[0, 1])


def test_isotropic_has_one_scale_and_keeps_it_as_it_grows() -> None:
    basis = Basis.of(np.random.default_rng(0).normal(0.0, [1.0, 7.0], (5000, 2)), isotropic=True)
    np.testing.assert_allclose(basis.scale, 5.0, rtol=0.05)
    assert basis.scale[0] == basis.scale[1]
    assert basis.grown(3).scale[2] == basis.scale[0]
    assert not basis.same(basis.grown(3))
    assert basis.same(Basis(basis.origin.copy(), basis.scale.copy()))
