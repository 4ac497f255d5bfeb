"""Each way in which mixtures are known to break, on a stream made for it; and a thousand made of all of them.

The thousand take minutes: `scripts/test --long -k thousand`.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from stream_mix.mixture import (
    MAXIMUM_LIKELIHOOD,
    Forever,
    HalfLife,
    Memory,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    from_state,
    learn,
    merge,
    parameters,
    posterior,
    to_state,
)
from stream_mix.mixture.arrays import Array

from .hostiles import assert_sound, hostile, kernels_here, survives, taught
from .lively import on, reference
from .streams import ALL_FAMILIES

MEMORIES: list[Memory] = [Forever(), HalfLife(100.0), TimeHalfLife(100.0), Window(200)]


def blobs(n: int, seed: int = 0, apart: float = 12.0) -> Array:
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [apart, 0.0], [0.0, apart]])
    found: Array = centres[rng.integers(3, size=n)] + rng.normal(size=(n, 2))
    return found


def model_of(family: str, k: int, d: int = 2, **choices: object) -> Model:
    return Model.new(Spec(k, family, **{"batch_size": 50, **choices}), d)  # type: ignore[arg-type]  # checked by Spec


def score(model: Model, x: Array) -> float:
    return float(posterior(model, x).log_density.mean())


@pytest.mark.parametrize("seed", range(60))
def test_hostile_streams(seed: int) -> None:
    kernels = kernels_here()
    for family in ALL_FAMILIES:
        survives(hostile(seed), family, kernels[seed % len(kernels)])


@pytest.mark.slow
@pytest.mark.parametrize("block", range(0, 1000, 50))
def test_a_thousand_hostile_streams(block: int) -> None:
    for seed, family, kernels in itertools.product(range(block, block + 50), ALL_FAMILIES, kernels_here()):
        survives(hostile(seed), family, kernels)


@pytest.mark.parametrize("seed", range(0, 40, 2))
def test_what_hostile_streams_left_can_be_merged_and_kept(seed: int) -> None:
    family = ALL_FAMILIES[seed // 2 % len(ALL_FAMILIES)]
    stream = hostile(seed)
    *_, model = taught(stream, family, "compiled")
    other, _ = learn(Model.new(model.spec, model.d), Rows(model.pending.x, model.pending.w, model.pending.t))
    rng = np.random.default_rng(seed)
    calm = Rows.of(rng.normal(size=(600, model.d)), t=1.7e9 + np.arange(600.0))
    other, _ = learn(Model.new(model.spec, model.d), calm)
    for one, two in ((model, other), (other, model)):
        merged, _ = merge(one, two)
        assert_sound(merged, calm.x)
        assert_sound(from_state(to_state(merged)), calm.x)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", MEMORIES, ids=str)
def test_components_with_fewer_rows_than_features_do_not_collapse(family: str, memory: Memory) -> None:
    rng = np.random.default_rng(0)
    x = rng.choice([0.0, 9.0, 18.0, 27.0], (60, 1)) + rng.normal(size=(60, 20))
    model, _ = learn(model_of(family, 8, 20, memory=memory, batch_size=10), Rows.of(x))
    assert_sound(model, x)
    # Prior and pooled covariance hold: new rows of the same kind are not ages away.
    new = rng.choice([0.0, 9.0, 18.0, 27.0], (200, 1)) + rng.normal(size=(200, 20))
    assert score(model, new) > -100.0


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_starved_components_stay_sound_and_take_rows_again(family: str) -> None:
    x = blobs(600)
    model, _ = learn(model_of(family, 3, memory=HalfLife(20.0), batch_size=1), Rows.of(x))
    alone = x[np.hypot(*x.T) < 5.0]
    for _ in range(10):
        model, _ = learn(model, Rows.of(alone[:150]))
    assert_sound(model, x)
    model, _ = learn(model, Rows.of(blobs(600, 1)))
    assert score(model, blobs(600, 2)) > -4.6


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_far_beyond_every_density_get_shares_and_a_density(family: str) -> None:
    model, _ = learn(model_of(family, 3), Rows.of(blobs(900)))
    far = np.array([[1e9, 0.0], [-1e50, 1e50], [1e100, 1e100], [1e12, -1e12]])
    assert_sound(model, far)
    told = posterior(model, far)
    assert (told.outlier > 1.0 - 1e-12).all()
    # Further out is less likely.
    assert np.argsort(told.log_density).tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e101])
def test_a_bad_row_is_refused_alone(family: str, value: float) -> None:
    x = blobs(600)
    bad = x.copy()
    bad[::50, 1] = value
    model, plain = model_of(family, 3, batch_size=1), model_of(family, 3, batch_size=1)
    refused = 0
    for row in bad:
        try:
            model, _ = learn(model, Rows.of(row[None]))
        except ValueError:
            refused += 1
    assert refused == 12
    plain, _ = learn(plain, Rows.of(np.delete(x, np.arange(0, 600, 50), axis=0)))
    np.testing.assert_array_equal(model.moments.mean, plain.moments.mean)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", MEMORIES, ids=str)
def test_constant_duplicated_and_collinear_features(family: str, memory: Memory) -> None:
    x = blobs(900)
    wide = np.column_stack([x, np.full(900, 7.0), x[:, 0], 3.0 * x[:, 0] - x[:, 1] + 1e6])
    model, _ = learn(model_of(family, 3, 5, memory=memory), Rows.of(wide))
    assert_sound(model, wide)
    labels = posterior(model, wide).label
    truth = np.argmin(((x[:, None] - np.array([[0, 0], [12, 0], [0, 12]])) ** 2).sum(axis=2), axis=1)
    assert all(len(set(labels[truth == i])) == 1 for i in range(3)) or family in ("kmeans", "spherical")


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_scales_and_offsets_change_no_label(family: str) -> None:
    x = blobs(900)
    plain, _ = learn(model_of(family, 3), Rows.of(x))
    round = family in ("kmeans", "spherical")
    for stretch, shift in (([1e-9, 1e9], 0.0), ([1e9, 1e-9], 0.0), ([1e4, 1e4], 1e12), ([1e-6, 1e-6], 1e3)):
        moved = x * (stretch[0] if round else np.array(stretch)) + shift
        model, _ = learn(model_of(family, 3), Rows.of(moved))
        assert_sound(model, moved)
        assert (posterior(model, moved).label == posterior(plain, x).label).mean() > 0.995


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_counts_do_not_freeze_a_memory_that_forgets(family: str) -> None:
    drift = np.linspace(0.0, 400.0, 20_000)[:, None]
    x = blobs(20_000, apart=40.0) + drift
    model, _ = learn(model_of(family, 3, memory=HalfLife(100.0), batch_size=20), Rows.of(x))
    assert score(model, blobs(500, 1, apart=40.0) + 400.0) > -6.5


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", MEMORIES, ids=str)
def test_labels_do_not_switch_between_snapshots(family: str, memory: Memory) -> None:
    probe = np.array([[0.0, 0.0], [12.0, 0.0], [0.0, 12.0]])
    model, seen = model_of(family, 3, memory=memory), set()
    for start in range(0, 3000, 50):
        model, _ = learn(model, Rows.of(blobs(50, start), t=np.arange(50.0) + start))
        if start >= 500:
            seen.add(tuple(posterior(model, probe).label.tolist()))
    assert len(seen) == 1
    assert len(set(*seen)) == 3


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", [Forever(), HalfLife(1e7)], ids=str)
def test_covariances_stay_symmetric_and_positive_after_1e8_updates(family: str, memory: Memory) -> None:
    rng = np.random.default_rng(0)
    mix = np.array([[1.0, 0.999, 0.5], [0.0, 0.01, 0.5], [0.0, 0.0, 1e-3]])
    x = rng.normal(size=(2000, 3)) @ mix + 1e6
    model, _ = learn(model_of(family, 2, 3, memory=memory, batch_size=1), Rows.of(x))
    # Twice as many rows each time: what 1e8 of them come to.
    while model.learned < 1e8:
        model, _ = merge(model, model)
        assert_sound(model, x)
    more, _ = learn(model, Rows.of(x))
    assert_sound(more, x)
    assert more.moments.rows > 1e8
    np.testing.assert_allclose(parameters(more).means, parameters(model).means, rtol=1e-6)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("apart", [4.0, 12.0])
@pytest.mark.parametrize("kernels", kernels_here())
def test_components_stay_apart_through_ages_of_silence(family: str, apart: float, kernels: str) -> None:
    x, t = blobs(1600, 0, apart), np.arange(1600.0) + np.repeat([0.0, 1e6], 800)
    model = model_of(family, 3, memory=TimeHalfLife(60.0), batch_size=1)
    rows = Rows.of(x, t=t)
    if kernels == "reference":
        with reference():
            model, _ = learn(model, rows)
    elif kernels == "live":
        from stream_mix.mixture.live import isas

        model, _ = on(isas()[0], model, rows)
    else:
        model, _ = learn(model, rows)
    held_out = blobs(2000, 1, apart)
    calm, _ = learn(model_of(family, 3, memory=TimeHalfLife(60.0), batch_size=1), Rows.of(x[800:], t=t[800:]))
    assert score(model, held_out) > score(calm, held_out) - 0.1


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 50])
def test_a_stream_that_stands_still_at_first_is_not_begun(family: str, batch_size: int) -> None:
    still = np.full((700, 2), 5.0)
    model, _ = learn(model_of(family, 4, batch_size=batch_size), Rows.of(still))
    assert_sound(model, still)
    assert model.next_start > 0
    model, _ = learn(model, Rows.of(blobs(2500)))
    assert model.next_start == 0
    assert len(np.unique(parameters(model).means.round(3), axis=0)) == 4
    # A quarter of the rows was elsewhere: their share of the density is what is missing.
    assert score(model, blobs(1000, 1)) > -4.4


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_stream_that_never_moves_is_begun_in_the_end(family: str) -> None:
    still = np.full((8100, 2), 5.0)
    model, _ = learn(model_of(family, 4, batch_size=100), Rows.of(still))
    assert model.next_start == 0
    assert_sound(model, still)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("batch_size", [1, 50])
@pytest.mark.parametrize("giant", [1e7, 1e9, 1e50, 1e100])
def test_a_giant_among_the_first_rows_does_not_blind_the_model(
    family: str, batch_size: int, giant: float
) -> None:
    x = blobs(1500)
    x[7, 0] = giant
    model, _ = learn(model_of(family, 4, batch_size=batch_size), Rows.of(x))
    assert_sound(model, x)
    # One component of four is the giant's; k-means, whose weights are equal, pays for it.
    assert score(model, blobs(1000, 1)) > -4.05 - (np.log(4 / 3) if family == "kmeans" else 0.0)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_maximum_likelihood_of_a_few_rows_is_sound(family: str, n: int) -> None:
    x = blobs(300)
    model = model_of(family, 3, prior=MAXIMUM_LIKELIHOOD, batch_size=n)
    for start in range(0, 300, n):
        model, _ = learn(model, Rows.of(x[start : start + n]))
        assert_sound(model, x)
