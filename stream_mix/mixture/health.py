"""How a model is doing, in plain numbers."""

from __future__ import annotations

import math

import numpy as np

from .adaptive import Adaptive, half_life_of
from .kernels import IMPLEMENTATION, shortlist
from .model import Model
from .validity import Validity, measured


def health(model: Model, found: Validity | None = None) -> dict[str, int | float | str | bool | None]:
    """Counts, running log-likelihood per row, figures of validity, weight of the lightest component, and what
    computes it all.

    `family` is the one in use; where the rows say which (`Spec.families`), `contender` is how many nats speak
    for another one (`contest`).

    `found` are the figures of an earlier generation, `judged` the batches learned by then; without them they
    are computed now, in milliseconds. `clusters` is the number of clusters after components that overlap are
    taken together (`overlap.clusters`), the other figures are as `Validity` says.

    `effective_components` is exp of the entropy of the weights: k where all are equal, 1 where one has
    everything. `noise` is the share of the mass that the background took. `half_life` is that by which rows
    count, in rows (None: none, or one of time). Where it is found by itself, `moving` says whether clusters
    are taken to be on the move, and `rival` how many nats speak for another memory, which takes over at
    `adaptive.ENOUGH`. `scored_share` and `truncation_loss` are of the last call in this process that scored
    rows by short lists of components (`kernels.shortlist`). A figure that is not known yet is None.

    >>> from stream_mix.mixture import Spec
    >>> health(Model.new(Spec(n_components=2), d=3))["warming"]
    True
    """
    report: dict[str, int | float | str | bool | None] = {
        "family": model.spec.family,
        "components": model.k,
        "features": model.d,
        "rows": model.rows,
        "pending": len(model.pending),
        "late": model.late,
        "generation": model.generation,
        "warming": model.warming,
        "settled": model.next_start == 0,
        "t": None if math.isnan(model.t) else model.t,
        "log_likelihood": None if math.isnan(model.log_likelihood) else model.log_likelihood,
        **in_use(model),
        "contender": None if model.contest is None else max(model.contest.evidence),
        "mass": None,
        "lightest": None,
        "noise": None,
        "effective_components": None,
        "judged": None,
        "bic": None,
        "icl": None,
        "entropy": None,
        "silhouette": None,
        "xie_beni": None,
        "clusters": None,
        "stability": None,
        "kernels": IMPLEMENTATION,
        "scored_share": None,
        "truncation_loss": None,
    }
    truncation = shortlist.latest()
    if truncation is not None and (truncation.k, truncation.d) == (model.k, model.d):
        report["scored_share"], report["truncation_loss"] = truncation.share, truncation.loss
    if not model.warming:
        weights = model.parameters.weights
        report["mass"] = mass = float(model.moments.mass.sum())
        report["lightest"] = float(weights.min())
        if model.spec.robust:
            report["noise"] = model.moments.noise / (model.moments.noise + mass)
        report["effective_components"] = float(np.exp(-(weights * np.log(weights)).sum()))
        found = found or measured(model)
        report["judged"] = found.generation
        for name in ("bic", "icl", "entropy", "silhouette", "xie_beni", "stability"):
            report[name] = getattr(found, name)
        report["clusters"] = None if found.clusters is None else len(found.clusters)
    return report


def in_use(model: Model) -> dict[str, int | float | str | bool | None]:
    """Which memory a model goes by, and what speaks for another."""
    memory, choice = model.spec.memory, model.choice
    half_life = half_life_of(memory, choice)
    found: dict[str, int | float | str | bool | None] = {
        "half_life": half_life if math.isfinite(half_life) else None,
        "moving": None,
        "rival": None,
    }
    if isinstance(memory, Adaptive) and choice is not None:
        found["moving"], found["rival"] = choice.chosen < memory.extra, max(choice.evidence)
    return found
