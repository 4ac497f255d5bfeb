"""Row family: a poor start, learned on from: what becomes of it under each kind of steps?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from . import ours
from .family import Family, Options, Record, judged, record
from .measures import rand_index
from .published import SIMULATIONS
from .source import Source

ROWS, QUICK_ROWS = 200_000, 50_000
BEGUN = 100
"""Rows that one iteration of batch EM is made of, from random rows: the poor start."""

ALL = "stream_mix, every row counts the same"
AVERAGED = "stream_mix, averaged=True"
KINDS: Mapping[str, Mapping[str, Any]] = {
    ALL: {},
    **{f"stream_mix, step_exponent={exponent}": {"step_exponent": exponent} for exponent in (0.9, 0.75, 0.6)},
    AVERAGED: {"averaged": True},
}
START = "the start"


def _run(source: Source, options: Options) -> Sequence[Record]:
    names = [name for name in SIMULATIONS if source.only is None or name in source.only]
    seeds = range(options.count(20, quick=4))
    rows = QUICK_ROWS if options.quick else ROWS
    runs = options.crew.each(_one, [(name, seed, rows) for name in names for seed in seeds])
    records: list[Record] = []
    for name in names:
        found = [next(runs) for _ in seeds]
        best = {learner: [run[learner][0] for run in found] for learner in (START, *KINDS)}
        for learner, values in best.items():
            density = float(np.mean([run[learner][1] for run in found]))
            row = record(name, learner, values, rows=rows, seeds=len(values), density=density)
            if learner == AVERAGED:
                goal = float(np.mean(best[ALL]))
                row = judged(row, row["value"] >= goal, "as good as where every row counts the same", goal)
            records.append(row)
    return records


def _one(name: str, seed: int, rows: int) -> dict[str, tuple[float, float]]:
    """ARI and mean log density of fresh rows, after one pass from one poor start."""
    truth, rng = SIMULATIONS[name][0](), np.random.default_rng([2021, seed])
    x, _ = truth.drawn(rows, rng)
    fresh, label = truth.drawn(20_000, rng)
    start = GaussianMixture(len(truth.weights), max_iter=1, init_params="random_from_data", random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is not to converge
        start.fit(x[:BEGUN])
    found: dict[str, Any] = {START: start}
    for kind, more in KINDS.items():
        found[kind] = ours.one_pass(ours.from_fitted(start, BEGUN, **more), x[BEGUN:])
    return {
        kind: (rand_index(label, model.predict(fresh)), float(model.score(fresh)))
        for kind, model in found.items()
    }


FAMILY = Family(
    name="steps",
    title="From a poor start on, one pass",
    notes=(
        f"One iteration of batch EM on {BEGUN} rows is taken over from scikit-learn and learned on. ARI and",
        "mean log density of 20,000 fresh rows. Our own start is not poor: nothing of this is needed there.",
    ),
    columns=(
        ("rows", "rows"), ("seeds", "seeds"), ("value", "ARI"), ("low", "least"), ("high", "greatest"),
        ("density", "log density"),
    ),
    axis="adjusted Rand index",
    run=_run,
)  # fmt: skip
