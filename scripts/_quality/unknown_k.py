"""Row family: how many clusters are there, when nobody says?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import ours, peers
from .family import Family, Options, Record, judged, record
from .source import Source

SETS = ("s1", "a1", "r15", "dim032", "unbalance")
MADE = ("round", "unequal", "wide")
WITHIN = 1
OURS = 'stream_mix GaussianMixture, n_components="auto"'
DBSTREAM, BIC = "River DBSTREAM", "sklearn GaussianMixture, least BIC"


def _run(source: Source, options: Options) -> Sequence[Record]:
    names = source.choose(SETS, MADE)
    tasks, groups = [], []
    for name in names:
        for learner in (OURS, DBSTREAM, BIC)[: 1 if options.ours else 2 if options.quick else 3]:
            seeds = options.some({OURS: 20, DBSTREAM: 3, BIC: 1}[learner], 20)
            groups.append((name, learner, len(seeds)))
            tasks += [(source, name, learner, seed) for seed in seeds]
    runs = options.crew.each(_one, tasks)
    return [_row(name, learner, [next(runs) for _ in range(count)]) for name, learner, count in groups]


def _row(name: str, learner: str, runs: list[tuple[int | None, int, str]]) -> Record:
    found, truth, why = [run[0] for run in runs], runs[0][1], runs[0][2]
    row = record(name, learner, found, k=truth, seeds=len(runs), goal=float(truth))
    if learner != OURS:
        return row
    within = [k is not None and abs(k - truth) <= WITHIN for k in found]
    row = {**row, "said": why or f"K {min(found)} to {max(found)}"}  # type: ignore[type-var]  # all or none are None
    return judged(row, all(within), f"{truth} within {WITHIN}", float(truth))


def _one(source: Source, name: str, learner: str, seed: int) -> tuple[int | None, int, str]:
    """How many were found (None: it cannot be asked), how many there are, and why not."""
    data = source.scaled(name)
    x = data.x[np.random.default_rng(seed).permutation(data.n)]
    if learner == OURS:
        try:
            return ours.unknown_k(x, seed), data.k, ""
        except ours.NotBuilt as error:
            return None, data.k, str(error)
    if learner == DBSTREAM:
        (found,) = (peer for peer in peers.learners(quick=False) if peer.name == DBSTREAM)
        return len(found.fit(x[: found.most_rows], data.k, seed).centres), data.k, ""
    choices = range(1, 2 * data.k + 1)
    return min(choices, key=lambda k: peers.em(x, k, seed, max_iter=50).bic(x)), data.k, ""


FAMILY = Family(
    name="unknown-k",
    title="Number of clusters found, none given, one pass over shuffled rows",
    notes=(
        "DBSTREAM's radius follows from the true number, as elsewhere here, so it is told more than ours.",
        "BIC: batch EM with every number up to twice the true one, the least criterion wins.",
    ),
    columns=(
        ("k", "k"), ("seeds", "seeds"), ("value", "found"), ("low", "least"), ("high", "greatest"),
        ("said", "remark"),
    ),
    axis="clusters found",
    run=_run,
)  # fmt: skip
