"""The basis follows the data, and nothing that is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import Forever, Model, Rows, learn
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.live import isas

from .lively import assert_like, begun, on
from .streams import ALL_FAMILIES, spec


def rain(n: int, seed: int = 0) -> Array:
    """Rows (n, 2) of two clusters; the second feature is 0, as hours of rain mostly are, but in one of a
    hundred rows."""
    rng = np.random.default_rng(seed)
    x = np.stack([rng.normal(size=n) + 20.0 * (rng.random(n) < 0.5), np.zeros(n)], axis=1)
    wet = np.arange(n) % 100 == 50
    x[wet] = np.array([60.0, 7.0]) + rng.normal(size=(np.count_nonzero(wet), 2))
    return x


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_feature_that_is_nearly_always_0_keeps_its_unit(family: str, batch_size: int) -> None:
    model = Model.new(replace(spec(family, batch_size=batch_size), n_components=3), 2)
    x = rain(65 * 64 * 2 if batch_size > 1 else 1200)
    model, _ = learn(model, Rows.of(x))
    assert model.generation > 64
    # Of 0.7, the deviation of all its values, whatever is left of it where it is always 0.
    assert 0.1 < model.basis.scale[1] < 100.0


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_far_from_0_are_learned_to_the_last_bit_as_those_near_it(family: str) -> None:
    x = rain(65 * 64)
    x[2000:] *= 64.0
    x = np.round(x * 2.0**20) / 2.0**20
    blank = Model.new(replace(spec(family, batch_size=64), n_components=3), 2)
    near, far = (learn(blank, Rows.of(x + offset))[0] for offset in (0.0, 1e8))
    assert near.basis.scale.tolist() == far.basis.scale.tolist()
    for name in ("mass", "mean", "scatter"):
        np.testing.assert_array_equal(getattr(near.moments, name), getattr(far.moments, name))


@pytest.mark.parametrize("isa", isas())
def test_single_rows_that_are_live_keep_it_too(isa: str) -> None:
    x = rain(1000)
    model = begun("full", Forever(), x[:800], 3)
    assert_like(on(isa, model, Rows.of(x[800:]))[0], learn(model, Rows.of(x[800:]))[0])
    assert on(isa, model, Rows.of(x[800:]))[0].basis.scale[1] > 0.1
