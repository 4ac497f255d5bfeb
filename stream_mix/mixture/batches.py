"""Whole batches through the compiled fold: what `learning` does for one batch, for many in one call.

It takes over where a model goes its ordinary way: the start is settled, memory is one bucket, nothing is
missing, and there is no background. Everything else is left to `learning`, batch by batch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .arrays import Array, Ints
from .folders import Fresh, folded_of, folder_of, one_bucket
from .kernels import threads
from .kernels.shortlist import applies
from .model import Model, Posterior, posterior_of
from .rows import Rows


class Run(NamedTuple):
    """What a run of batches came to.

    Attributes:
        model: the model after them.
        batches: how many there were.
        rows: how many rows were in them.
        gained: the sum of their rows' log densities before learning, each times its weight.
        said: with `tell`, what the model said of each row before its batch was learned.
        labels: with `label`, and where all rows were learned, the index of each one's likeliest component
            after that.
    """

    model: Model
    batches: int
    rows: int
    gained: float
    said: Posterior | None
    labels: Ints | None


def run(model: Model, rows: Rows, most: int, *, rest: bool = False, tell: bool = False) -> Run | None:
    """As many whole batches of the rows as the compiled fold takes, `most` at the most, and with `rest` a
    last shorter one; None where it takes none."""
    return run_of(model, rows.x, rows.w, rows.t, most, rest=rest, tell=tell)


def run_of(
    model: Model,
    x: Array,
    w: Array | None,
    t: Array | None,
    most: int,
    *,
    rest: bool = False,
    tell: bool = False,
    label: bool = False,
    largest: float = math.inf,
) -> Run | None:
    """`run` of rows x (n, d) with weights w (n,), None: each 1, and event times t (n,), None: none.

    None, too, where a value is further than `largest` from 0.
    """
    spec = model.spec
    # Batches of a large mixture that are long enough go where rows are scored by short lists.
    apart = spec.robust or model.next_start or one_bucket(spec.memory) is None
    if apart or applies(model.k, spec.batch_size):
        return None
    folder = folder_of(spec, model.d)
    if folder is None:
        return None
    before = model.store[0]
    found: tuple[Any, ...] | None = folder.learn(
        folded_of(folder, before), model.t, *model.evidence, x, w, t, largest, most, rest, tell, label,
        threads.count(),
    )  # fmt: skip
    if found is None:
        return None
    folded, batches, taken, now, evidence, gained, told, labels = found
    after = model.followed((Fresh.of(folded, before, taken),), batches, taken, now, evidence)
    said = None if told is None else posterior_of(model, *told)
    return Run(after, batches, taken, gained, said, labels)
