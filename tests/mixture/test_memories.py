"""The memory that parameters ask for: one set of rules behind every door, and nothing of NumPy's in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from stream_mix import river, sklearn
from stream_mix.config.model import Model
from stream_mix.mixture import Memory, Window
from stream_mix.mixture.memories import memory_of

ASKED: list[dict[str, Any]] = [
    {}, {"half_life": 300.0}, {"half_life": "auto"}, {"time_half_life": 60.0}, {"window": 500},
    {"step_exponent": 0.7}, {"averaged": True}, {"step_exponent": 0.8, "averaged": True},
]  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"half_life": 0}, "half_life is 0, expected a number of rows > 0"),
    ({"half_life": "long"}, "half_life is 'long', expected a number of rows > 0 or 'auto'"),
    ({"half_life": True}, "half_life is True, expected a number of rows > 0"),
    ({"half_life": np.complex64(1.0)}, "half_life is .*, expected a number of rows > 0"),
    ({"time_half_life": -1.0}, r"time_half_life is -1\.0, expected a number of seconds > 0"),
    ({"time_half_life": "auto"}, "time_half_life is 'auto', expected a number of seconds > 0; a half-life"),
    ({"window": 2.5}, r"window is 2\.5, expected an integer of rows >= 1"),
    ({"window": True}, "window is True, expected an integer of rows >= 1"),
    ({"step_exponent": 0.5}, r"step_exponent is 0\.5, expected a number > 0\.5 and <= 1"),
    ({"averaged": 1}, "averaged is 1, expected True or False"),
    ({"half_life": 5, "window": 7}, "half_life=5 and window=7 are given, expected at most one memory"),
    ({"window": 7, "averaged": True}, "window=7 and averaged=True are given, expected at most one memory"),
]


@pytest.mark.parametrize("asked", ASKED, ids=str)
def test_every_door_gives_the_same_memory(asked: dict[str, Any]) -> None:
    expected = memory_of(**asked, n_components=3, batch_size=40)
    x = np.random.default_rng(0).normal(size=(50, 2))
    fitted = sklearn.GaussianMixture(3, batch_size=40, random_state=0, **asked).partial_fit(
        x, t=np.arange(50.0)
    )
    assert fitted.model_.spec.memory == expected
    assert river.GaussianMixture(3, batch_size=40, **asked).model.spec.memory == expected
    assert Model(n_components=3, batch_size=40, **asked).spec().memory == expected


@pytest.mark.parametrize(("asked", "line"), WRONG)
def test_what_makes_no_sense_is_refused_alike(asked: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        memory_of(**asked)
    with pytest.raises(ValueError, match=line):
        river.GaussianMixture(3, **asked)
    with pytest.raises(ValueError, match=line):
        sklearn.GaussianMixture(3, **asked).fit([[0.0], [1.0], [2.0]])


@pytest.mark.parametrize(
    "asked",
    [
        {"half_life": np.float32(0.7)}, {"time_half_life": np.int64(60)}, {"window": np.int32(500)},
        {"step_exponent": np.float32(0.7)}, {"step_exponent": np.float64(0.7), "averaged": np.True_},
    ],
    ids=str,
)  # fmt: skip
def test_numbers_of_numpy_s_become_plain_ones(asked: dict[str, Any]) -> None:
    memory: Memory = memory_of(**asked)
    assert dataclasses.is_dataclass(memory)
    kinds = {type(value) for value in vars(memory).values()}
    assert kinds == {int if isinstance(memory, Window) else float}
