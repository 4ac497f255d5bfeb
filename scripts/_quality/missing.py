"""Row family: rows with holes, learned as they are, or filled with means first."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np

from stream_mix.sklearn import GaussianMixture

from . import ours, peers
from .family import Family, Options, Record, judged, record
from .source import Source

SETS = ("penguins", "air_quality", "beijing_pm25")
MADE = ("holes",)
MORE_HOLES = 0.2
"""Share of values that are taken out besides, in a second variant of each set."""
AS_THEY_ARE = "stream_mix GaussianMixture, holes as they are"
FILLED = "stream_mix GaussianMixture, means filled in"
THEIRS = "sklearn GaussianMixture, means filled in"
_K = {"air_quality": 5}
"""Components of sets that have no classes to count."""


def _run(source: Source, options: Options) -> Sequence[Record]:
    names = source.choose(SETS, MADE)
    seeds = range(options.count(5))
    cases = [(name, share) for name in names for share in (0.0, MORE_HOLES)]
    tasks = [(source, name, share, seed, options.quick) for name, share in cases for seed in seeds]
    runs = options.crew.each(_one, tasks)
    rows: list[Record] = []
    for name, share in cases:
        found = [next(runs) for _ in seeds]
        shown = name if not share else f"{name}, {share:.0%} more"
        for learner in (AS_THEY_ARE, FILLED, THEIRS):
            gains = [run[learner] - run[FILLED] for run in found]
            density = mean(run[learner] for run in found)
            more = {"holes": mean(run["holes"] for run in found), "seeds": len(found), "log_density": density}
            row = record(shown, learner, gains, **more)
            rows.append(row)
        if rows[-3]["holes"] > 0:
            rows[-3] = judged(rows[-3], rows[-3]["value"] > 0, "> 0", 0.0)
    return rows


def _one(source: Source, name: str, share: float, seed: int, quick: bool) -> dict[str, float]:
    """Mean log density of what was observed of held-back rows, a fifth, under models of the other rows."""
    data = source.load(name)
    k = _K.get(name, data.k)
    rng = np.random.default_rng(seed)
    x = data.x[~np.isnan(data.x).all(axis=1)]  # rows without any value teach nobody anything
    x = x[rng.permutation(len(x))][: 1500 if quick else None]
    if share:
        x = np.where(rng.random(x.shape) < share, np.nan, x)
        x = x[~np.isnan(x).all(axis=1)]
    border = len(x) * 4 // 5
    learned, new = x[:border], x[border:]
    filled = np.where(np.isnan(learned), np.nanmean(learned, axis=0), learned)
    deviation = filled.std(axis=0)
    unit = np.log(deviation) @ (~np.isnan(new)).T
    learned, new, filled = learned / deviation, new / deviation, filled / deviation
    theirs = GaussianMixture.from_sklearn(peers.em(filled, k, seed))
    models = {
        AS_THEY_ARE: ours.one_pass(ours.mixture(k, seed), learned),
        FILLED: ours.one_pass(ours.mixture(k, seed), filled),
        THEIRS: theirs,
    }
    scores = {key: float((model.score_samples(new) - unit).mean()) for key, model in models.items()}
    return {**scores, "holes": float(np.isnan(x).mean())}


FAMILY = Family(
    name="missing",
    title="Missing values: log density of held-back rows against filling in means",
    notes=(
        "A fifth of the shuffled rows is held back; of each the density of what was observed is taken.",
        "gain: nats a row above the same learner on rows whose holes were filled with means. scikit-learn",
        "refuses holes, so it gets filled rows and, through from_sklearn, answers for rows with holes;",
        "where features are nearly always 0 (hours of rain and snow in beijing_pm25) its least variance,",
        "not the means, makes its density. more: with a fifth of all values taken out besides. holes:",
        "share of values that are missing; penguins has none but two empty rows.",
    ),
    columns=(
        ("holes", "holes"), ("seeds", "seeds"), ("log_density", "log density"), ("value", "gain"),
        ("low", "least"), ("high", "greatest"),
    ),
    axis="nats a row above filling in means",
    run=_run,
    scale="symlog",
)  # fmt: skip
