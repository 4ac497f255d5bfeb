"""Whole batches through the compiled fold: what `learning` does for one batch, for many in one call.

It takes over where a model goes its ordinary way: the start is settled, memory is one bucket, nothing is
missing. Everything else is left to `learning`, batch by batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .folders import arrays, folder_of, one_bucket
from .kernels import threads
from .kernels.shortlist import applies
from .model import Model, Posterior
from .moments import Moments
from .rows import Rows


@dataclass(frozen=True, eq=False)
class Run:
    """What a run of batches came to.

    Attributes:
        model: the model after them.
        batches: how many there were.
        gained: the sum of their rows' log densities before learning, each times its weight.
        said: with `tell`, what the model said of each row before its batch was learned.
    """

    model: Model
    batches: int
    gained: float
    said: Posterior | None


def run(model: Model, rows: Rows, most: int, *, tell: bool = False) -> Run | None:
    """As many whole batches of the rows as the compiled fold takes, `most` at the most; None where it takes
    none."""
    # Batches of a large mixture that are long enough go where rows are scored by short lists.
    if model.next_start or one_bucket(model.spec.memory) is None or applies(model.k, model.spec.batch_size):
        return None
    folder = folder_of(model.spec, model.d)
    if folder is None:
        return None
    rows = rows[: most * model.spec.batch_size]
    before = model.store[0]
    batches, mass, seen, mean, scatter, t, evidence, counted, gained, told = folder.learn(
        *arrays(before), model.t, *model.evidence, rows.x, rows.w, rows.t, most, tell, threads.count()
    )
    if not batches:
        return None
    taken = batches * model.spec.batch_size
    basis, lineage = before.basis, before.lineage
    moments = Moments(before.kind, basis, lineage, mass, seen, mean, scatter, before.rows + taken)
    after = replace(
        model,
        store=(moments,),
        generation=model.generation + batches,
        learned=model.learned + taken,
        t=t,
        evidence=(evidence, counted),
    )
    if told is None:
        return Run(after, batches, gained, None)
    p, label, log_density, outlier = (column[:taken] for column in told)
    found = Posterior(p, np.array(model.components)[label], log_density, outlier)
    return Run(after, batches, gained, found)
