"""Whole batches through the compiled fold: what `learning` does for one batch, for many in one call.

It takes over where a model goes its ordinary way: the start is settled, memory is one bucket, nothing is
missing, and there is no background. Everything else is left to `learning`, batch by batch.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .adaptive import Adaptive, Choice
from .arrays import Array, Ints
from .folders import Fresh, folded_of, folder_of, one_bucket
from .kernels import has_missing, threads
from .kernels.shortlist import applies
from .model import Model, Posterior, posterior_of
from .outweighing import least, outweighs
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
        drifts: of an adaptive memory, the number of learned rows at each.
    """

    model: Model
    batches: int
    rows: int
    gained: float
    said: Posterior | None
    labels: Ints | None
    drifts: tuple[int, ...] = ()


def run(model: Model, rows: Rows, most: int, *, rest: bool = False, tell: bool = False) -> Run | None:
    """As many whole batches of the rows as the compiled fold takes, `most` at the most, and with `rest` a
    last shorter one; None where it takes none."""
    found = run_of(model, rows.x, rows.w, rows.t, most, rest=rest, tell=tell)
    if found is not None or model.next_start or least(model) == math.inf:
        return found
    # A batch that was left because one of its rows may outweigh a component, and none does, is learned like
    # any other: what made it suspicious depends on what else was asked.
    batch = rows[: model.spec.batch_size]
    if has_missing(batch.x) or outweighs(model, batch):
        return None
    return run_of(model, batch.x, batch.w, batch.t, 1, rest=rest, tell=tell, outweighing=math.inf)


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
    outweighing: float | None = None,
) -> Run | None:
    """`run` of rows x (n, d) with weights w (n,), None: each 1, and event times t (n,), None: none.

    No batch is taken in which a value is further than `largest` from 0, or with a row that may outweigh a
    component (`outweighing.least`, unless `outweighing` is given), nor one behind it.
    """
    spec = model.spec
    # Batches of a large mixture that are long enough go where rows are scored by short lists.
    known = one_bucket(spec.memory) is not None or model.choice is not None
    if spec.robust or model.next_start or not known or applies(model.k, spec.batch_size):
        return None
    folder = folder_of(spec, model.d)
    if folder is None:
        return None
    if model.choice is not None:
        return _beside(folder, model, (x, w, t, largest, most, rest, tell, threads.count()))
    before = model.store[0]
    found: tuple[Any, ...] | None = folder.learn(
        folded_of(folder, before), model.t, *model.evidence, x, w, t, largest, most, rest, tell, label,
        least(model) if outweighing is None else outweighing, threads.count(),
    )  # fmt: skip
    if found is None:
        return None
    folded, batches, taken, now, evidence, gained, told, labels = found
    after = model.followed((Fresh.of(folded, before, taken),), batches, taken, now, evidence)
    said = None if told is None else posterior_of(model, *told)
    return Run(after, batches, taken, gained, said, labels)


def _beside(folder: Any, model: Model, given: tuple[Any, ...]) -> Run | None:
    """`run_of` of a model whose memories stand side by side."""
    memory, choice = model.spec.memory, model.choice
    assert isinstance(memory, Adaptive)
    assert choice is not None
    store = model.store
    records = [folded_of(folder, record) for record in store]
    rows = [record.rows for record in store]
    beside = records, list(memory.half_lives), rows, memory.extra, memory.settling
    now = choice.chosen, list(choice.evidence), choice.drifted, choice.same_until, choice.weighed
    counts = model.learned, model.generation, model.t
    found: tuple[Any, ...] | None = folder.learn_beside(*beside, *now, *counts, *model.evidence, *given)
    if found is None:
        return None
    records, rows, chosen, drifts, batches, taken, t, evidence, gained, told = found
    each = zip(records, store, rows, strict=True)
    after = tuple(Fresh.of(record, old, count - old.rows) for record, old, count in each)
    model_after = model.followed(after, batches, taken, t, evidence, Choice(*chosen))
    said = None if told is None else posterior_of(model, *told)
    return Run(model_after, batches, taken, gained, said, None, tuple(drifts))
