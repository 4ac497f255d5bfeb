"""Row families: does every cluster get its centre, in one pass over shuffled rows, and over sorted ones?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import mean, median
from typing import Any

import numpy as np

from . import ours, peers
from .family import Family, Options, Record, judged, record
from .learner import Learner, by_name
from .measures import centroid_index, class_means, rand_index
from .source import Source

SHUFFLED = ("s1", "s3", "a1", "a3", "unbalance", "dim032", "r15")
SORTED = ("s1", "a1", "dim032", "unbalance")
MADE = ("round", "many", "unequal", "wide")
OURS = (ours.KMEANS, ours.MIXTURE)
SURE = 0.95
"""Share of seeds in which every cluster must have its centre."""


def _learners(quick: bool) -> tuple[Learner, ...]:
    return (*OURS, *peers.learners(quick))


def _run(source: Source, options: Options, *, in_order: bool) -> Sequence[Record]:
    names = source.choose(SORTED if in_order else SHUFFLED, MADE, others=True)
    tasks, groups = [], []
    for name in names:
        for learner in OURS if options.ours else _learners(options.quick):
            seeds = options.some(learner.most_seeds, 20)
            groups.append((name, learner, len(seeds)))
            tasks += [(source, name, learner.name, seed, in_order, options.quick) for seed in seeds]
    runs = options.crew.each(_one, tasks)
    return [_row(name, learner, [next(runs) for _ in range(count)]) for name, learner, count in groups]


def _row(name: str, learner: Learner, runs: list[dict[str, Any]]) -> Record:
    wrong = [run["ci"] for run in runs]
    row = record(
        name,
        learner.name,
        wrong,
        **{key: runs[0][key] for key in ("n", "d", "k", "rows", "in_order")},
        passes=learner.passes,
        seeds=len(runs),
        right=mean(ci == 0 for ci in wrong),
        median=median(wrong),
        ari=mean(run["ari"] for run in runs),
        found=median(run["found"] for run in runs),
    )
    if not learner.ours:
        return row
    if row["in_order"]:
        said = f"median CI {row['median']:g}, worst {max(wrong)}"
        return judged({**row, "said": said}, row["median"] <= 1, "median <= 1", 1.0)
    said = f"CI 0 in {row['right']:.0%} of seeds, worst {max(wrong)}"
    met = row["right"] >= SURE and max(wrong) <= 1
    return judged({**row, "said": said}, met, "0 in 95 %, never above 1", 0.0)


def _one(source: Source, name: str, learner: str, seed: int, in_order: bool, quick: bool) -> dict[str, Any]:
    """One learner, one order: the seed shuffles the rows, or they come cluster by cluster, and is the
    learner's."""
    data = source.scaled(name)
    assert data.label is not None
    chosen = by_name(_learners(quick), learner)
    if in_order:
        # Some sets are in this order as they come; where one gets fewer rows, it gets every so manieth.
        order = np.argsort(data.label, kind="stable")
        rows = min(data.n, chosen.most_rows or data.n)
        order = order[np.linspace(0, data.n - 1, rows).astype(int)]
    else:
        order = np.random.default_rng(seed).permutation(data.n)[: chosen.most_rows]
    x = data.x[order]
    fit = chosen.fit(x, data.k, seed)
    return {
        "ci": centroid_index(fit.centres, class_means(data.x, data.label)),
        "ari": rand_index(data.label[order], fit.label(x)),
        "found": len(fit.centres),
        "n": data.n, "d": data.d, "k": data.k, "rows": len(x), "in_order": in_order,
    }  # fmt: skip


_NOTES = (
    "CI: centroid index, clusters without a centre or centres without a cluster; mean, worst seed, and",
    "share of seeds where it is 0. ARI: adjusted Rand index, mean; noise rows are learned but not",
    "counted. rows: what the learner got, fewer than n where a row takes it long; all get the same rows",
    "in the same order, centred, in units of their spread, each feature its own if they differ by a",
    "factor of ten.",
)
_COLUMNS = (
    ("n", "n"), ("d", "d"), ("k", "k"), ("passes", "passes"), ("rows", "rows"), ("seeds", "seeds"),
    ("found", "found"), ("value", "CI"), ("high", "CI max"), ("right", "CI = 0"), ("ari", "ARI"),
)  # fmt: skip

FAMILY = Family(
    name="centres",
    title="Centres in the right place after one pass over shuffled rows, number of clusters given",
    notes=_NOTES,
    columns=_COLUMNS,
    axis="centroid index",
    run=partial(_run, in_order=False),
    scale="symlog",
)
IN_ORDER = replace(
    FAMILY,
    name="sorted",
    title="The same with the rows in the order of their clusters",
    run=partial(_run, in_order=True),
)
