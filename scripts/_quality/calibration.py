"""Row family: does a row that is said to belong to a component at 80 % belong there in 80 % of cases?"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from . import ours, peers
from .family import Family, Options, Record, judged, record
from .source import Source

SETS = ("g2mg_64_50", "g2mg_2_30")
MADE = ("pair-64", "pair-2")
MOST = 0.05
KINDS = ("full", "diag", "spherical", "tied")


def _run(source: Source, options: Options) -> Sequence[Record]:
    names = source.choose(SETS, MADE)
    seeds = range(options.count(20))
    kinds = () if options.ours else KINDS[:2] if options.quick else KINDS
    runs = options.crew.each(_one, [(source, name, seed, kinds) for name in names for seed in seeds])
    rows: list[Record] = []
    for name in names:
        found = [next(runs) for _ in seeds]
        for learner in found[0]:
            errors = [run[learner]["ece"] for run in found]
            also = {key: mean(run[learner][key] for run in found) for key in ("accuracy", "confidence")}
            row = record(name, learner, errors, seeds=len(errors), **also)
            ours_here = learner == ours.MIXTURE.name
            rows.append(judged(row, row["value"] < MOST, f"< {MOST}", MOST) if ours_here else row)
    return rows


def _one(source: Source, name: str, seed: int, kinds: Sequence[str]) -> dict[str, dict[str, float]]:
    """Half the rows are learned, the other half is judged."""
    data = source.scaled(name)
    assert data.bayes is not None
    assert data.label is not None
    order = np.random.default_rng(seed).permutation(data.n)
    learned, held = order[: data.n // 2], order[data.n // 2 :]
    x, new, truth = data.x[learned], data.x[held], data.bayes[held]
    models: dict[str, Any] = {ours.MIXTURE.name: ours.one_pass(ours.mixture(data.k, seed), x)}
    for kind in ("auto", *kinds):
        if kind != "full":
            model = ours.one_pass(ours.mixture(data.k, seed, covariance_type=kind), x)
            models[f"{ours.MIXTURE.name} {kind}"] = model
        if kind != "auto":
            models[f"sklearn GaussianMixture {kind}"] = peers.em(x, data.k, seed, kind=kind)
            models[f"batch EM {kind} from the labels"] = peers.em_from_labels(x, data.label[learned], kind)
    return {learner: _judge(model.predict_proba(new), truth) for learner, model in models.items()}


def _judge(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Expected calibration error (15 bins), accuracy and mean confidence, components matched to classes."""
    label, confidence = p.argmax(axis=1), p.max(axis=1)
    counts = np.zeros((p.shape[1], p.shape[1]))
    np.add.at(counts, (label, truth), 1.0)
    component, stands_for = linear_sum_assignment(-counts)
    right = stands_for[np.argsort(component)][label] == truth
    ece = calibration_error(confidence, right)
    return {"ece": ece, "accuracy": float(right.mean()), "confidence": float(confidence.mean())}


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """How far confidence is from the share that is right, by bins of equal width, weighted by their rows
    (Naeini, Cooper & Hauskrecht 2015).

    >>> calibration_error(np.array([0.9, 0.9]), np.array([True, False])).__round__(9)
    0.4
    """
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    gap = np.bincount(at, confidence - right, bins)
    return float(np.abs(gap).sum() / len(confidence))


FAMILY = Family(
    name="calibration",
    title="Calibration error against the labels of the true model",
    notes=(
        "Half the rows are learned once, in shuffled order, the other half is judged. ECE: expected",
        "calibration error over 15 bins of confidence, mean over seeds. accuracy: share of rows that go",
        "where the true model puts them. From the labels: 60 steps of batch EM from the true classes.",
    ),
    columns=(
        ("seeds", "seeds"), ("value", "ECE"), ("low", "least"), ("high", "greatest"),
        ("accuracy", "accuracy"), ("confidence", "confidence"),
    ),
    axis="expected calibration error",
    run=_run,
)  # fmt: skip
