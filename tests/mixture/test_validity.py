"""Figures of validity: against rows, where they are computed without; known values; what changes nothing."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import (
    FAMILIES,
    Basis,
    HalfLife,
    Model,
    Moments,
    Rows,
    Spec,
    Validity,
    Window,
    flush,
    health,
    learn,
    measured,
    posterior,
    stability,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.validity import classified, draws, spread

from .streams import ALL_FAMILIES, blobs, holes
from .test_hostile import hostile

FIGURES = ("bic", "icl", "entropy", "silhouette", "xie_beni")


def learned(x: Array, family: str = "full", k: int = 3, **choices: object) -> Model:
    spec = Spec(k, family, batch_size=100, **choices)  # type: ignore[arg-type]  # Spec checks its choices
    return flush(learn(Model.new(spec, x.shape[1]), Rows.of(x))[0])[0]


def held(family: str, means: Array, covariances: Array, mass: Array, basis: Basis | None = None) -> Model:
    """A model that has learned moments of these means (k, d) and covariances (k, d, d)."""
    k, d = means.shape
    kind = FAMILIES[family].scatter
    dense = covariances * mass[:, None, None]
    scatter = {"full": dense, "tied": dense.sum(axis=0), "diag": np.diagonal(dense, axis1=1, axis2=2)}[kind]
    basis = basis or Basis(np.zeros(d), np.ones(d))
    seen = np.tile(mass[:, None], d)
    moments = Moments(kind, basis, "made", mass, seen, means, np.ascontiguousarray(scatter), int(mass.sum()))
    return replace(Model.new(Spec(k, family), d), store=(moments,), next_start=0, generation=1, learned=1)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_criteria_are_those_of_the_rows_where_responsibilities_are_the_models_own(family: str) -> None:
    """Rows learned under responsibilities that stand still have the classification likelihood exactly."""
    x, _, _ = blobs(3000, k=3, d=2, spread=40.0)
    model = learned(x, family)
    found, told = measured(model), posterior(model, x)
    n = model.moments.mass.sum()
    penalty = FAMILIES[family].n_parameters(3, 2) * math.log(n) / n
    own = np.log(np.maximum(told.p.max(axis=1), 1e-300)) + told.log_density
    assert found.icl == pytest.approx(-2.0 * own.mean() + penalty, abs=1e-6)
    assert found.bic == pytest.approx(-2.0 * told.log_density.mean() + penalty, abs=1e-6)
    assert found.entropy == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("family", ["full", "diag", "tied"])
def test_criteria_of_overlapping_components_are_near_those_of_the_rows(family: str) -> None:
    x, _, _ = blobs(6000, k=3, d=2, spread=2.5)
    model = learned(x, family)
    found, told = measured(model), posterior(model, x)
    n = model.moments.mass.sum()
    entropy = -(told.p * np.log(np.maximum(told.p, 1e-300))).sum(axis=1).mean()
    penalty = FAMILIES[family].n_parameters(3, 2) * math.log(n) / n
    assert found.entropy == pytest.approx(entropy, abs=0.03)
    assert found.bic == pytest.approx(-2.0 * told.log_density.mean() + penalty, abs=0.06)
    assert found.icl is not None
    assert found.bic is not None
    assert found.icl - found.bic == pytest.approx(2.0 * (found.entropy or 0.0))


def test_the_mass_of_a_memory_that_forgets_is_what_the_penalty_counts() -> None:
    x, _, _ = blobs(4000, k=2, d=2, spread=40.0)
    long, short = learned(x, k=2), learned(x, k=2, memory=HalfLife(100))
    mass = short.moments.mass.sum()
    assert mass == pytest.approx(100 / math.log(2), rel=0.05)
    for model in (long, short):
        n = float(model.moments.mass.sum())
        q = classified(model.parameters, model.moments) - np.log(model.basis.scale).sum()
        assert measured(model).icl == pytest.approx(-2.0 * q + 11 * math.log(n) / n)


def test_silhouette_and_xie_beni_are_near_those_of_the_rows() -> None:
    x, _, _ = blobs(6000, k=4, d=2, spread=5.0)
    model = learned(x, k=4)
    found = measured(model)
    unit = spread(model.parameters, model.moments)
    z, means = model.basis.forward(x) / unit, model.parameters.means / unit
    np.testing.assert_allclose(model.basis.forward(x).std(axis=0), unit, rtol=0.02)
    distances = np.linalg.norm(z[:, None] - means, axis=2)
    own = np.array(model.components).searchsorted(posterior(model, x).label)
    a = distances[np.arange(len(z)), own]
    distances[np.arange(len(z)), own] = np.inf
    b = distances.min(axis=1)
    assert found.silhouette == pytest.approx(((b - a) / np.maximum(a, b)).mean(), abs=0.03)
    apart = np.linalg.norm(means[:, None] - means, axis=2) + np.diag(np.full(4, np.inf))
    assert found.xie_beni == pytest.approx(np.square(a).mean() / apart.min() ** 2, rel=0.1)


def test_far_clusters_are_good_and_identical_ones_are_not() -> None:
    unit = np.tile(np.eye(2), (2, 1, 1))
    far = measured(held("full", np.array([[0.0, 0.0], [100.0, 100.0]]), unit, np.full(2, 500.0)))
    assert far.silhouette is not None
    assert far.silhouette > 0.97
    assert far.entropy == pytest.approx(0.0, abs=1e-9)
    same = measured(held("full", np.zeros((2, 2)), unit, np.full(2, 500.0)))
    assert same.entropy == pytest.approx(math.log(2.0), abs=1e-9)
    assert same.silhouette == pytest.approx(0.0, abs=1e-9)
    assert same.xie_beni is None
    assert same.clusters == ((0, 1),)


def test_one_component_and_a_model_that_has_learned_nothing() -> None:
    x, _, _ = blobs(400, k=1)
    one = measured(learned(x, k=1))
    assert (one.silhouette, one.xie_beni, one.clusters) == (None, None, ((0,),))
    assert one.bic == pytest.approx(one.icl)
    assert measured(Model.new(Spec(3), 2)) == Validity(0)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(seed=st.integers(0, 50))
@settings(max_examples=8)
def test_order_shift_and_unit_change_no_figure_but_the_criteria_by_the_unit(family: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, d = 4, 3
    means, mass = rng.normal(0.0, 2.0, (k, d)), rng.uniform(50.0, 200.0, k)
    root = rng.normal(size=(k, d, d + 3))
    covariances = root @ np.swapaxes(root, 1, 2) / (d + 3)
    model = held(family, means, covariances, mass)
    found = measured(model)
    order = rng.permutation(k)
    other = measured(held(family, means[order], covariances[order], mass[order]))
    moved = measured(held(family, means, covariances, mass, Basis(np.full(d, 1e6), np.full(d, 1e-3))))
    for name in FIGURES:
        assert getattr(other, name) == pytest.approx(getattr(found, name), abs=1e-9), name
        unit = 2.0 * d * math.log(1e-3) if name in ("bic", "icl") else 0.0
        assert getattr(moved, name) == pytest.approx(getattr(found, name) + unit, abs=1e-9), name
    assert moved.clusters == found.clusters
    assert len(other.clusters or ()) == len(found.clusters or ())
    ratio = np.full(d, 7.0) if FAMILIES[family].isotropic else rng.uniform(0.1, 10.0, d)
    turned = model.moments.rebase(Basis(np.full(d, 2.0), ratio))
    again = measured(replace(model, store=(turned,)))
    # The hundredth of a pseudo-row behind pooled covariances is of unit size in either basis.
    assert again.silhouette == pytest.approx(found.silhouette, abs=1e-3)
    assert again.xie_beni == pytest.approx(found.xie_beni, rel=1e-3)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_missing_values_and_late_features_leave_figures_finite(family: str) -> None:
    x, _, _ = blobs(900, k=3, d=3)
    rows = holes(x, 0.3)
    rows[:, 2] = np.nan
    never = measured(learned(rows, family))
    rows[600:, 2] = x[600:, 2]
    late = measured(learned(rows, family))
    for found in (never, late):
        for name in FIGURES:
            assert np.isfinite(getattr(found, name)), name


@pytest.mark.parametrize("family", ALL_FAMILIES)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=20)
def test_hostile_streams_have_finite_figures_or_none(family: str, seed: int) -> None:
    """An engine makes them at every snapshot: nothing that a producer sends may end it here."""
    x = hostile(seed)
    x = x[~np.isnan(x).all(axis=1)]
    memory = [Spec().memory, HalfLife(5.0), Window(20)][seed % 3]
    model = Model.new(Spec(1 + seed % 7, family, memory=memory, batch_size=1 + seed % 40), x.shape[1])
    model = flush(learn(model, Rows.of(x))[0])[0]
    for found in (measured(model), measured(model, x)):
        for name in FIGURES:
            value = getattr(found, name)
            assert value is None or math.isfinite(value), name
        assert sorted(sum(found.clusters or (model.components,), ())) == list(model.components)
    # Not 1: where an offset takes most digits, rows on their way through the data's units change labels.
    index = stability(model, model)
    assert index is None or -1.0 <= index <= 1.0 + 1e-12


def test_drawn_rows_have_the_mixtures_means_and_are_the_same_again() -> None:
    x, _, _ = blobs(900)
    model = learned(x)
    drawn, again = draws(model.parameters), draws(model.parameters)
    assert drawn is not None
    assert again is not None
    np.testing.assert_array_equal(drawn[0], again[0])
    assert drawn[1].sum() == pytest.approx(1.0)
    wanted = model.parameters.weights @ model.parameters.means
    np.testing.assert_allclose(drawn[1] @ drawn[0], wanted, atol=1e-12)


def test_stability_is_one_for_clusters_that_are_plain_and_less_where_the_seed_decides() -> None:
    x, _, _ = blobs(2000, k=3, d=2)
    assert stability(learned(x), learned(x, random_state=1)) == pytest.approx(1.0)
    noise = np.random.default_rng(0).normal(size=(2000, 2))
    doubtful = stability(learned(noise, k=6), learned(noise, k=6, random_state=1))
    assert doubtful is not None
    assert doubtful < 0.95
    assert stability(learned(x), Model.new(Spec(3), 2)) is None


def test_health_carries_the_figures_of_now_or_those_given() -> None:
    x, _, _ = blobs(600)
    model = learned(x)
    found, report = measured(model), health(model)
    assert {name: report[name] for name in FIGURES} == {name: getattr(found, name) for name in FIGURES}
    assert (report["clusters"], report["judged"]) == (3, model.generation)
    given_ = replace(found, generation=1, bic=7.0, stability=0.5)
    older = health(model, given_)
    assert (older["bic"], older["judged"], older["stability"]) == (7.0, 1, 0.5)
    assert health(Model.new(Spec(3), 2))["bic"] is None


@pytest.mark.parametrize(("family", "k", "d"), [("full", 64, 32), ("diag", 4096, 16), ("full", 128, 16)])
def test_large_mixtures_take_no_longer_than_a_blink(family: str, k: int, d: int) -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(0.0, 3.0, (k, d))
    model = held(family, means, np.broadcast_to(np.eye(d), (k, d, d)), np.full(k, 100.0))
    assert model.parameters.natural.k == k
    times = []
    for _ in range(3):
        start = time.perf_counter()
        found = measured(model)
        times.append(time.perf_counter() - start)
    assert min(times) < 1.0, "a few hundredths where nothing else runs"
    assert found.icl is not None
    if k > 1024:
        assert (found.silhouette, found.xie_beni, found.clusters) == (None, None, None)
