"""Row family: what one pass over shuffled rows finds, beside peers with one pass and with many."""

from __future__ import annotations

import time
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

import numpy as np

from . import ours, peers
from .datasets import DataSet
from .family import Family, Options, Result
from .learner import Learner
from .measures import centroid_index, class_means, rand_index


def _run(sets: Iterable[DataSet], options: Options) -> Result:
    records: list[dict[str, Any]] = []
    missed: list[str] = []
    for data in sets:
        for learner in (*ours.LEARNERS, *peers.learners(options.quick)):
            options.say(f"{data.name}: {learner.name}")
            record = _record(data, learner, options.seeds)
            records.append(record)
            if data.judged and learner.judged and record["ci_median"] > 0:
                found = f"{learner.name} has median centroid index {record['ci_median']:g}"
                missed.append(f"{data.name}: {found}, expected 0")
    return Result(records, missed)


def _record(data: DataSet, learner: Learner, seeds: int) -> dict[str, Any]:
    """A learner on a set: every seed shuffles the rows anew, for all learners alike, and is the learner's."""
    runs = [_one(data, learner, seed) for seed in range(seeds)]
    rows = min(data.n, learner.most_rows or data.n)
    densities = [run["log_density"] for run in runs if run["log_density"] is not None]
    labelled = data.label is not None
    return {
        "set": data.name,
        "n": data.n,
        "d": data.d,
        "k": data.k,
        "learner": learner.name,
        "passes": learner.passes,
        "rows": rows,
        "ci_median": median(run["ci"] for run in runs) if labelled else None,
        "ci_max": max(run["ci"] for run in runs) if labelled else None,
        "ari": mean(run["ari"] for run in runs) if labelled else None,
        "log_density": mean(densities) if densities else None,
        "seconds": median(run["seconds"] for run in runs),
        "found": median(run["found"] for run in runs),
    }


def _one(data: DataSet, learner: Learner, seed: int) -> dict[str, Any]:
    order = np.random.default_rng(seed).permutation(data.n)
    x = data.x[order][: learner.most_rows]
    start = time.perf_counter()
    fit = learner.fit(x, data.k, seed)
    seconds = time.perf_counter() - start
    ci = ari = None
    if data.label is not None:
        label = data.label[order][: learner.most_rows]
        ci = centroid_index(fit.centres, class_means(data.x, data.label))
        ari = rand_index(label, fit.label(x))
    return {
        "ci": ci,
        "ari": ari,
        "seconds": seconds,
        "found": len(fit.centres),
        "log_density": _held_out(data, learner, x, seed) if fit.log_density is not None else None,
    }


def _held_out(data: DataSet, learner: Learner, x: np.ndarray, seed: int) -> float:
    """Mean log density, in the data's units, of the last fifth of the rows after learning the others."""
    border = len(x) * 4 // 5
    fit = learner.fit(x[:border], data.k, seed)
    assert fit.log_density is not None
    return float(fit.log_density(x[border:]).mean()) - data.log_scale


FAMILY = Family(
    name="one-pass",
    title="One pass over shuffled rows, number of clusters given",
    notes=(
        "CI: centroid index, clusters without a centre or centres without a cluster; median and worst seed.",
        "ARI: adjusted Rand index, mean over seeds; noise rows are learned but not counted.",
        "log density: mean per held-out row (a fifth) after learning the others, in the data's units; nats.",
        "rows: what the learner got, fewer than n where a row takes it long; all get the same rows in the",
        "same order, centred, complete ones only, in units of their spread, each feature its own if they",
        "differ by a factor of ten. seconds: to learn them once, median over seeds.",
    ),
    columns=(
        ("set", "set"), ("n", "n"), ("d", "d"), ("k", "k"), ("learner", "learner"), ("passes", "passes"),
        ("rows", "rows"), ("found", "found"), ("ci_median", "CI"), ("ci_max", "CI max"), ("ari", "ARI"),
        ("log_density", "log density"), ("seconds", "seconds"),
    ),
    run=_run,
)  # fmt: skip
