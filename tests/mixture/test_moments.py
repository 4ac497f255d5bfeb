"""Moments are a commutative monoid with scaling: laws on records that learning can reach."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture import Basis, Moments, MomentsMismatch
from stream_mix.mixture.scatter import SCATTERS

from .naive import same_moments

KINDS = sorted(SCATTERS)
BASIS = Basis(np.array([1.0, -3.0]), np.array([2.0, 0.5]))


def some(kind: str, seed: int, n: int = 7, k: int = 3, shift: float = 0.0) -> Moments:
    """Moments of random rows, some of which lack a feature, some components without mass."""
    rng = np.random.default_rng(seed)
    z = rng.normal(shift, 1.0, (n, 2))
    r = rng.dirichlet(np.ones(k), n) * rng.integers(0, 2, k)
    whole = Moments.of_rows(kind, BASIS, z, r, "line")
    return whole if seed % 2 else whole.scale(float(rng.uniform(0.1, 2.0)))


records = st.builds(
    some, kind=st.just("full"), seed=st.integers(0, 10_000), n=st.integers(0, 9), shift=st.floats(-50, 50)
)


@pytest.mark.parametrize("kind", KINDS)
@given(a=st.integers(0, 999), b=st.integers(0, 999), c=st.integers(0, 999))
def test_add_is_associative_and_commutative_with_zero(kind: str, a: int, b: int, c: int) -> None:
    x, y, z = some(kind, a), some(kind, b, shift=5.0), some(kind, c, shift=-40.0)
    assert same_moments(x.add(y), y.add(x))
    assert same_moments(x.add(y).add(z), x.add(y.add(z)))
    assert same_moments(x.add(Moments.zeros(kind, BASIS, 3, "line")), x)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 999), factor=st.floats(0.01, 100.0), other=st.floats(0.01, 100.0))
def test_scale_distributes_over_add_and_composes(kind: str, seed: int, factor: float, other: float) -> None:
    x, y = some(kind, seed), some(kind, seed + 1, shift=3.0)
    assert same_moments(x.add(y).scale(factor), x.scale(factor).add(y.scale(factor)))
    assert same_moments(x.scale(factor).scale(other), x.scale(factor * other))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 999), cut=st.integers(0, 12))
def test_add_of_parts_is_the_whole(kind: str, seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    z, r = rng.normal(30.0, 1.0, (12, 2)), rng.dirichlet(np.ones(3), 12)
    parts = [Moments.of_rows(kind, BASIS, z[s], r[s]) for s in (slice(0, cut), slice(cut, 12))]
    assert same_moments(parts[0].add(parts[1]), Moments.of_rows(kind, BASIS, z, r), 1e-11)


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 999), origin=st.floats(-9, 9), scale=st.floats(0.01, 50.0))
def test_rebase_commutes_with_add_and_returns(kind: str, seed: int, origin: float, scale: float) -> None:
    other = Basis(np.array([origin, -origin]), np.array([scale, 2.0]))
    x, y = some(kind, seed), some(kind, seed + 1)
    moved = [replace(m, mean=np.where(m.seen > 0, m.mean, 0.0)) for m in (x, y)]
    assert same_moments(
        moved[0].add(moved[1]).rebase(other), moved[0].rebase(other).add(moved[1].rebase(other)), 1e-7
    )
    assert same_moments(moved[0].rebase(other).rebase(BASIS), moved[0], 1e-7)


def test_rebase_is_the_moments_of_the_moved_rows() -> None:
    rng = np.random.default_rng(3)
    x, r = rng.normal(5.0, 2.0, (20, 2)), rng.dirichlet(np.ones(2), 20)
    other = Basis(np.array([4.0, 6.0]), np.array([0.1, 3.0]))
    for kind in KINDS:
        here = Moments.of_rows(kind, BASIS, BASIS.forward(x), r)
        assert same_moments(here.rebase(other), Moments.of_rows(kind, other, other.forward(x), r))


def test_nothing_is_ever_subtracted() -> None:
    assert not hasattr(Moments, "__sub__")


def test_strangers_are_refused() -> None:
    x = some("full", 1)
    with pytest.raises(MomentsMismatch, match="lineage 'other', expected 'line'"):
        x.add(replace(x, lineage="other"))
    with pytest.raises(MomentsMismatch, match="another basis"):
        x.add(replace(x, basis=Basis(np.zeros(2), np.ones(2))))
    with pytest.raises(MomentsMismatch, match="shape 'diag', expected 'full'"):
        x.add(some("diag", 1))
    with pytest.raises(ValueError, match="factor is nan"):
        x.scale(float("nan"))


def test_unseen_features_grow_and_then_take_what_comes() -> None:
    for kind in KINDS:
        grown = some(kind, 1).grown(3)
        assert grown.seen[:, 2].sum() == 0.0
        assert np.isnan(grown.basis.origin[2])
        basis = Basis(np.append(BASIS.origin, 7.0), np.append(BASIS.scale, 2.0))
        rows = Moments.of_rows(kind, basis, np.array([[0.0, 0.0, 5.0]]), np.ones((1, 3)), "line")
        after = grown.rebase(basis).add(rows)
        np.testing.assert_allclose(after.mean[:, 2], 5.0)
        np.testing.assert_allclose(after.seen[:, 2], 1.0)


@pytest.mark.parametrize("offset", [0.0, 1e6, 1.7e9])
def test_an_offset_costs_no_digits(offset: float) -> None:
    rng = np.random.default_rng(0)
    x = offset + rng.normal(0.0, 0.19, (4000, 2))
    basis = Basis.of(x)
    total = Moments.zeros("full", basis, 1)
    for part in np.array_split(x, 20):
        total = total.add(Moments.of_rows("full", basis, basis.forward(part), np.ones((len(part), 1))))
    exact = [[Fraction(float(value)) for value in column] for column in x.T]
    means = [sum(column) / len(column) for column in exact]
    scale = basis.scale
    for i in range(2):
        for j in range(2):
            pairs = zip(exact[i], exact[j], strict=True)
            truth = float(sum((a - means[i]) * (b - means[j]) for a, b in pairs) / len(x))
            ours = float(total.scatter[0, i, j] * scale[i] * scale[j] / len(x))
            assert abs(ours - truth) <= 1e-8 * 0.19**2
