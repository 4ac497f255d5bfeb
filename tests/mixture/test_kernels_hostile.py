"""What the kernels do with rows that have holes, are no numbers, or are not rows at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream_mix.mixture import FAMILIES, Basis, Moments, Parameters
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.em import centred, patterns
from stream_mix.mixture.kernels import Kernels, available, named
from stream_mix.mixture.outliers import outlier

from .streams import ALL_FAMILIES, blobs, fitted, holes

COMPILED = available()[:-1]
every_implementation = pytest.mark.parametrize(
    "kernels", [named(name) for name in available()], ids=available()
)
every_compiled = pytest.mark.parametrize("kernels", [named(name) for name in COMPILED], ids=COMPILED)
DIAGONAL = ("diag", "kmeans", "spherical")


def by_pattern(parameters: Parameters, z: Array, w: Array) -> tuple[Moments, Array, Array]:
    """Moments, log densities and distances of rows with holes, each pattern by a mixture of its own."""
    k, d = parameters.means.shape
    basis, kernels = Basis(np.zeros(d), np.ones(d)), named("reference")
    moments = Moments.zeros("diag", basis, k)
    log_density, distance = np.empty(len(z)), np.empty(len(z))
    for observed, rows in patterns(z):
        part = np.ascontiguousarray(z[np.ix_(rows, np.flatnonzero(observed))])
        sums = kernels.accumulate(part, w[rows], parameters.marginal(observed), tell=True)
        assert sums is not None
        assert sums.told is not None
        own = Basis(np.zeros(part.shape[1]), np.ones(part.shape[1]))
        found = centred(Moments.zeros("diag", own, k), sums, len(rows))
        mean, scatter = np.zeros((k, d)), np.zeros((k, d))
        mean[:, observed], scatter[:, observed] = found.mean, found.scatter
        seen = found.mass[:, None] * observed
        moments = moments.add(
            replace(moments, mass=found.mass, seen=seen, mean=mean, scatter=scatter, rows=len(rows))
        )
        log_density[rows], distance[rows] = sums.log_density, sums.told.distance
    return moments, log_density, distance


@every_implementation
@pytest.mark.parametrize("family", DIAGONAL)
@pytest.mark.parametrize(("d", "k"), [(1, 2), (3, 4), (9, 5)])
def test_holes_in_one_pass_are_holes_pattern_by_pattern(
    kernels: Kernels, family: str, d: int, k: int
) -> None:
    x, _, _ = blobs(300, k=k, d=d, spread=2.0)
    basis, parameters = fitted(family, x, k)
    z = holes(basis.forward(x), 0.4)
    w = np.random.default_rng(0).uniform(0.2, 2.0, len(z))
    if d == 1:
        z[::3] = np.nan
    moments, log_density, distance = by_pattern(parameters, z, w)
    sums = kernels.accumulate(z, w, parameters.natural, tell=True)
    assert sums is not None
    assert sums.told is not None
    found = centred(Moments.zeros("diag", moments.basis, k), sums, len(z))
    for name in ("mass", "seen", "mean", "scatter"):
        np.testing.assert_allclose(getattr(found, name), getattr(moments, name), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(sums.log_density, log_density, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(sums.told.distance, distance, rtol=1e-8, atol=1e-8)
    scores = outlier(parameters, z, log_density)
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    told = kernels.posterior(z, parameters.natural)
    assert told is not None
    np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)


@every_implementation
@pytest.mark.parametrize("family", ["full", "tied"])
def test_holes_between_correlated_features_are_left_to_the_caller(kernels: Kernels, family: str) -> None:
    x, _, _ = blobs(2000, d=3)
    basis, parameters = fitted(family, x, 3)
    z = basis.forward(x)
    z[1500, 1] = np.nan
    assert kernels.posterior(z, parameters.natural) is None
    assert kernels.accumulate(z, None, parameters.natural) is None


@every_implementation
@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(data=st.data())
def test_no_row_of_any_kind_breaks_a_kernel(kernels: Kernels, family: str, data: Any) -> None:
    n, d = data.draw(st.integers(0, 70)), data.draw(st.integers(1, 10))
    k = data.draw(st.integers(1, 9))
    number = st.floats(-1e100, 1e100) | st.just(float("nan"))
    z = data.draw(arrays.arrays(np.float64, (n, d), elements=number))
    rng = np.random.default_rng(0)
    covariances = {"kmeans": np.ones(k), "spherical": np.ones(k), "diag": np.ones((k, d)), "tied": np.eye(d)}
    own = Parameters(
        FAMILIES[family],
        np.full(k, 1.0 / k),
        rng.normal(size=(k, d)),
        covariances.get(family, np.tile(np.eye(d), (k, 1, 1))),
    )
    w = rng.uniform(0.5, 1.0, n)
    for hard in (False, True):
        sums = kernels.accumulate(z, w, own.natural, hard, tell=True)
        if sums is None:
            assert np.isnan(z).any()
            continue
        assert sums.told is not None
        assert sums.mass.sum() == pytest.approx(w.sum(), rel=1e-9, abs=1e-12)
        np.testing.assert_allclose(sums.told.p.sum(axis=1), 1.0, atol=1e-9)
        assert ((sums.told.label >= 0) & (sums.told.label < k)).all()


@every_compiled
def test_what_is_no_row_is_refused_before_it_is_read(kernels: Kernels) -> None:
    x, _, _ = blobs(50, d=3)
    _, parameters = fitted("diag", x, 3)
    natural = parameters.natural
    with pytest.raises(ValueError, match="x has 2 features, expected 3"):
        kernels.accumulate(x[:, :2], None, natural)
    with pytest.raises(ValueError, match="neither float64 nor float32"):
        kernels.accumulate(x.astype(np.int64), None, natural)
    with pytest.raises(TypeError):
        kernels.accumulate(x[0], None, natural)
    with pytest.raises(ValueError, match="weights do not have one number for each of 50 rows"):
        kernels.accumulate(x, np.ones(49), natural)


@every_compiled
def test_a_mixture_of_the_wrong_size_is_refused(kernels: Kernels) -> None:
    x, _, _ = blobs(50, d=3)
    for family in ALL_FAMILIES:
        _, parameters = fitted(family, x, 3)
        for name in ("origin", "peak", "means"):
            wrong = replace(parameters.natural, **{name: getattr(parameters.natural, name)[:-1]})
            with pytest.raises(ValueError, match=r"mixture|shape|mismatch|broadcast|dimension|expected"):
                kernels.accumulate(x, None, wrong)


@every_implementation
def test_the_first_row_beyond_is_found(kernels: Kernels) -> None:
    x = np.zeros((40, 3))
    assert kernels.first_beyond(x, 1.0) == -1
    x[30, 2] = np.nan
    assert kernels.first_beyond(x, 1.0) == -1
    x[20, 1], x[25, 0] = -np.inf, 2.0
    assert kernels.first_beyond(x, 1.0) == 20
    assert kernels.first_beyond(x.T, 1.0) == 0
    assert kernels.first_beyond(x[:0], 1.0) == -1


@every_compiled
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (70, 2, 5), (2100, 8, 16), (40, 33, 7), (5, 3, 2)])
def test_the_nearest_two_centres_are_those_of_the_reference(kernels: Kernels, n: int, d: int, k: int) -> None:
    rng = np.random.default_rng(0)
    x, centres = 5.0 + rng.normal(size=(n, d)), 5.0 + rng.normal(size=(k, d))
    ours, theirs = kernels.nearest_two(x, centres), named("reference").nearest_two(x, centres)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours[2], theirs[2], rtol=1e-9, atol=1e-11)
    assert (ours[1] <= ours[2]).all()
