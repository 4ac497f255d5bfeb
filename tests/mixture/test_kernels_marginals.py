"""Rows with holes under full and tied components: one compiled call against the way pattern by pattern."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import FAMILIES, Basis, Moments, Parameters, em
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.em import batch_moments, e_step
from stream_mix.mixture.kernels import Filled, Kernels, Marginals, available, named, threads
from stream_mix.mixture.outliers import outlier

from . import naive
from .lively import reference
from .streams import fitted, holes, oval

COMPILED = available()[:-1]
every_compiled = pytest.mark.parametrize("kernels", [named(name) for name in COMPILED], ids=COMPILED)
imputing = pytest.mark.parametrize("family", ["full", "tied"])
assigned = pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
NAMES = ("mass", "seen", "mean", "scatter")


def mixture(family: str, k: int, d: int, seed: int = 0, spread: float = 1.0) -> Parameters:
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(k, d, d + 1))
    covariances = roots @ np.swapaxes(roots, 1, 2) + 0.1 * np.eye(d)
    weights = rng.dirichlet(np.full(k, 2.0))
    means = spread * rng.normal(size=(k, d))
    return Parameters(FAMILIES[family], weights, means, covariances[0] if family == "tied" else covariances)


def rows_of(parameters: Parameters, n: int, seed: int = 0) -> Array:
    """Complete rows (n, d) about the means of a mixture."""
    rng = np.random.default_rng(seed)
    k, d = parameters.means.shape
    return parameters.means[rng.integers(0, k, n)] + rng.normal(size=(n, d)) @ rng.normal(size=(d, d))


def compiled(kernels: Kernels, parameters: Parameters) -> Marginals:
    found = kernels.marginals(
        parameters.family.scatter, parameters.weights, parameters.means, parameters.dense
    )
    assert found is not None
    return found


def basis_of(d: int) -> Basis:
    return Basis(np.zeros(d), np.ones(d))


@contextmanager
def by_pattern(kernels: Kernels) -> Iterator[None]:
    """The way pattern by pattern, through the kernels' own pass: there, too, shares below 2^-60 are none.

    Where features are known in part, a share enters the scatter by its root, and that of 2^-60 shows.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(em, "accumulate", kernels.accumulate)
        patch.setattr(em, "posterior", kernels.posterior)
        patch.setattr(em, "marginals", named("reference").marginals)
        yield


def twin(
    parameters: Parameters, z: Array, w: Array | None, known: Array | None, hard: bool
) -> tuple[Moments, Array]:
    """The same in NumPy."""
    with reference():
        return batch_moments(parameters, z, w, basis_of(z.shape[1]), "", known, hard)


def assert_moments(ours: Filled | None, theirs: Moments, log_density: Array, tol: float = 1e-10) -> None:
    assert ours is not None
    # The mean of next to no share: the reference has shares below 2^-60, too.
    some = theirs.seen > 1e-4
    for name in NAMES:
        found, expected = getattr(ours, name), getattr(theirs, name)
        if name == "mean":
            found, expected = found[some], expected[some]
        atol = tol * max(1.0, float(np.abs(expected).max(initial=0.0)))
        np.testing.assert_allclose(found, expected, rtol=tol, atol=atol, err_msg=name)
    np.testing.assert_allclose(ours.log_density, log_density, rtol=tol, atol=tol)
    np.testing.assert_array_equal(ours.scatter, np.swapaxes(ours.scatter, -1, -2))


