"""Large mixtures: short lists of components, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest

from stream_mix.mixture import FAMILIES, Parameters
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.kernels import Kernels, available, named, shortlist, threads

COMPILED = available()[:-1]
every_compiled = pytest.mark.parametrize("kernels", [named(name) for name in COMPILED], ids=COMPILED)
K, D, N = 300, 6, 4000


def large(family: str, spread: float) -> tuple[Array, Parameters]:
    """Rows of K clusters, and the mixture that made them."""
    rng = np.random.default_rng(3)
    means = spread * rng.normal(size=(K, D))
    x = means[rng.integers(0, K, N)] + rng.normal(size=(N, D))
    shapes = {
        "kmeans": np.ones(K),
        "spherical": rng.uniform(0.9, 1.1, K),
        "diag": rng.uniform(0.9, 1.1, (K, D)),
    }
    covariance = shapes.get(family, np.eye(D) if family == "tied" else np.tile(np.eye(D), (K, 1, 1)))
    return x, Parameters(FAMILIES[family], np.full(K, 1.0 / K), means, covariance)


@every_compiled
@pytest.mark.parametrize("family", sorted(FAMILIES))
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_short_lists_cost_next_to_nothing(kernels: Kernels, family: str, hard: bool) -> None:
    x, parameters = large(family, 6.0)
    before = shortlist.latest()
    short = kernels.accumulate(x, None, parameters.natural, hard)
    used = shortlist.latest()
    assert used is not None
    assert used is not before
    assert used.share < 0.5
    with shortlist.dense():
        dense = kernels.accumulate(x, None, parameters.natural, hard)
    assert short is not None
    assert dense is not None
    assert abs(short.log_density.sum() / dense.log_density.sum() - 1.0) < 1e-3
    assert short.mass.sum() == pytest.approx(N)
    if family == "tied":
        np.testing.assert_allclose(short.second, dense.second, rtol=1e-9)
    np.testing.assert_allclose(short.mass, dense.mass, atol=2.0)


@every_compiled
def test_short_lists_do_not_depend_on_threads(kernels: Kernels) -> None:
    x, parameters = large("full", 6.0)
    found = []
    for count in (1, 3):
        with threads.limit(count):
            found.append(kernels.accumulate(x, None, parameters.natural))
    assert found[0] is not None
    assert found[1] is not None
    np.testing.assert_array_equal(found[0].second, found[1].second)
    np.testing.assert_array_equal(found[0].log_density, found[1].log_density)


@every_compiled
def test_a_row_that_no_list_explains_is_scored_by_all(kernels: Kernels) -> None:
    x, parameters = large("diag", 6.0)
    x[::50] *= 40.0
    short = kernels.accumulate(x, None, parameters.natural)
    with shortlist.dense():
        dense = kernels.accumulate(x, None, parameters.natural)
    assert short is not None
    assert dense is not None
    np.testing.assert_allclose(short.log_density[::50], dense.log_density[::50], rtol=1e-12)


@every_compiled
@pytest.mark.parametrize("family", ["diag", "full"])
def test_what_is_said_of_a_row_does_not_depend_on_the_others(kernels: Kernels, family: str) -> None:
    x, parameters = large(family, 6.0)
    whole, alone = kernels.posterior(x, parameters.natural), kernels.posterior(x[:50], parameters.natural)
    told = kernels.accumulate(x, None, parameters.natural, tell=True)
    assert whole is not None
    assert alone is not None
    assert told is not None
    assert told.told is not None
    np.testing.assert_array_equal(whole.p[:50], alone.p)
    np.testing.assert_array_equal(told.told.p, whole.p)


@every_compiled
@pytest.mark.parametrize("family", ["tied", "full"])
def test_rows_without_any_value_in_a_large_mixture(kernels: Kernels, family: str) -> None:
    _, parameters = large(family, 6.0)
    none = parameters.marginal(np.zeros(D, dtype=bool))
    told = kernels.posterior(np.empty((N, 0)), none)
    sums = kernels.accumulate(np.empty((N, 0)), None, none)
    assert told is not None
    assert sums is not None
    np.testing.assert_allclose(told.p, 1.0 / K)
    np.testing.assert_allclose(sums.mass, N / K)


@every_compiled
def test_components_that_all_overlap_are_all_scored(kernels: Kernels) -> None:
    x, parameters = large("diag", 0.3)
    ours = kernels.accumulate(x, None, parameters.natural)
    assert shortlist.latest() is None
    with shortlist.dense():
        dense = kernels.accumulate(x, None, parameters.natural)
    assert ours is not None
    assert dense is not None
    np.testing.assert_array_equal(ours.log_density, dense.log_density)


@every_compiled
def test_missing_values_in_a_large_mixture(kernels: Kernels) -> None:
    x, parameters = large("diag", 6.0)
    x[7, 2] = np.nan
    ours, theirs = (one.accumulate(x, None, parameters.natural) for one in (kernels, named("reference")))
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(ours.log_density, theirs.log_density, rtol=1e-9)


def test_one_row_in_a_hundred_is_further_than_plausible() -> None:
    rng = np.random.default_rng(0)
    for d in (1, 4, 16, 60):
        further = (np.square(rng.normal(size=(200_000, d))).sum(axis=1) > shortlist.plausible(d)).mean()
        assert 0.008 < further < 0.012
