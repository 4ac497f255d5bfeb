"""The background: components learn what they would without the noise, and clean data loses nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from stream_mix.mixture import (
    Adaptive,
    Averaged,
    Decreasing,
    Forever,
    HalfLife,
    Memory,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    from_state,
    health,
    learn,
    merge,
    parameters,
    posterior,
    shards,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array, Bools, Ints
from stream_mix.mixture.background import Background
from stream_mix.mixture.batch import fit

from .hostiles import hostile, survives
from .streams import ALL_FAMILIES, blobs, holes

CENTRES = np.array([[0.0, 0.0], [14.0, 0.0], [0.0, 14.0], [14.0, 14.0]])
ROOT = np.array([[1.5, 0.0], [0.8, 0.7]])
MEMORIES: list[Memory] = [
    Forever(), HalfLife(700.0), TimeHalfLife(70.0), Window(600),
    Decreasing(0.7, 200.0), Averaged(0.6, 200.0),
]  # fmt: skip


def contaminated(share: float, seed: int, n: int = 4000, reach: float = 30.0) -> tuple[Array, Ints, Bools]:
    """Rows of four oval clusters and a share of noise from all over; true labels; which are noise."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, n)
    x = CENTRES[label] + rng.normal(size=(n, 2)) @ ROOT.T
    noise = rng.random(n) < share
    x[noise] = rng.uniform(7.0 - reach, 7.0 + reach, (int(noise.sum()), 2))
    return x, label, noise


def learned(x: Array, *, robust: bool = True, **choices: object) -> Model:
    spec = Spec(**{"n_components": 4, "batch_size": 64, "random_state": 1, "robust": robust, **choices})  # type: ignore[arg-type]  # checked by Spec
    return learn(Model.new(spec, x.shape[1]), Rows.of(x, t=np.arange(len(x)) / 10.0))[0]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("seed", [0, 1])
