"""Going on with another memory: what the new one needs of the old one's store stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import Averaged, Forever, HalfLife, Memory, Model, Rows, Window, learn, state_hash
from stream_mix.mixture.following import going_on

from .streams import spec

BATCH = 20


def learned(memory: Memory, n: int, first: int = 0) -> Model:
    return taught(Model.new(spec("diag", memory=memory, batch_size=BATCH), 2), n, first)


def taught(model: Model, n: int, first: int = 0) -> Model:
    x = np.random.default_rng(0).normal(size=(first + n, 2))[first:]
    return learn(model, Rows.of(x))[0]


def with_memory(model: Model, memory: Memory) -> Model:
    return going_on(model, replace(model.spec, memory=memory))


@pytest.mark.parametrize(("old", "new"), [(1600, 1000), (1600, 100), (400, 1000)])
def test_a_window_of_another_length_holds_no_more_than_it_says(old: int, new: int) -> None:
    model = with_memory(learned(Window(old), 4000), Window(new))
    # Buckets are those of the old window until they are dropped.
    most = new + max(Window(old).bucket, Window(new).bucket) + BATCH
    for first in range(4000, 8000, BATCH):
        model = taught(model, BATCH, first)
        assert model.moments.rows <= most
    assert new <= model.moments.rows <= new + Window(new).bucket + BATCH


def test_a_longer_window_loses_nothing_before_it_is_full() -> None:
    model = with_memory(learned(Window(400), 4000), Window(1000))
    held = model.moments.rows
    assert taught(model, 500, 4000).moments.rows == held + 500


@pytest.mark.parametrize(("one", "two"), [
    (Window(1600), Window(1000)), (Averaged(0.6, 200.0), Averaged(0.8, 300.0)),
    (HalfLife(50.0), HalfLife(90.0)),
])  # fmt: skip
def test_there_and_back_again_is_where_it_was(one: Memory, two: Memory) -> None:
    model = learned(one, 3000)
    there = with_memory(model, two)
    assert state_hash(there) != state_hash(model)
    assert state_hash(with_memory(there, one)) == state_hash(model)


def test_a_memory_of_another_kind_begins_with_what_is_known() -> None:
    model = learned(Window(1600), 3000)
    after = with_memory(model, Forever())
    assert len(after.store) == 1
    np.testing.assert_array_equal(after.moments.mass, model.moments.mass)
