"""Features in another order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .arrays import Ints
from .basis import Basis
from .model import Model
from .rows import Rows


def arranged(model: Model, columns: Ints) -> Model:
    """The model with its features in another order: column j of the result is columns[j] of the model."""
    store = []
    for bucket in model.store:
        basis, scatter = bucket.basis, bucket.scatter[..., columns]
        if bucket.kind != "diag":
            scatter = scatter[..., columns, :]
        store.append(
            replace(
                bucket,
                basis=Basis(basis.origin[columns], basis.scale[columns]),
                seen=bucket.seen[:, columns],
                mean=bucket.mean[:, columns],
                scatter=np.ascontiguousarray(scatter),
            )
        )

    def turned(rows: Rows) -> Rows:
        return Rows(rows.x[:, columns], rows.w, rows.t)

    contest = model.contest
    return replace(
        model,
        store=tuple(store),
        pending=turned(model.pending),
        reservoir=tuple(map(turned, model.reservoir)),
        sample=None if model.sample is None else model.sample.arranged(columns),
        contest=None if contest is None else contest.each(lambda one: arranged(one, columns), turned),
    )
