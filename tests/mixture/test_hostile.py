"""Streams that break mixtures: whatever comes, every number that goes out is finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import (
    HalfLife,
    Memory,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    learn,
    parameters,
    posterior,
)
from stream_mix.mixture.arrays import Array

from .streams import ALL_FAMILIES


def hostile(seed: int) -> Array:
    """Constants, duplicates, collinear features, offsets, scales 1e-9 to 1e9, bursts, holes and giants."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 120)), int(rng.integers(1, 5))
    x = rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-9, 9, d) + rng.choice([0.0, 1e3, 1e12], d)
    if rng.random() < 0.3:
        x[:, 0] = x[0, 0]
    if rng.random() < 0.3:
        x[:, -1] = 2.0 * x[:, 0]
    if rng.random() < 0.3:
        x = x[rng.integers(0, max(1, n // 10), n)]
    if rng.random() < 0.3:
        x[n // 2 :] += 1e6 * (1.0 + np.abs(x[0]))
    if rng.random() < 0.3:
        x[rng.random(x.shape) < 0.3] = np.nan
    if rng.random() < 0.2:
        x[rng.integers(0, n)] = 10.0 ** rng.uniform(20, 99)
    return x


@pytest.mark.parametrize("family", ALL_FAMILIES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6))
def test_no_number_turns_bad(family: str, seed: int) -> None:
    x = hostile(seed)
    memory = [Spec().memory, HalfLife(5.0), Window(20)][seed % 3]
    spec = Spec(1 + seed % 7, family, memory=memory, batch_size=1 + seed % 40)
    model = Model.new(spec, x.shape[1])
    for start in range(0, len(x), 17):
        model, _ = learn(model, Rows.of(x[start : start + 17]))
        told = posterior(model, x)
        assert np.isfinite(told.p).all()
        np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)
        assert np.isfinite(told.log_density).all()
        assert ((told.outlier >= 0.0) & (told.outlier <= 1.0)).all()
    if not model.warming:
        found = parameters(model)
        assert np.isfinite(found.means).all()
        assert np.isfinite(found.covariances).all()
        if model.spec.family_value.scatter != "diag":
            np.linalg.cholesky(model.parameters.dense)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", [HalfLife(1.0), Window(50)])
@pytest.mark.parametrize("stuck", [0.0, 0.1])
def test_a_sensor_that_is_stuck_for_long_and_then_moves_again(
    family: str, memory: HalfLife | Window, stuck: float
) -> None:
    x = np.random.default_rng(0).normal(size=(6000, 2))
    x[600:4500, 1] = stuck
    model, _ = learn(Model.new(Spec(2, family, memory=memory, batch_size=1), 2), Rows.of(x[:4500]))
    assert model.basis.scale.min() > 1e-32
    model, _ = learn(model, Rows.of(x[4500:]))
    told = posterior(model, x)
    assert np.isfinite(told.log_density).all()
    assert 1e-3 < model.basis.scale[1] < 1e3


@pytest.mark.parametrize("family", ["kmeans", "spherical"])
def test_round_components_keep_one_scale_when_the_basis_moves(family: str) -> None:
    x = np.random.default_rng(0).normal(size=(4000, 2))
    x[:, 0], x[1000:, 1] = 5.0, 1000.0 * x[1000:, 1]
    spec = Spec(2, family, memory=HalfLife(200.0), batch_size=10)
    model, done = learn(Model.new(spec, 2), Rows.of(x))
    assert "rebased" in {change.kind for change in done.changes}
    assert model.basis.scale[0] == model.basis.scale[1]
    # One feature of two has all the spread: half of what is within components.
    spread = parameters(model).covariances * 2.0
    assert ((spread > 1e4) & (spread < 2e6)).all()


def test_components_stay_apart_when_a_stream_of_hard_clusters_rests_for_ages() -> None:
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])[rng.integers(3, size=1200)] + rng.normal(
        size=(1200, 2)
    )
    t = np.arange(1200.0) + np.repeat([0.0, 1e6], 600)
    spec = Spec(3, "kmeans", memory=TimeHalfLife(60.0), batch_size=1)
    before, _ = learn(Model.new(spec, 2), Rows.of(x[:600], t=t[:600]))
    after, _ = learn(before, Rows.of(x[600:601], t=t[600:601]))
    moves = np.hypot(*(parameters(after).means - parameters(before).means).T)
    assert (moves < 1e-9).sum() == 2


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize(
    "memory", [Spec().memory, HalfLife(100.0), Window(200)], ids=lambda memory: type(memory).__name__
)
@pytest.mark.parametrize("batch_size", [1, 20])
def test_one_giant_row_costs_only_itself(family: str, memory: Memory, batch_size: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 20.0], (1500, 1)) + rng.normal(size=(1500, 3))
    model, _ = learn(Model.new(Spec(3, family, memory=memory, batch_size=batch_size), 3), Rows.of(x))
    model, _ = learn(model, Rows.of(np.array([[1e100, -1e100, 1e100], [1e100, 1.0, 1.0], [1e80, 0.0, 1e99]])))
    for start in range(0, 1500, 100):
        model, _ = learn(model, Rows.of(x[start : start + 100]))
        told = posterior(model, x)
        assert np.isfinite(told.log_density).all()
        np.testing.assert_allclose(told.p.sum(axis=1), 1.0, atol=1e-12)
    assert np.isfinite(parameters(model).covariances).all()
