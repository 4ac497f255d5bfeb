"""Row family: the density that one pass leaves, beside batch EM's best of several starts."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np

from . import ours, peers
from .datasets import DataSet
from .family import Family, Options, Record, judged, record
from .source import Source

SETS = (
    "s1", "s3", "a1", "a3", "unbalance", "r15", "dim032", "dim128", "aggregation", "engytime", "fuzzyx", "z2",
    "g2mg_2_30", "g2mg_64_50", "elly-2d10c13s", "long1", "2d-4c-no9", "sizes3", "iris", "wine", "penguins",
    "ecoli", "segment", "birch1",
)  # fmt: skip
QUICK = ("s1", "unbalance", "r15", "aggregation", "fuzzyx", "wine", "penguins")
MADE = ("round", "unequal", "wide", "oval", "overlap", "iris", "wine")
WITHIN = 0.005
"""Nats a row by which one pass may stay below."""
_COSTLY = 5e6
"""Rows times components from which there are two seeds, and three starts of batch EM: ten take minutes."""


def _run(source: Source, options: Options) -> Sequence[Record]:
    names = source.choose(QUICK if options.quick else SETS, MADE, others=True)
    starts = 3 if options.quick else peers.STARTS
    seeds = {name: options.some(2 if _costly(source.load(name)) else 10, 5) for name in names}
    tasks = [(source, name, seed, starts) for name in names for seed in seeds[name]]
    runs = options.crew.each(_one, tasks)
    return [row for name in names for row in _rows(name, [next(runs) for _ in seeds[name]])]


def _costly(data: DataSet) -> bool:
    return data.n * data.k > _COSTLY


def _rows(name: str, runs: list[dict[str, float]]) -> list[Record]:
    """Each learner's log density above batch EM's on the same rows."""
    rows = []
    best = f"sklearn GaussianMixture, best of {runs[0]['starts']:.0f}"
    for learner, key in ((ours.MIXTURE.name, "ours"), (best, "em"), ("batch EM from the labels", "labels")):
        gains = [run[key] - run["em"] for run in runs]
        absolute = mean(run[key] for run in runs)
        rows.append(record(name, learner, gains, log_density=absolute, seeds=len(runs)))
    gain = rows[0]["value"]
    rows[0] = judged(rows[0], gain is not None and gain >= -WITHIN, f">= -{WITHIN}", -WITHIN)
    return rows


def _one(source: Source, name: str, seed: int, starts: int) -> dict[str, float]:
    """Mean log density, in the data's units, of the last fifth of shuffled rows after learning the others."""
    data = source.scaled(name)
    assert data.label is not None
    order = np.random.default_rng(seed).permutation(data.n)
    learned, held = order[: data.n * 4 // 5], order[data.n * 4 // 5 :]
    x, new = data.x[learned], data.x[held]
    starts = min(starts, 3) if _costly(data) else starts
    found = {
        "ours": ours.one_pass(ours.mixture(data.k, seed), x),
        "em": peers.em(x, data.k, seed, starts=starts),
        "labels": peers.em_from_labels(x, data.label[learned], reg_covar=1e-6),
    }
    scores = {key: float(model.score_samples(new).mean()) - data.log_scale for key, model in found.items()}
    return {**scores, "starts": starts}


FAMILY = Family(
    name="likelihood",
    title="Log density of held-back rows after one pass over the others, full covariance",
    notes=(
        "A fifth of the shuffled rows is held back. gain: mean log density of a held-back row, above that of",
        "scikit-learn's batch EM (best of its starts, judged by the rows it learned) on the same rows; nats;",
        "mean over seeds, least and greatest. log density: in the data's units. From the labels: 60 steps of",
        "batch EM from the true classes.",
    ),
    columns=(
        ("seeds", "seeds"), ("log_density", "log density"), ("value", "gain"), ("low", "least"),
        ("high", "greatest"),
    ),
    axis="nats a row above batch EM",
    run=_run,
    scale="symlog",
)  # fmt: skip
