"""How a model is doing, in plain numbers."""

from __future__ import annotations

import math

import numpy as np

from .kernels import IMPLEMENTATION, shortlist
from .model import Model


def health(model: Model) -> dict[str, int | float | str | bool | None]:
    """Counts, running log-likelihood per row, weight of the lightest component, and what computes it all.

    `effective_components` is exp of the entropy of the weights: k where all are equal, 1 where one has
    everything. `scored_share` and `truncation_loss` are of the last call in this process that scored rows by
    short lists of components (`kernels.shortlist`). A figure that is not known yet is None.

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
        "mass": None,
        "lightest": None,
        "effective_components": None,
        "kernels": IMPLEMENTATION,
        "scored_share": None,
        "truncation_loss": None,
    }
    truncation = shortlist.latest()
    if truncation is not None and (truncation.k, truncation.d) == (model.k, model.d):
        report["scored_share"], report["truncation_loss"] = truncation.share, truncation.loss
    if not model.warming:
        weights = model.parameters.weights
        report["mass"] = float(model.moments.mass.sum())
        report["lightest"] = float(weights.min())
        report["effective_components"] = float(np.exp(-(weights * np.log(weights)).sum()))
    return report
