"""A model that learns row by row in compiled code: the twin of `learn` where batches are single rows.

A `Live` holds what a `Model` holds, laid out for one row at a time, and changes in place. It takes the rows
it can and leaves the others: a value of an odd type, a new feature, a start from the reservoir, anything that
is not finite. Those go through `learn`, which raises its errors, and the model goes live again afterwards.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

from .arrays import Array
from .basis import Basis
from .folders import one_bucket
from .kernels import available, chosen
from .model import Model
from .moments import Moments
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

_LARGEST = 1 << 24
"""Numbers of scatter, padded to whole groups of eight components, beyond which a model does not go live."""


def isas() -> tuple[str, ...]:
    """Instruction sets that a model can be live on here, the best first; none where nothing is compiled."""
    return tuple(name for name in available() if name != _REFERENCE)


def goes_live(spec: Spec, isa: str | None = None) -> bool:
    """Whether models of that specification can go live: compiled code knows the family, a batch is one row,
    the log-likelihood is watched, the memory is one record, and there is no background."""
    compiled = Live is not None and (isa or chosen().name) != _REFERENCE
    known = spec.family_value.compiled and one_bucket(spec.memory) is not None
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
    spec, memory = model.spec, one_bucket(model.spec.memory)
    if memory is None or len(model.store) != 1 or len(model.pending) or not goes_live(spec, isa):
        return None
    entries = model.d * (model.d + 1) // 2 if spec.family_value.scatter == "full" else model.d
    if not 0 < (model.k + 7) // 8 * 8 * entries <= _LARGEST:
        return None
    moments, prior = model.store[0], spec.prior
    return Live(
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
        model.next_start,
        model.components,
        names,
        weight_name,
        time_name,
    )


def model_of(live: Live, before: Model) -> Model:
    """The model that `before` has become since it went live, or since this was last asked: rows for the
    reservoir are handed over once."""
    mass, seen, mean, scatter = live.moments()
    old = before.store[0]
    basis = Basis(live.origin, live.scale)
    basis = old.basis if basis.same(old.basis) else basis
    moments = Moments(old.kind, basis, old.lineage, mass, seen, mean, scatter, live.rows)
    return replace(
        before,
        store=(moments,),
        reservoir=_kept(before.reservoir, live.take_reservoir()),
        generation=live.generation,
        learned=live.learned,
        t=live.t,
        evidence=live.evidence,
    )


def _kept(parts: tuple[Rows, ...], learned: Array) -> tuple[Rows, ...]:
    """The reservoir with rows (n, d + 2), their weights and times behind, in the pieces that `learn` would
    have made of them one by one."""
    if not len(learned):
        return parts
    rows = Rows(learned[:, :-2].copy(), learned[:, -2].copy(), learned[:, -1].copy())
    sizes = [len(part) for part in parts]
    for _ in range(len(rows)):
        size = 1
        while sizes and sizes[-1] <= size:
            size += sizes.pop()
        sizes.append(size)
    whole = Rows.concatenated([*parts, rows])
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return tuple(whole[start : start + size].copy() for start, size in zip(starts, sizes, strict=True))
