"""Row family: does the covariance type that the rows choose foretell as well as the best of all types?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean

import numpy as np
from sklearn.metrics import adjusted_rand_score

from . import likelihood, ours
from .family import Family, Options, Record, judged, record
from .source import Source

KINDS = ("spherical", "diag", "tied", "full")
WITHIN = 0.02
"""Nats a row by which the chosen type may stay below the best of all, known afterwards."""


def _run(source: Source, options: Options) -> Sequence[Record]:
    wanted = likelihood.QUICK if options.quick else likelihood.SETS
    names = source.choose(wanted, likelihood.MADE, others=True)
    seeds = options.some(5, 5)
    runs = options.crew.each(_one, [(source, name, seed) for name in names for seed in seeds])
    return [row for name in names for row in _rows(name, [next(runs) for _ in seeds])]


def _rows(name: str, runs: list[dict[str, tuple[float, float, str]]]) -> list[Record]:
    """Each type's log density above that of the type that is best on average."""
    best = max(KINDS, key=lambda kind: mean(run[kind][0] for run in runs))
    rows = []
    for kind in ("auto", *KINDS):
        gains = [run[kind][0] - run[best][0] for run in runs]
        chosen = Counter(run[kind][2] for run in runs).most_common()
        row = record(
            name, f"{ours.MIXTURE.name} {kind}", gains, seeds=len(runs),
            ari=mean(run[kind][1] for run in runs),
            log_density=mean(run[kind][0] for run in runs),
            chosen=", ".join(f"{word} {count}" for word, count in chosen) if kind == "auto" else "",
        )  # fmt: skip
        reached = row["value"] is not None and row["value"] >= -WITHIN
        rows.append(judged(row, reached, f">= -{WITHIN}", -WITHIN) if kind == "auto" else row)
    return rows


def _one(source: Source, name: str, seed: int) -> dict[str, tuple[float, float, str]]:
    """For each type: mean log density of the last fifth of shuffled rows after learning the others, in the
    data's units, ARI of the same rows, and the type in use at the end."""
    data = source.scaled(name)
    assert data.label is not None
    order = np.random.default_rng(seed).permutation(data.n)
    learned, held = order[: data.n * 4 // 5], order[data.n * 4 // 5 :]
    found = {}
    for kind in ("auto", *KINDS):
        model = ours.one_pass(ours.mixture(data.k, seed, covariance_type=kind), data.x[learned])
        density = float(model.score_samples(data.x[held]).mean()) - data.log_scale
        ari = float(adjusted_rand_score(data.label[held], model.predict(data.x[held])))
        found[kind] = density, ari, model.model_.spec.family
    return found


FAMILY = Family(
    name="covariance",
    title='Log density of held-back rows with covariance_type="auto", beside each type',
    notes=(
        "A fifth of the shuffled rows is held back, the others are learned in one pass. gain: mean log",
        "density of a held-back row, above that of the type that turns out best on average; nats; mean over",
        "seeds, least and greatest. ARI: of the same rows. chosen: types in use at the end, and in how many",
        "runs.",
    ),
    columns=(
        ("seeds", "seeds"), ("log_density", "log density"), ("value", "gain"), ("low", "least"),
        ("high", "greatest"), ("ari", "ARI"), ("chosen", "chosen"),
    ),
    axis="nats a row above the best type",
    run=_run,
    scale="symlog",
)  # fmt: skip
