"""Row family: anomalies found in a contaminated stream, each row scored before it is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from . import ours, stream_peers
from .family import Family, Options, Record, judged, record
from .source import Source

K = 10
REACH = {"satimage2": 0.98, "smtp_kddcup": 0.93, "cover": 0.93, "strange": 0.98}
FIRST = 500
"""Rows that are learned but not counted: before them nobody knows what is ordinary."""
_QUICK_ROWS = 20_000


def _run(source: Source, options: Options) -> Sequence[Record]:
    wanted = [name for name in REACH if name != "strange"]
    names = source.choose(wanted[:2] if options.quick else wanted, ("strange",))
    tasks, groups = [], []
    most = _QUICK_ROWS if options.quick else None
    for name in names:
        for learner in LEARNERS:
            if options.ours and not learner.startswith("stream_mix"):
                continue
            seeds = options.some(10 if learner.startswith("stream_mix") else 2, 5)
            groups.append((name, learner, len(seeds)))
            tasks += [(source, name, learner, seed, most) for seed in seeds]
    runs = options.crew.each(_one, tasks)
    return [_row(name, learner, [next(runs) for _ in range(count)]) for name, learner, count in groups]


def _row(name: str, learner: str, runs: list[tuple[float, int]]) -> Record:
    row = record(name, learner, [auc for auc, _ in runs], rows=runs[0][1], seeds=len(runs))
    if learner != OURS:
        return row
    return judged(row, row["value"] > REACH[name], f"> {REACH[name]}", REACH[name])


def _one(source: Source, name: str, learner: str, seed: int, most: int | None) -> tuple[float, int]:
    """Area under the ROC curve of scores given before learning, over shuffled rows, and their number."""
    data = source.load(name)
    assert data.label is not None
    order = np.random.default_rng(seed).permutation(data.n)[:most]
    score = LEARNERS[learner](data.x[order], seed)
    return float(roc_auc_score(data.label[order][FIRST:], score[FIRST:])), len(order)


def _by_density(x: np.ndarray, seed: int) -> np.ndarray:
    return stream_peers.scores(ours.scorer(K, seed, score="log_density"), x)


def _by_tail(x: np.ndarray, seed: int) -> np.ndarray:
    return stream_peers.scores(ours.scorer(K, seed), x)


def _by_remoteness(x: np.ndarray, seed: int) -> np.ndarray:
    return stream_peers.scores(ours.scorer(K, seed, score="remoteness"), x)


OURS = "stream_mix GaussianMixtureScorer, remoteness"
LEARNERS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    OURS: _by_remoteness,
    "stream_mix GaussianMixtureScorer, log density": _by_density,
    "stream_mix GaussianMixtureScorer, tail probability": _by_tail,
    "River HalfSpaceTrees": stream_peers.half_space_trees,
    "River OneClassSVM": stream_peers.one_class_svm,
    f"sklearn GaussianMixture, k = {K}, fitted to the rows": stream_peers.batch_mixture,
}

FAMILY = Family(
    name="anomalies",
    title=f"Anomalies in a contaminated stream, K = {K}: area under the ROC curve",
    notes=(
        "Rows shuffled; each is scored before it is learned, anomalies are learned like all others, and the",
        f"first {FIRST} rows are not counted. scikit-learn's mixture is no stream: it is fitted to the first",
        "20,000 rows and then scores all. Ours is judged by its remoteness, which is made for ranking.",
    ),
    columns=(
        ("rows", "rows"), ("seeds", "seeds"), ("value", "AUC"), ("low", "least"), ("high", "greatest"),
    ),
    axis="area under the ROC curve",
    run=_run,
)  # fmt: skip
