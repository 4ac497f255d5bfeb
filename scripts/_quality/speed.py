"""Row family: what the defaults cost on data that holds still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from _bench.timing import alternate

from stream_mix import river

from . import ours
from .family import Family, Options, Record, judged, record
from .source import Source
from .work import alone

MOST = 1.3
SHAPES = ((2, 5), (8, 16), (32, 64))
_TURNS, _QUICK_TURNS = 15, 5
_LEARNED = 100_000
"""Rows that batches have learned before: looks at the sample come ever more seldom."""


def _run(source: Source, options: Options) -> Sequence[Record]:
    if source.only is not None:
        return []
    turns = _QUICK_TURNS if options.quick else _TURNS
    rows: list[Record] = []
    for door in DOORS:
        for d, k in SHAPES[:2] if options.quick else SHAPES:
            # Here and not in the crew: what is timed must have the machine for itself.
            plain, defaults = alone(_one, (door, d, k, turns))
            row = record(f"d = {d}, k = {k}", f"stream_mix {door}", [defaults / plain], seeds=1)
            row |= {"plain": 1 / plain, "defaults": 1 / defaults}
            rows.append(judged(row, row["value"] <= MOST, f"<= {MOST}", MOST))
    return rows


def _in_batches(k: int, x: np.ndarray) -> tuple[Any, Callable[[Any], object]]:
    model = ours.mixture(k, 0)
    while not hasattr(model, "model_") or model.model_.learned < _LEARNED:
        ours.one_pass(model, x)
    return model, lambda model: model.partial_fit(x)


def _row_by_row(k: int, x: np.ndarray) -> tuple[Any, Callable[[Any], object]]:
    model = river.GaussianMixture(k, seed=0)
    rows = [dict(enumerate(row)) for row in x.tolist()]
    for row in rows:
        model.learn_one(row)

    def learn(model: Any) -> None:
        for row in rows[:2048]:
            model.learn_one(row)

    return model, learn


DOORS = {"GaussianMixture.partial_fit": _in_batches, "GaussianMixture.learn_one": _row_by_row}


def _one(door: str, d: int, k: int, turns: int) -> tuple[float, float]:
    """Seconds a row, plain and with the defaults, once the start is settled: the least of many turns."""
    rng = np.random.default_rng(0)
    rows = max(8192, 16 * k * max(100, 4 * d) // 10)
    x = rng.normal(size=(k, d))[rng.integers(0, k, rows)] * 4.0 + rng.normal(size=(rows, d))
    sides = {}
    for name in ("plain", "defaults"):
        model, learn = DOORS[door](k, x)
        if name == "plain":
            ours.plain(model)
        sides[name] = lambda learn=learn, model=model: learn(model)
    taken = alternate(sides, turns)
    count = rows if door.endswith("partial_fit") else min(2048, rows)
    return min(taken["plain"]) / count, min(taken["defaults"]) / count


FAMILY = Family(
    name="speed",
    title="Seconds a learned row with the defaults, against the plain learner, on data that holds still",
    notes=(
        "Both in turn in one process, one thread, after the start (100,000 rows for batches); the least of",
        "many turns. plain: no sample of the stream is kept, and nothing is reviewed.",
    ),
    columns=(("plain", "plain rows/s"), ("defaults", "defaults rows/s"), ("value", "times slower")),
    axis="times slower than the plain learner",
    run=_run,
)
