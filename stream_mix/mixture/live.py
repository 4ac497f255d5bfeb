"""A model that learns row by row in compiled code: the twin of `learn` where batches are single rows.

A `Live` holds what a `Model` holds, laid out for one row at a time, and changes in place. It takes the rows
it can and leaves the others: a value of an odd type, a new feature, a start from the reservoir, anything that
is not finite. Those go through `learn`, which raises its errors, and the model goes live again afterwards.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .adaptive import Adaptive, Choice
from .arrays import Array, Ints
from .basis import Basis
from .folders import one_bucket
from .kernels import available, chosen
from .memory import Store
from .model import Model
from .moments import Moments
from .outweighing import least
from .rows import Rows
from .spec import Spec

if TYPE_CHECKING:
    from .kernels._native import Live as Live
else:
    try:
        from .kernels._native import Live
    except ImportError:  # nothing is compiled: no model goes live, and the name is only spelt in signatures
        Live = None

_REFERENCE = "reference"

_NONE = np.empty(0, dtype=np.int64)

_LARGEST = 1 << 24
"""Numbers of scatter, padded to whole groups of eight components, beyond which a model does not go live."""


def isas() -> tuple[str, ...]:
    """Instruction sets that a model can be live on here, the best first; none where nothing is compiled."""
    return tuple(name for name in available() if name != _REFERENCE)


def goes_live(spec: Spec, isa: str | None = None) -> bool:
    """Whether models of that specification can go live: compiled code knows the family, a batch is one row,
    the log-likelihood is watched, the memory is one record, and there is no background."""
    compiled = Live is not None and (isa or chosen().name) != _REFERENCE
    known = spec.family_value.compiled and _memory(spec) is not None
    return compiled and known and spec.watch and spec.batch_size == 1 and not spec.robust


def live_of(
    model: Model,
    names: tuple[Hashable, ...] | None = None,
    weight_name: Hashable | None = None,
    time_name: Hashable | None = None,
    isa: str | None = None,
) -> Live | None:
    """The model gone live; None where it cannot: before its first start, or where nothing is compiled.

    With `names`, one for each feature, rows can come as dicts; `weight_name` and `time_name` are what their
    weights and event times are called. `isa` is the instruction set, that of the kernels by default.
    """
    spec, memory = model.spec, _memory(model.spec)
    if memory is None or not model.store or len(model.pending) or not goes_live(spec, isa):
        return None
    entries = model.d * (model.d + 1) // 2 if spec.family_value.scatter == "full" else model.d
    if not 0 < (model.k + 7) // 8 * 8 * entries <= _LARGEST:
        return None
    moments, prior = model.moments, spec.prior
    due, next_start = _due(model), model.next_start
    if next_start and model.contest is not None:
        next_start = min(next_start, model.contest.end)
    live = Live(
        isa or chosen().name,
        spec.family,
        spec.hard,
        *memory,
        float(prior.weight),
        float(prior.covariance),
        float(prior.correlation),
        float(prior.reg_covar),
        moments.mass,
        moments.seen,
        moments.mean,
        moments.scatter,
        moments.basis.origin,
        moments.basis.scale,
        model.t,
        *model.evidence,
        model.generation,
        model.learned,
        moments.rows,
        next_start,
        least(model),
        due,
        spec.lateness is not None,
        model.components,
        names,
        weight_name,
        time_name,
    )
    if model.choice is not None and isinstance(spec.memory, Adaptive):
        choice, each = model.choice, zip(map(one_bucket, spec.memory.memories), model.store, strict=True)
        records = [(*named, m.mass, m.seen, m.mean, m.scatter, m.rows) for named, m in each if named]
        now = choice.chosen, list(choice.evidence), choice.drifted, choice.same_until, choice.weighed
        live.put_beside(records, spec.memory.extra, *now, spec.memory.settling)
    return live


def _due(model: Model) -> Ints:
    """Numbers of the rows that are wanted next of a settled model, ascending: by its sample, and by its
    contest. The last is that of a row after which one of them is looked at."""
    if (contest := model.contest) is None:
        return _NONE if model.sample is None else model.sample.due
    block = np.arange(contest.start, contest.end)
    if model.sample is None:
        return block
    due = np.union1d(model.sample.due, block)
    return due[due <= min(model.sample.last, contest.end - 1)]


def _memory(spec: Spec) -> tuple[str, float] | None:
    """What compiled code calls the memory of a model itself: one bucket, or several, which each have their
    own."""
    return ("forever", 1.0) if isinstance(spec.memory, Adaptive) else one_bucket(spec.memory)


def model_of(live: Live, before: Model) -> Model:
    """The model that `before` has become since it went live, or since this was last asked: rows for the
    reservoir or the sample are handed over once."""
    old = before.store[0]
    basis = Basis(live.origin, live.scale)
    basis = old.basis if basis.same(old.basis) else basis

    def record(arrays: tuple[Array, Array, Array, Array], rows: int) -> Moments:
        return Moments(old.kind, basis, old.lineage, *arrays, rows)

    choice: Choice | None = None
    if (beside := live.choice()) is None:
        store: Store = (record(live.moments(), live.rows),)
    else:
        store, choice = tuple(record(*one) for one in beside[0]), Choice(*beside[1:])
    return replace(
        _handed_over(before, live.take_reservoir(), live.learned),
        store=store,
        choice=choice,
        generation=live.generation,
        learned=live.learned,
        t=live.t,
        evidence=live.evidence,
    )


def _handed_over(before: Model, kept: Array, learned: int) -> Model:
    """The model with the rows (n, d + 2) that were kept, weights and times behind, where they belong: in its
    reservoir or its sample, and in its contest."""
    if not len(kept):
        return before
    sample, contest, first = before.sample, before.contest, before.learned
    reservoir = _kept(before.reservoir, kept) if before.next_start else before.reservoir
    if contest is None:
        if sample is None:
            return replace(before, reservoir=reservoir)
        return replace(before, sample=replace(sample, fresh=(*sample.fresh, _rows(kept))))
    due = np.arange(first, learned) if before.next_start else _due(before)
    due = due[(due >= first) & (due < learned)]
    rows = _rows(kept)
    if sample is not None and (own := np.isin(due, sample.due)).any():
        sample = replace(sample, fresh=(*sample.fresh, rows.take(own)))
    if (own := (due >= contest.start) & (due < contest.end)).any():
        contest = replace(contest, fresh=(*contest.fresh, rows.take(own)))
    return replace(before, reservoir=reservoir, sample=sample, contest=contest)


def _rows(learned: Array) -> Rows:
    """Rows (n, d + 2), their weights and times behind, as rows."""
    return Rows(learned[:, :-2].copy(), learned[:, -2].copy(), learned[:, -1].copy())


def _kept(parts: tuple[Rows, ...], learned: Array) -> tuple[Rows, ...]:
    """The reservoir with rows (n, d + 2), their weights and times behind, in the pieces that `learn` would
    have made of them one by one."""
    if not len(learned):
        return parts
    rows = _rows(learned)
    sizes = [len(part) for part in parts]
    for _ in range(len(rows)):
        size = 1
        while sizes and sizes[-1] <= size:
            size += sizes.pop()
        sizes.append(size)
    whole = Rows.concatenated([*parts, rows])
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(whole[start : start + size].copy() for start, size in zip(starts, sizes, strict=True))
