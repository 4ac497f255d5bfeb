"""Row family: an offset, or other units, must change no label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from stream_mix.sklearn import KMeans

from . import made, ours
from .family import Family, Options, Record, judged, record
from .source import Source

OFFSET = 1e8
_GRAIN = 2.0**-20
"""Rows are rounded to this, so that the offset below takes no digit from them."""
_POWER = 20
"""Features are scaled by powers of 2 up to this one, from 1e-6 to 1e6, which rounds nothing."""
QUICK = ("s1", "r15", "aggregation", "fuzzyx", "wine", "penguins", "iris", "dim032")
_MOST_ROWS, _QUICK_ROWS = 20_000, 2_000


def _offset(x: np.ndarray) -> np.ndarray:
    return x + OFFSET


def _scales(x: np.ndarray) -> np.ndarray:
    return x * 2.0 ** np.linspace(-_POWER, _POWER, x.shape[1]).round()


CASES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "mixture, offset": ("full", _offset),
    "mixture, scales": ("full", _scales),
    "KMeans, offset": ("kmeans", _offset),
}


def _run(source: Source, options: Options) -> Sequence[Record]:
    usual = QUICK if options.quick and source.only is None else tuple(source.names())
    names = source.choose(usual, (*made.RECIPES, "iris", "wine", "holes"))
    seeds = range(options.count(2, quick=1))
    most = _QUICK_ROWS if options.quick else _MOST_ROWS
    cases = [(name, case) for name in names for case in CASES]
    tasks = [(source, name, case, seed, most) for name, case in cases for seed in seeds]
    runs = options.crew.each(_one, tasks)
    rows = []
    for name, case in cases:
        row = record(name, f"stream_mix {case}", [next(runs) for _ in seeds], seeds=len(seeds))
        rows.append(judged(row, row["high"] == 0, "the same labels", 0.0))
    return rows


def _one(source: Source, name: str, case: str, seed: int, most: int) -> float:
    """Share of rows, holes and all, whose label after one pass is another than on the plain rows."""
    data = source.load(name)
    x = data.x[np.random.default_rng(seed).permutation(data.n)[:most]]
    x = x[~np.isnan(x).all(axis=1)]
    deviation = np.nanstd(x, axis=0)
    x = (x - np.nanmean(x, axis=0)) / np.where(deviation > 0, deviation, 1.0)
    plain = np.round(x / _GRAIN) * _GRAIN
    family, change = CASES[case]
    before, after = (_labels(family, rows, data.k, seed) for rows in (plain, change(plain)))
    return float((before != after).mean())


def _labels(family: str, x: np.ndarray, k: int, seed: int) -> np.ndarray:
    model: Any = ours.mixture(k, seed) if family == "full" else KMeans(n_clusters=k, random_state=seed)
    return ours.one_pass(model, x).predict(x)


FAMILY = Family(
    name="scales",
    title="Labels of rows that are far from 0, or in other units, against those of the plain rows",
    notes=(
        f"Plain rows are in units of their spread and rounded to 2^-20; an offset of {OFFSET:g}, or scales",
        "of the features from 2^-20 to 2^20, loses none of their digits. other: share of rows with another",
        "label than after one pass over the plain rows with the same seed. k-means is asked about the offset",
        "only: other units make other distances.",
    ),
    columns=(("seeds", "seeds"), ("value", "other"), ("high", "most")),
    axis="share of rows with another label",
    run=_run,
)
