"""Row family: squared error of one-pass k-means beside breathing k-means, a batch method."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from sklearn.cluster import KMeans as BatchKMeans

from . import ours, peers
from .family import Family, Options, Record, judged, record
from .learner import Learner, by_name
from .source import Source

PUBLISHED = {
    "correlated": (100, 5.517e5), "randangles": (60, 3.272), "gmd5x5": (50, 6.149), "r15": (30, 65.80),
    "norm25_new": (50, 1.405e5), "spam58": (50, 5.770e6), "intrusion_kdd99": (25, 1.088e12),
    "birch1": (100, 9.278e13),
}  # fmt: skip
"""Set -> centres, and the squared error of breathing k-means in Fritzke's notebooks (github.com/gittar/
breathing-k-means)."""
MADE = {"round": (30, None), "many": (60, None), "overlap": (30, None)}
QUICK = ("randangles", "gmd5x5", "r15", "norm25_new")
MOST = 1.05
BREATHING, LLOYD = "breathing k-means", "sklearn KMeans, one start"
MINI = "sklearn MiniBatchKMeans.partial_fit"
_LARGE = 50_000
"""Rows from which fewer seeds are tried."""


def installed() -> bool:
    """Whether the package bkmeans is there to be measured in the same run."""
    return find_spec("bkmeans") is not None


def _run(source: Source, options: Options) -> Sequence[Record]:
    table = {**PUBLISHED, **MADE}
    names = source.choose(QUICK if options.quick else tuple(PUBLISHED), tuple(MADE))
    rows: list[Record] = []
    tasks, groups = [], []
    for name in names:
        large = source.load(name).n > _LARGE
        for learner, most in _learners(options.ours, large).items():
            seeds = options.some(most, 20)
            groups.append((name, learner, len(seeds)))
            tasks += [(source, name, learner, table[name][0], seed) for seed in seeds]
    runs = options.crew.each(_one, tasks)
    found = {(name, learner): [next(runs) for _ in range(count)] for name, learner, count in groups}
    breathing = options.crew.each(_breathing, [(source, name, *table[name]) for name in names])
    for name in names:
        k, (base, measured) = table[name][0], next(breathing)
        for learner in _learners(options.ours, large=False):
            errors = found[name, learner]
            row = record(name, learner, [e / base for e in errors], k=k, seeds=len(errors))
            row["error"] = float(np.mean(errors))
            best = learner == ours.KMEANS.name
            rows.append(judged(row, row["value"] <= MOST, f"<= {MOST}", MOST) if best else row)
        rows.append(record(name, f"{BREATHING} ({measured})", [1.0], k=k, seeds=1, error=base))
    return rows


def _learners(ours_only: bool, large: bool) -> dict[str, int]:
    """Learner -> most seeds."""
    mine = {ours.KMEANS.name: 3 if large else 20}
    return mine if ours_only else {**mine, MINI: 2, LLOYD: 2}


def _one(source: Source, name: str, learner: str, k: int, seed: int) -> float:
    """Squared error over all rows, in the data's own units, after learning them in shuffled order."""
    data = source.load(name)
    x = data.x[np.random.default_rng(seed).permutation(data.n)]
    if learner == LLOYD:
        return float(BatchKMeans(k, n_init=1, random_state=seed).fit(x).inertia_)
    chosen: Learner = by_name((ours.KMEANS, *peers.learners(quick=False)), learner)
    return squared_error(x, chosen.fit(x, k, seed).centres)


def squared_error(x: np.ndarray, centres: np.ndarray) -> float:
    """Sum of squared distances of rows x (n, d) to their nearest centre."""
    total = 0.0
    for start in range(0, len(x), 512):
        away = x[start : start + 512, None, :] - centres
        total += float(np.square(away).sum(axis=2).min(axis=1).sum())
    return total


def _breathing(source: Source, name: str, k: int, published: float | None) -> tuple[float, str]:
    """The squared error to compare with, and where it comes from."""
    data = source.load(name)
    if installed() and (published is None or data.n <= _LARGE):
        from bkmeans import BKMeans

        return float(BKMeans(n_clusters=k, random_state=0).fit(data.x).inertia_), "measured"
    if published is not None:
        return published, "published"
    error = min(BatchKMeans(k, n_init=10, random_state=seed).fit(data.x).inertia_ for seed in range(3))
    return float(error), "not installed; best of 30 starts of sklearn KMeans"


FAMILY = Family(
    name="squared-error",
    title="Squared error of k-means after one pass, against breathing k-means",
    notes=(
        "In the data's own units, over all rows after one pass in shuffled order; ratio: to breathing",
        "k-means, a batch method, measured here where the package bkmeans is installed (pip install bkmeans)",
        "and the set has no more than 50,000 rows, else as Fritzke's notebooks have it.",
    ),
    columns=(
        ("k", "k"), ("seeds", "seeds"), ("error", "squared error"), ("value", "ratio"), ("low", "least"),
        ("high", "greatest"),
    ),
    axis="squared error, times that of breathing k-means",
    run=_run,
    scale="log",
)  # fmt: skip
