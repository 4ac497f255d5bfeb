"""Short lists by themselves: which components are on them, and what rows get from those that are."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest

from stream_mix.mixture import FAMILIES, Basis, Parameters
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.kernels import Natural, available, named, shortlist
from stream_mix.mixture.kernels.shortlist import leaves as leaves_of

COMPILED = available()[:-1]
CUT = 16.0 * np.log(2.0)
K, N = 70, 900
_Found = TypeVar("_Found")
WEIGHTS = np.random.default_rng(0).uniform(0.0, 2.0, N)
every_isa = pytest.mark.parametrize("isa", COMPILED)
every_family = pytest.mark.parametrize("family", sorted(FAMILIES))


def there(found: _Found | None) -> _Found:
    assert found is not None
    return found


def mixture(family: str, d: int, k: int = K, spread: float = 2.0) -> tuple[Array, Natural]:
    """Rows of k clusters of several shapes, and the mixture that made them."""
    rng = np.random.default_rng(d)
    means = 5.0 + spread * rng.normal(size=(k, d))
    root = np.tril(0.3 * rng.normal(size=(k, d, d)), -1) / np.sqrt(d)
    root += rng.uniform(0.5, 2.0, (k, d, 1)) * np.eye(d)
    shapes = {
        "kmeans": np.ones(k),
        "spherical": rng.uniform(0.5, 2.0, k),
        "diag": rng.uniform(0.2, 3.0, (k, d)),
        "tied": root[0] @ root[0].T,
        "full": root @ np.swapaxes(root, 1, 2),
    }
    x = means[rng.integers(0, k, N)] + 1.2 * rng.normal(size=(N, d))
    weights = rng.dirichlet(np.full(k, 3.0))
    return x, Parameters(FAMILIES[family], weights, means, shapes[family]).natural


@cache
def truncated(family: str, d: int, hard: bool) -> tuple[Array, Array, Array, Array]:
    """Mass, first and second sums, and log densities, of the rows of `mixture`, weighted by `WEIGHTS`, whose
    far components have no share in them."""
    x, natural = mixture(family, d)
    y = x - natural.origin
    delta = y[:, None] - natural.means
    if natural.kind == "diag":
        distance = (np.square(delta * natural.whiten)).sum(axis=2)
    else:
        whiten = np.broadcast_to(natural.whiten, (natural.k, natural.d, natural.d))
        distance = np.square(np.einsum("kij,nkj->nki", whiten, delta)).sum(axis=2)
    scores = natural.peak - 0.5 * distance
    top = scores.max(axis=1, keepdims=True)
    e = np.where(scores > top - CUT, np.exp(scores - top), 0.0)
    log_density = top[:, 0] + np.log(e.sum(axis=1))
    r = np.eye(natural.k)[scores.argmax(axis=1)] if hard else e / e.sum(axis=1, keepdims=True)
    r = r * WEIGHTS[:, None]
    second = {
        "diag": lambda: r.T @ np.square(y),
        "tied": lambda: (r.sum(axis=1)[:, None] * y).T @ y,
        "full": lambda: np.einsum("nk,ni,nj->kij", r, y, y),
    }[natural.kind]()
    return r.sum(axis=0), r.T @ y, second, log_density


@every_isa
@every_family
@pytest.mark.parametrize("d", [1, 3, 8, 9, 16, 33])
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_lists_of_all_components_are_the_truncated_mixture(isa: str, family: str, d: int, hard: bool) -> None:
    x, natural = mixture(family, d)
    leaves = leaves_of(isa, natural, None, (1e9,))
    lists = leaves.lists(0)
    assert lists.share == pytest.approx(1.0)
    *sums, log_density, wild = there(leaves.accumulate(lists, x, WEIGHTS, hard, 0.0, 10.0, 1))
    assert not len(wild)
    expected = truncated(family, d, hard)
    for ours, theirs in zip((*sums, log_density), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-9)
    by_all, far, worked_out = there(leaves.density(None, x, 0.0, 1))
    np.testing.assert_allclose(by_all, expected[3], rtol=1e-10)
    assert far == N
    assert N <= worked_out <= N * K


@every_isa
@pytest.mark.parametrize("family", ["diag", "full"])
def test_rows_of_any_layout_in_any_basis(isa: str, family: str) -> None:
    x, natural = mixture(family, 9)
    leaves = leaves_of(isa, natural, None, (1e9,))
    x = x.astype(np.float32).astype(np.float64)
    expected = there(leaves.accumulate(leaves.lists(0), x, None, False, 0.0, 10.0, 1))
    wide = np.zeros((N, 18))
    wide[:, ::2] = x
    basis = Basis(np.arange(9.0), np.linspace(0.5, 2.0, 9))
    moved = leaves_of(isa, natural, basis, (1e9,))
    others: list[tuple[Any, Any]] = [
        (leaves, x.astype(np.float32)),
        (leaves, np.asfortranarray(x)),
        (leaves, wide[:, ::2]),
        (moved, x * basis.scale + basis.origin),
    ]
    for given, other in others:
        found = there(given.accumulate(given.lists(0), other, None, False, 0.0, 10.0, 1))
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def frame_of(natural: Natural) -> tuple[Array, Array]:
    """Means (k, d) and covariances (k, d, d) in the frame in which components are about 1 wide."""
    k, d = natural.k, natural.d
    if natural.kind == "diag":
        covariances = np.eye(d) / np.square(natural.whiten)[:, :, None]
        frame = np.diag(1.0 / np.sqrt(np.diagonal(np.average(covariances, axis=0, weights=natural.weights))))
    else:
        inverse = np.broadcast_to(np.linalg.inv(natural.whiten), (k, d, d))
        covariances = inverse @ np.swapaxes(inverse, 1, 2)
        frame = np.linalg.inv(np.linalg.cholesky(np.average(covariances, axis=0, weights=natural.weights)))
    return natural.means @ frame.T, frame @ covariances @ frame.T


@every_isa
@every_family
@pytest.mark.parametrize("d", [1, 5, 16])
def test_a_component_is_listed_where_its_rows_may_fall(isa: str, family: str, d: int) -> None:
    _, natural = mixture(family, d, k=400)
    reaches = (1.0, 2.5)
    leaves = leaves_of(isa, natural, None, reaches)
    centres = leaves.centres()
    means, covariances = frame_of(natural)
    away = np.square(means[:, None] - centres).sum(axis=2)
    own = away.argmin(axis=1)
    between = centres - centres[own][:, None]
    s = np.sqrt(np.einsum("kgi,kij,kgj->kg", between, covariances, between))
    z = (away - away.min(axis=1, keepdims=True)) / np.maximum(2.0 * s, 1e-9)
    for number, reach in enumerate(reaches):
        lists = leaves.lists(number)
        shares = []
        for leaf in range(len(centres)):
            members = lists.members(leaf)
            assert members == sorted(set(members))
            sure = np.flatnonzero(z[:, leaf] < reach - 1e-6)
            possible = np.flatnonzero(z[:, leaf] < reach + 1e-6)
            assert set(sure) <= set(members)
            assert set(members) <= set(possible) or len(members) == 1
            shares.append(natural.weights[own == leaf].sum() * len(members) / natural.k)
        assert lists.share == pytest.approx(sum(shares))
    assert leaves.lists(0).share < leaves.lists(1).share


@every_isa
def test_a_row_gets_what_its_leafs_list_says_or_all_where_that_is_far(isa: str) -> None:
    x, natural = mixture("diag", 6, k=400, spread=4.0)
    leaves = leaves_of(isa, natural, None, (0.5,))
    lists = leaves.lists(0)
    deviation = 1.0 / natural.whiten
    frame = 1.0 / np.sqrt(np.average(np.square(deviation), axis=0, weights=natural.weights))
    z = (x - natural.origin) * frame
    leaf = np.square(z[:, None] - leaves.centres()).sum(axis=2).argmin(axis=1)
    delta = (x - natural.origin)[:, None] - natural.means
    scores = natural.peak - 0.5 * np.square(delta * natural.whiten).sum(axis=2)
    reach = shortlist.plausible(6)
    log_density, far, _ = there(leaves.density(lists, x, reach, 1))
    found = 0
    for row in range(N):
        members = lists.members(leaf[row])
        own = scores[row, members]
        if 2.0 * (natural.peak[members[own.argmax()]] - own.max()) > reach:
            own, found = scores[row], found + 1
        kept = own[own > own.max() - CUT]
        expected = own.max() + np.log(np.exp(kept - own.max()).sum())
        assert log_density[row] == pytest.approx(expected, rel=1e-10)
    assert 0 < far < N
    assert far == found


@every_isa
@every_family
def test_sums_do_not_depend_on_threads_or_room(isa: str, family: str) -> None:
    x, natural = mixture(family, 5)
    x = np.tile(x, (20, 1))
    leaves = leaves_of(isa, natural, None, (2.0,))
    found = [
        there(leaves.accumulate(leaves.lists(0), x, None, False, 20.0, 10.0, threads))
        for threads in (1, 2, 3)
    ]
    for other in found[1:]:
        for ours, theirs in zip(other, found[0], strict=True):
            np.testing.assert_array_equal(ours, theirs)
    narrow = there(leaves.accumulate(leaves.lists(0), x, None, False, 20.0, 1e6, 2))
    for ours, theirs in zip(narrow, found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@every_isa
def test_more_rows_than_are_sorted_together(isa: str) -> None:
    x, natural = mixture("diag", 2)
    many = np.tile(x, (150, 1))
    leaves = leaves_of(isa, natural, None, (3.0,))
    once = there(leaves.accumulate(leaves.lists(0), x, None, False, 12.0, 5.0, 1))
    often = there(leaves.accumulate(leaves.lists(0), many, None, False, 12.0, 5.0, 2))
    np.testing.assert_allclose(often[0], 150.0 * once[0], rtol=1e-9)
    np.testing.assert_allclose(often[2], 150.0 * once[2], rtol=1e-9)
    np.testing.assert_array_equal(often[3], np.tile(once[3], 150))


@every_isa
@pytest.mark.parametrize("family", ["diag", "full"])
def test_rows_too_far_out_for_single_precision_are_scored_by_all(isa: str, family: str) -> None:
    x, natural = mixture(family, 4, k=300, spread=20.0)
    x = np.tile(x, (4, 1))
    x[[5, 700]] = [[1e9, 0.0, 0.0, 0.0], [0.0, -1e20, 1e20, 0.0]]
    kernels = named(isa)
    short = kernels.accumulate(x, None, natural)
    assert shortlist.latest() is not None
    with shortlist.dense():
        dense = kernels.accumulate(x, None, natural)
    assert short is not None
    assert dense is not None
    np.testing.assert_allclose(short.log_density[[5, 700]], dense.log_density[[5, 700]], rtol=1e-12)
    assert short.mass.sum() == pytest.approx(len(x))


@every_isa
def test_what_is_lost_is_less_than_is_promised_where_components_differ_much(isa: str) -> None:
    rng = np.random.default_rng(1)
    k, d, n = 512, 8, 8000
    means, variances = 3.0 * rng.normal(size=(k, d)), np.exp(rng.uniform(np.log(0.01), np.log(100.0), k))
    label = rng.integers(0, k, n)
    x = means[label] + np.sqrt(variances[label])[:, None] * rng.normal(size=(n, d))
    natural = Parameters(FAMILIES["spherical"], np.full(k, 1.0 / k), means, variances).natural
    short = named(isa).accumulate(x, None, natural)
    with shortlist.dense():
        dense = named(isa).accumulate(x, None, natural)
    assert short is not None
    assert dense is not None
    lost = np.abs(short.log_density - dense.log_density).sum() / np.abs(dense.log_density).sum()
    assert lost < 1e-3


def test_lists_are_checked() -> None:
    x, natural = mixture("diag", 3)
    leaves = leaves_of(COMPILED[0], natural, None, (2.0,))
    with pytest.raises(IndexError, match="reach"):
        leaves.lists(1)
    with pytest.raises(IndexError, match="leaf"):
        leaves.lists(0).members(len(leaves.centres()))
    with pytest.raises(ValueError, match="2 features, expected 3"):
        leaves.density(None, x[:, :2], 0.0, 1)
    assert leaves.density(None, np.full((4, 3), np.nan), 0.0, 1) is None