def test_parameters_under_noise_are_those_without(share: float, seed: int) -> None:
    x, label, noise = contaminated(share, seed)
    model = learned(x)
    found = parameters(model)
    for centre in CENTRES:
        distance = np.linalg.norm(found.means - centre, axis=1)
        own = int(distance.argmin())
        assert distance[own] < 0.35
        np.testing.assert_allclose(found.covariances[own], ROOT @ ROOT.T, atol=0.6)
    kept = ~noise
    assert adjusted_rand_score(label[kept], posterior(model, x[kept]).p.argmax(axis=1)) > 0.99
    assert health(model)["noise"] == pytest.approx(share, abs=0.4 * share)


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_noise_is_labelled_and_little_else_is(share: float) -> None:
    x, _, noise = contaminated(share, 2)
    said = posterior(learned(x), x)
    assert said.noise is not None
    np.testing.assert_array_equal(said.label == -1, said.noise > 0.5)
    called = said.label == -1
    assert noise[called].mean() > 0.95
    assert called[noise].mean() > 0.8
    np.testing.assert_allclose(said.p.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_clean_data_loses_next_to_nothing(family: str) -> None:
    x, _, _ = blobs(3000, k=4, d=3, seed=5)
    plain, robust = (learned(x, robust=robust, family=family) for robust in (False, True))
    assert robust.moments.noise < 0.01 * len(x)
    held = blobs(1000, k=4, d=3, seed=5)[0]
    gained = posterior(robust, held).log_density.mean() - posterior(plain, held).log_density.mean()
    assert gained > -0.02


def test_one_gaussian_of_many_features_is_not_eaten_into() -> None:
    x = np.random.default_rng(0).normal(size=(4000, 30))
    assert learned(x, n_components=1).moments.noise < 0.02 * len(x)


def test_without_robust_nothing_is_noise() -> None:
    x, _, _ = contaminated(0.1, 3, n=1500)
    model = learned(x, robust=False)
    said = posterior(model, x)
    assert model.moments.noise == 0.0
    assert said.noise is None
    assert (said.label >= 0).all()
    state = to_state(model)
    assert "robust" not in state["spec"]
    assert all("noise" not in bucket for bucket in state["store"])


@pytest.mark.parametrize("memory", MEMORIES)
def test_how_rows_come_in_groups_changes_no_bit(memory: Memory) -> None:
    x, _, _ = contaminated(0.1, 4, n=1200)
    rows = Rows.of(x, np.random.default_rng(4).uniform(0.5, 2.0, len(x)), np.arange(len(x)) / 10.0)
    model = Model.new(Spec(4, batch_size=16, memory=memory, robust=True), 2)
    once, _ = learn(model, rows)
    for start in range(0, len(rows), 70):
        model, _ = learn(model, rows[start : start + 70])
    assert state_hash(model) == state_hash(once)
    assert state_hash(from_state(to_state(model))) == state_hash(model)
    assert from_state(to_state(model)).moments.noise == model.moments.noise > 0.0


@pytest.mark.parametrize("memory", MEMORIES[:3])
def test_what_components_do_not_get_the_background_has(memory: Memory) -> None:
    """Masses of components and background add up to what a plain model counts."""
    x, _, _ = contaminated(0.1, 5, n=1500)
    robust, plain = (learned(x, robust=robust, memory=memory).moments for robust in (True, False))
    assert robust.noise > 0.0
    assert robust.noise + robust.mass.sum() == pytest.approx(plain.mass.sum(), rel=1e-9)


def test_a_weight_of_two_is_the_row_twice() -> None:
    x, _, _ = contaminated(0.1, 6, n=1600)
    model = replace(learned(x[:1536]), pending=Rows.none(2))
    batch = x[1536:]
    longer = replace(model, spec=replace(model.spec, batch_size=128))
    heavy, _ = learn(model, Rows.of(batch, np.full(64, 2.0)))
    twice, _ = learn(longer, Rows.of(np.repeat(batch, 2, axis=0)))
    assert heavy.moments.noise == pytest.approx(twice.moments.noise, rel=1e-12)
    np.testing.assert_allclose(heavy.moments.scatter, twice.moments.scatter, rtol=1e-10)


def test_shards_merge_their_backgrounds() -> None:
    x, _, _ = contaminated(0.1, 7, n=3072)
    start = learned(x[:1536])
    one, two = shards(start, 2)
    one, _ = learn(one, Rows.of(x[1536:2304]))
    two, _ = learn(two, Rows.of(x[2304:]))
    both, merged = merge(one, two)
    assert merged.exact
    assert both.moments.noise == pytest.approx(one.moments.noise + two.moments.noise, rel=1e-12)
    apart = learned(x[1536:], random_state=9)
    joined, _ = merge(start, apart)
    assert joined.moments.noise == pytest.approx(start.moments.noise + apart.moments.noise, rel=1e-12)


def test_the_share_of_a_row_is_its_formula() -> None:
    x, _, _ = contaminated(0.1, 8, n=1200)
    model = learned(x)
    background, moments = Background.of(model.moments), model.moments
    gaps = holes(x[:50], 0.4, seed=8)
    z = model.basis.forward(gaps)
    log_density = np.linspace(-9.0, 1.0, len(z))
    mass = moments.mass.sum()
    e = (moments.noise + 0.5) / (moments.noise + mass + 1.0)
    mean = moments.mass @ moments.mean / mass
    for row, value, found in zip(z, log_density, background.share_of(z, log_density), strict=True):
        log_c, m = 0.0, 0
        for j in np.flatnonzero(~np.isnan(row)):
            v = (moments.scatter[:, j, j] + moments.mass * (moments.mean[:, j] - mean[j]) ** 2).sum() / mass
            log_c -= 0.5 * math.log(2.0 * math.pi * v)
            m += 1
        c = math.exp(log_c - 0.5 * (m + 2.0 * math.sqrt(2.0 * m)))
        expected = e * c / ((1.0 - e) * math.exp(value) + e * c)
        assert found == pytest.approx(expected, rel=1e-10)


def test_rows_with_holes_are_noise_by_what_they_have() -> None:
    x, label, noise = contaminated(0.1, 9)
    gaps = holes(x, 0.2, seed=9)
    model = learned(gaps)
    said = posterior(model, gaps)
    assert noise[said.label == -1].mean() > 0.9
    whole = ~noise & ~np.isnan(gaps).any(axis=1)
    assert adjusted_rand_score(label[whole], said.p[whole].argmax(axis=1)) > 0.98


def test_a_stream_that_moved_on_is_followed() -> None:
    x, _, _ = contaminated(0.05, 10)
    model = learned(x, memory=HalfLife(300.0))
    moved = contaminated(0.0, 11)[0] + 300.0
    assert (posterior(model, moved[:100]).label == -1).all()
    model, _ = learn(model, Rows.of(moved))
    assert (posterior(model, moved).label == -1).mean() < 0.2


def test_a_fit_leaves_noise_out_too() -> None:
    x, label, noise = contaminated(0.1, 12, n=2000)
    spec = Spec(4, robust=True, random_state=0)
    model = fit(Rows.of(x), spec, max_iter=50, tol=1e-4).model
    said = posterior(model, x)
    assert noise[said.label == -1].mean() > 0.95
    assert adjusted_rand_score(label[~noise], said.p[~noise].argmax(axis=1)) > 0.99
    assert model.moments.noise + model.moments.mass.sum() == pytest.approx(len(x), rel=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_hostile_streams(seed: int) -> None:
    stream = hostile(seed)
    stream = replace(stream, choices={**stream.choices, "robust": True})
    for family in ALL_FAMILIES:
        survives(stream, family, ("reference", "compiled")[seed % 2])


def test_robust_is_true_or_false() -> None:
    with pytest.raises(ValueError, match="robust is 'yes', expected True or False"):
        Spec(robust="yes")  # type: ignore[arg-type]  # what is refused


def test_a_background_counts_where_memories_stand_side_by_side() -> None:
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [9.0, 9.0]])[rng.integers(0, 2, 12_000)] + rng.normal(size=(12_000, 2))
    noise = rng.random(len(x)) < 0.1
    x[noise] = rng.uniform(-40.0, 40.0, (int(noise.sum()), 2))
    choices = {"batch_size": 64, "memory": Adaptive.suited(2, 64), "robust": True}
    _, done = learn(Model.new(Spec(2, **choices), 2), Rows.of(x))  # type: ignore[arg-type]  # a spec's
    assert not [change for change in done.changes if change.kind == "drift"]
