"""The kernels against one row, one component at a time, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture.arrays import Array
from stream_mix.mixture.basis import Basis
from stream_mix.mixture.kernels import Kernels, Natural, Sums, available, named, threads
from stream_mix.mixture.kernels.natural import pack, unpack
from stream_mix.mixture.kernels.reference import _blocks

from . import naive
from .streams import ALL_FAMILIES, blobs, fitted

every_implementation = pytest.mark.parametrize(
    "kernels", [named(name) for name in available()], ids=available()
)
every_compiled = pytest.mark.parametrize(
    "kernels", [named(name) for name in available()[:-1]], ids=available()[:-1]
)
REFERENCE = named("reference")


def mixture(family: str, d: int, k: int, seed: int = 0) -> tuple[Array, Natural]:
    """Overlapping rows and a mixture of uneven components that is not quite theirs."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(700, d)) @ rng.normal(size=(d, d))
    x = 2.0 * rng.normal(size=(k, d))[rng.integers(0, k, 700)] + noise
    basis, parameters = fitted(family, x, k)
    return basis.forward(x), parameters.natural


def same(ours: Sums, theirs: Sums) -> None:
    for name in ("mass", "first", "second", "log_density"):
        expected = getattr(theirs, name)
        atol = 1e-11 * max(1.0, float(np.abs(expected).max(initial=0.0)))
        np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-10, atol=atol, err_msg=name)


@every_implementation
@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(seed=st.integers(0, 200), n=st.sampled_from([1, 2, 31, 33, 64, 65, 200]), d=st.integers(1, 4))
def test_posterior_equals_its_twin(kernels: Kernels, family: str, seed: int, n: int, d: int) -> None:
    x, _, _ = blobs(n + 20, d=d, seed=seed, spread=3.0)
    basis, parameters = fitted(family, x, 3)
    z = basis.forward(x[:n])
    told = kernels.posterior(z, parameters.natural)
    assert told is not None
    for i, row in enumerate(z[:12]):
        twin, total = naive.responsibilities(parameters, row)
        np.testing.assert_allclose(told.p[i], twin, rtol=0, atol=1e-10)
        assert told.log_density[i] == pytest.approx(total, abs=1e-9)
        delta = row - parameters.means[told.label[i]]
        sigma = naive.covariance_matrices(parameters)[told.label[i]]
        assert told.distance[i] == pytest.approx(delta @ np.linalg.solve(sigma, delta), rel=1e-8, abs=1e-8)
    np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(told.label, told.p.argmax(axis=1))


@every_implementation
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_accumulate_is_the_posterior_summed(
    kernels: Kernels, family: str, hard: bool, weighted: bool
) -> None:
    x, _, _ = blobs(3000, k=4, d=3, seed=1, spread=2.0)
    basis, parameters = fitted(family, x, 4)
    z = basis.forward(x)
    w = np.random.default_rng(0).uniform(0.1, 3.0, len(x)) if weighted else None
    sums = kernels.accumulate(z, w, parameters.natural, hard, tell=True)
    assert sums is not None
    assert sums.told is not None
    r = np.eye(4)[sums.told.label] if hard else sums.told.p
    r = r if w is None else r * w[:, None]
    y = z - sums.origin
    np.testing.assert_allclose(sums.mass, r.sum(axis=0), rtol=1e-11)
    np.testing.assert_allclose(sums.first, r.T @ y, rtol=1e-9, atol=1e-9)
    second = np.einsum("nk,ni,nj->kij", r, y, y)
    shapes = {"diag": np.einsum("kii->ki", second), "full": second, "tied": second.sum(axis=0)}
    np.testing.assert_allclose(sums.second, shapes[parameters.family.scatter], rtol=1e-9, atol=1e-9)


@every_compiled
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize(("d", "k"), [(1, 1), (2, 5), (7, 4), (8, 16), (9, 3), (17, 6), (33, 5)])
def test_every_instruction_set_equals_the_reference(kernels: Kernels, family: str, d: int, k: int) -> None:
    z, natural = mixture(family, d, k)
    rng = np.random.default_rng(1)
    for hard in (False, True):
        for n in (1, 31, 32, 33, 700):
            w = rng.uniform(0.1, 3.0, n)
            ours, theirs = (one.accumulate(z[:n], w, natural, hard, True) for one in (kernels, REFERENCE))
            assert ours is not None
            assert theirs is not None
            same(ours, theirs)
            assert ours.told is not None
            assert theirs.told is not None
            np.testing.assert_allclose(ours.told.p, theirs.told.p, atol=1e-11)
            np.testing.assert_allclose(ours.told.distance, theirs.told.distance, rtol=1e-9, atol=1e-9)