@every_compiled
@imputing
@assigned
@given(data=st.data())
@settings(max_examples=20)
def test_one_visit_is_the_way_pattern_by_pattern(
    kernels: Kernels, family: str, hard: bool, data: Any
) -> None:
    d, k, n = (data.draw(st.integers(1, most)) for most in (9, 11, 60))
    seed, share = data.draw(st.integers(0, 10_000)), data.draw(st.sampled_from([0.1, 0.5, 0.9]))
    parameters = mixture(family, k, d, seed, spread=data.draw(st.sampled_from([0.5, 2.0, 8.0])))
    rng = np.random.default_rng(seed)
    z = np.where(rng.random((n, d)) < share, np.nan, rows_of(parameters, n, seed))
    if data.draw(st.booleans()):
        z[:, rng.integers(d)] = np.nan
    w = rng.uniform(0.1, 3.0, n) if data.draw(st.booleans()) else None
    whole: Array = np.ones((k, d))
    known = data.draw(
        st.sampled_from([None, whole, rng.random((k, d)), np.where(rng.random((k, d)) < 0.5, 0.0, whole)])
    )
    found = compiled(kernels, parameters)
    with by_pattern(kernels):
        moments, log_density = batch_moments(parameters, z, w, basis_of(d), "", known, hard)
    assert_moments(found.accumulate(z, w, known, hard), moments, log_density)
    with reference():
        expected, strange = e_step(parameters, z), outlier(parameters, z, log_density)
    told = found.posterior(z)
    assert told is not None
    np.testing.assert_allclose(told.p, expected.p, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(told.label, expected.label)
    np.testing.assert_allclose(told.log_density, expected.log_density, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(told.distance, expected.distance, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.outlier(z, log_density), strange, rtol=0, atol=1e-11)


@every_compiled
@imputing
@assigned
def test_one_visit_is_one_row_and_component_after_the_other(
    kernels: Kernels, family: str, hard: bool
) -> None:
    x = holes(oval(60, seed=2), 0.35, seed=1)
    basis, parameters = fitted(family, x, 3)
    z, w = basis.forward(x), np.random.default_rng(0).uniform(0.5, 2.0, len(x))
    expected = naive.moments(parameters, z, w, basis, hard)
    found = compiled(kernels, parameters).accumulate(z, w, None, hard)
    assert found is not None
    scatter = expected["scatter"] if family == "full" else expected["scatter"].sum(axis=0)
    np.testing.assert_allclose(found.mass, expected["mass"], rtol=1e-10)
    some = found.mass > 0
    np.testing.assert_allclose(found.mean[some], expected["mean"][some], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found.scatter, scatter, rtol=1e-9, atol=1e-9)


@every_compiled
@imputing
@pytest.mark.parametrize("known", [None, 0.5], ids=["known", "half known"])
@pytest.mark.parametrize(("d", "k"), [(3, 2), (13, 5), (17, 9)])
def test_patterns_of_any_number_of_rows(
    kernels: Kernels, family: str, known: float | None, d: int, k: int
) -> None:
    parameters = mixture(family, k, d)
    z = rows_of(parameters, 1200)
    rng = np.random.default_rng(3)
    gone = rng.random((8, d)) < 0.3
    gone[0], gone[1], gone[2] = False, True, np.arange(d) > 0
    sizes = [600, 70, 64, 63, 33, 1, 300, 69]
    z[gone[np.repeat(np.arange(8), sizes)]] = np.nan
    z = z[rng.permutation(len(z))]
    w = rng.uniform(0.1, 3.0, len(z))
    shares = None if known is None else np.where(rng.random((k, d)) < known, 0.7, 1.0)
    for hard in (False, True):
        moments, log_density = twin(parameters, z, w, shares, hard)
        assert_moments(compiled(kernels, parameters).accumulate(z, w, shares, hard), moments, log_density)
    with reference():
        expected = e_step(parameters, z)
    told = compiled(kernels, parameters).posterior(z)
    assert told is not None
    np.testing.assert_allclose(told.p, expected.p, rtol=0, atol=1e-11)
    np.testing.assert_allclose(told.distance, expected.distance, rtol=1e-9, atol=1e-9)


@every_compiled
@imputing
@pytest.mark.parametrize("known", [1.0, 0.5])
def test_the_number_of_threads_changes_no_bit_of_rows_with_holes(
    kernels: Kernels, family: str, known: float
) -> None:
    parameters = mixture(family, 8, 9)
    z = holes(rows_of(parameters, 30_000), 0.2)
    z[:6000] = rows_of(parameters, 6000, 1)
    shares = np.full((8, 9), known)
    found = []
    for count in (1, 2, 3, 7):
        with threads.limit(count):
            one = compiled(kernels, parameters)
            moments, told = one.accumulate(z, None, shares, False), one.posterior(z)
        assert moments is not None
        assert told is not None
        found.append([*(getattr(moments, name) for name in (*NAMES, "log_density")), told.p])
    for other in found[1:]:
        for ours, first in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(ours, first)
    expected, log_density = twin(parameters, z[:9000], None, shares, False)
    assert_moments(one.accumulate(z[:9000], None, shares, False), expected, log_density)


@every_compiled
@imputing
def test_rows_with_holes_may_lie_in_memory_as_they_like(kernels: Kernels, family: str) -> None:
    parameters = mixture(family, 4, 5)
    z = holes(rows_of(parameters, 200), 0.4).astype(np.float32)
    found = compiled(kernels, parameters)
    expected = found.accumulate(z.astype(np.float64), None, None, False)
    assert expected is not None
    wide = np.repeat(np.repeat(z, 2, axis=0), 3, axis=1)
    for x in (z, np.asfortranarray(z.astype(np.float64)), wide[::2, ::3], z[::-1][::-1]):
        ours = found.accumulate(x, None, None, False)
        assert ours is not None
        np.testing.assert_array_equal(ours.scatter, expected.scatter)


@every_compiled
@imputing
def test_a_row_with_nothing_is_the_mixture_itself(kernels: Kernels, family: str) -> None:
    parameters = mixture(family, 3, 4)
    found = compiled(kernels, parameters)
    z = np.full((2, 4), np.nan)
    told, moments = found.posterior(z), found.accumulate(z, None, None, False)
    assert told is not None
    assert moments is not None
    np.testing.assert_allclose(told.p, np.tile(parameters.weights, (2, 1)), rtol=1e-14)
    np.testing.assert_allclose(told.log_density, 0.0, atol=1e-14)
    np.testing.assert_array_equal(told.distance, 0.0)
    np.testing.assert_array_equal(found.outlier(z, told.log_density), 0.0)
    np.testing.assert_allclose(moments.mean, parameters.means, rtol=1e-14)
    weights = 2.0 * parameters.weights
    whole = parameters.dense * (weights.sum() if family == "tied" else weights[:, None, None])
    np.testing.assert_allclose(moments.scatter, whole, rtol=1e-13)


@every_compiled
@imputing
def test_no_rows_are_no_moments(kernels: Kernels, family: str) -> None:
    found = compiled(kernels, mixture(family, 3, 4))
    for known in (None, np.full((3, 4), 0.5)):
        moments = found.accumulate(np.empty((0, 4)), None, known, False)
        assert moments is not None
        assert not any(getattr(moments, name).any() for name in NAMES)
    told = found.posterior(np.empty((0, 4)))
    assert told is not None
    assert told.p.shape == (0, 3)


@every_compiled
@imputing
def test_the_first_of_equal_components_gets_a_hard_row_with_holes(kernels: Kernels, family: str) -> None:
    one = mixture(family, 9, 3)
    own = np.repeat(one.dense[:1], 9, axis=0) if family == "full" else one.dense
    means = np.repeat(one.means[:1], 9, axis=0)
    equal = replace(one, weights=np.full(9, 1.0 / 9.0), means=means, covariances=own)
    for n in (5, 70):
        z = np.tile([0.3, np.nan, -2.0], (n, 1))
        moments = compiled(kernels, equal).accumulate(z, None, None, True)
        assert moments is not None
        np.testing.assert_array_equal(moments.mass, [float(n), *[0.0] * 8])
        np.testing.assert_array_equal(moments.mean[1:], 0.0)
        np.testing.assert_array_equal(moments.seen[1:], 0.0)


@every_compiled
@imputing
def test_a_share_below_rounding_of_a_row_with_holes_is_no_share(kernels: Kernels, family: str) -> None:
    one = mixture(family, 2, 3)
    far = replace(one, means=np.array([[0.0, 0.0, 0.0], [60.0, 60.0, 60.0]]))
    z = np.linspace(-9.0, 25.0, 101)[:, None] + np.array([0.0, 0.0, np.nan])
    with reference():
        expected = e_step(far, z)
    told = compiled(kernels, far).posterior(z)
    assert told is not None
    below = expected.p < 2.0**-60
    assert below.any()
    assert not below.all()
    np.testing.assert_array_equal(told.p == 0.0, below)


@every_compiled
@imputing
def test_covariances_next_to_singular(kernels: Kernels, family: str) -> None:
    one = mixture(family, 3, 4)
    thin = one.dense.copy()
    thin[..., 3, :] = thin[..., 2, :]
    thin[..., :, 3] = thin[..., :, 2]
    singular = replace(one, covariances=thin)
    z = holes(rows_of(one, 50), 0.3)
    found = compiled(kernels, singular)
    assert found.posterior(z) is None
    assert found.accumulate(z, None, None, False) is None
    assert found.outlier(z, np.zeros(50)) is None
    # Where no row has both of the features, what is asked of the covariances they have.
    z[:, 3] = np.nan
    told = found.posterior(z)
    assert told is not None
    with reference():
        np.testing.assert_allclose(told.p, e_step(one, z).p, atol=1e-11)
    nearly = replace(one, covariances=thin + 1e-7 * np.eye(4))
    z = holes(rows_of(one, 50), 0.3)
    z[:, 3] = z[:, 2] + 1e-4 * z[:, 0]
    moments, log_density = twin(nearly, z, None, None, False)
    assert_moments(compiled(kernels, nearly).accumulate(z, None, None, False), moments, log_density, 1e-6)


@every_compiled
@imputing
@given(data=st.data())
@settings(max_examples=20)
def test_no_row_with_holes_breaks_it(kernels: Kernels, family: str, data: Any) -> None:
    n, d, k = data.draw(st.integers(0, 70)), data.draw(st.integers(1, 10)), data.draw(st.integers(1, 9))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    size = 10.0 ** data.draw(st.sampled_from([0, 9, 60, 100]))
    z = np.where(rng.random((n, d)) < 0.4, np.nan, np.clip(size * rng.normal(size=(n, d)), -1e100, 1e100))
    found = compiled(kernels, mixture(family, k, d))
    w = rng.uniform(0.5, 1.0, n)
    told = found.posterior(z)
    assert told is not None
    np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-9)
    assert ((told.label >= 0) & (told.label < k)).all()
    for hard in (False, True):
        moments = found.accumulate(z, w, rng.random((k, d)), hard)
        assert moments is not None
        assert moments.mass.sum() == pytest.approx(w.sum(), rel=1e-9, abs=1e-12)
        assert np.isfinite(moments.scatter).all()


@every_compiled
def test_what_does_not_fit_is_refused_before_it_is_read(kernels: Kernels) -> None:
    one = mixture("full", 3, 4)
    with pytest.raises(ValueError, match="kind is 'diag', expected full or tied"):
        kernels.marginals("diag", one.weights, one.means, one.dense)
    with pytest.raises(ValueError, match="marginals: weights has 2 numbers, expected 3"):
        kernels.marginals("full", one.weights[:2], one.means, one.dense)
    with pytest.raises(ValueError, match="marginals: covariances has 48 numbers, expected 16"):
        kernels.marginals("tied", one.weights, one.means, one.dense)
    with pytest.raises(ValueError, match="marginals: means are not k rows"):
        kernels.marginals("full", one.weights, one.means.ravel(), one.dense)
    found = compiled(kernels, one)
    z = np.zeros((5, 4))
    with pytest.raises(ValueError, match="x has 3 features, expected 4"):
        found.posterior(z[:, :3])
    with pytest.raises(ValueError, match="weights do not have one number for each of 5 rows"):
        found.accumulate(z, np.ones(4), None, False)
    with pytest.raises(ValueError, match="marginals: known has 4 numbers, expected 12"):
        found.accumulate(z, None, np.full((1, 4), 0.5), False)
    with pytest.raises(ValueError, match="marginals: log_density has 4 numbers, expected 5"):
        found.outlier(z, np.zeros(4))