@every_compiled
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_may_lie_in_memory_as_they_like(kernels: Kernels, family: str) -> None:
    z, natural = mixture(family, 9, 4)
    wide = np.repeat(np.repeat(z, 2, axis=0), 3, axis=1)
    expected = kernels.accumulate(np.ascontiguousarray(z), None, natural)
    assert expected is not None
    for x in (np.asfortranarray(z), wide[::2, ::3], z[::-1][::-1]):
        found = kernels.accumulate(x, None, natural)
        assert found is not None
        np.testing.assert_array_equal(found.second, expected.second)
    single = kernels.accumulate(z.astype(np.float32), None, natural)
    double = kernels.accumulate(z.astype(np.float32).astype(np.float64), None, natural)
    assert single is not None
    assert double is not None
    np.testing.assert_array_equal(single.second, double.second)


@every_implementation
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_in_the_data_s_units_are_the_rows_of_the_basis(kernels: Kernels, family: str) -> None:
    z, natural = mixture(family, 3, 4)
    basis = Basis(np.array([1e3, 0.0, -5.0]), np.array([2.0, 0.5, 8.0]))
    ours, theirs = (
        kernels.accumulate(basis.backward(z), None, natural, basis=basis),
        kernels.accumulate(z, None, natural),
    )
    assert ours is not None
    assert theirs is not None
    np.testing.assert_allclose(ours.second, theirs.second, rtol=1e-8, atol=1e-8)


@every_compiled
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_the_number_of_threads_changes_no_bit(kernels: Kernels, family: str) -> None:
    rng = np.random.default_rng(0)
    z, natural = mixture(family, 8, 16)
    x = z[rng.integers(0, len(z), 40_000)]
    found = []
    for count in (1, 2, 3, 7):
        with threads.limit(count):
            found.append(kernels.accumulate(x, None, natural, tell=True))
    first = found[0]
    assert first is not None
    assert first.told is not None
    for other in found[1:]:
        assert other is not None
        assert other.told is not None
        for name in ("mass", "first", "second", "log_density"):
            np.testing.assert_array_equal(getattr(other, name), getattr(first, name))
        np.testing.assert_array_equal(other.told.p, first.told.p)


@every_compiled
def test_a_share_below_rounding_is_no_share(kernels: Kernels) -> None:
    natural = Natural.of("diag", np.log([0.5, 0.5]), np.array([[0.0], [10.0]]), np.ones((2, 1)))
    x = np.linspace(-3.0, 3.0, 101)[:, None]
    ours, theirs = (one.accumulate(x, None, natural, tell=True) for one in (kernels, REFERENCE))
    assert ours is not None
    assert theirs is not None
    assert ours.told is not None
    assert theirs.told is not None
    below = theirs.told.p[:, 1] < 2.0**-60
    assert below.any()
    assert not below.all()
    np.testing.assert_array_equal(ours.told.p[:, 1] == 0.0, below)
    assert abs(ours.mass[1] - theirs.mass[1]) <= below.sum() * 2.0**-60 + 1e-12 * theirs.mass[1]


@every_implementation
def test_a_row_far_from_everything_still_has_responsibilities(kernels: Kernels) -> None:
    x, _, _ = blobs(100, d=2)
    for family in ALL_FAMILIES:
        basis, parameters = fitted(family, x, 3)
        far = basis.forward(np.array([[1e6, -1e6], [1e60, 1e60], [-1e100, 1e100]]))
        told = kernels.posterior(far, parameters.natural)
        assert told is not None
        assert np.isfinite(told.p).all()
        assert np.isfinite(told.log_density).all()
        assert np.isfinite(told.distance).all()
        np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)


@every_implementation
def test_the_first_of_equal_components_gets_a_hard_row(kernels: Kernels) -> None:
    _, parameters = fitted("kmeans", np.array([[0.0], [0.0], [4.0]]), 3)
    sums = kernels.accumulate(np.zeros((5, 1)), None, parameters.natural, hard=True)
    assert sums is not None
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
    blocks = [(start, features.shape[1]) for start, features in _blocks(x, parameters.natural, False)]
    assert sum(size for _, size in blocks) == len(x)
    assert [rows.start for rows, _ in blocks] == list(np.cumsum([0] + [size for _, size in blocks])[:-1])
    assert blocks[0][1] % 128 == 64
