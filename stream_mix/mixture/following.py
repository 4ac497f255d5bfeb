"""What a batch does to the memory: one fold, or, where the memory finds its half-life by itself
(`adaptive`), one for each of its records, which foretell the batch before they learn it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .adaptive import Adaptive, Choice, asked, decided, judged_anew, levelled, seen_as
from .arrays import Array
from .background import Background, moments_of
from .em import e_step
from .folders import answer
from .memory import Store
from .model import Model, data_log_density
from .moments import Moments
from .rows import Rows
from .spec import Spec
from .starting import reviewed


def followed(
    model: Model, rows: Rows, z: Array, w: Array | None, batch: Moments, now: float
) -> tuple[Store, Choice | None, bool]:
    """The store and the choice after a batch of rows, z (n, d) in the basis, with weights w (n,) and these
    moments; and whether a drift was found.

    Nothing is chosen before the start is settled: until then each start throws away what stands in the way.
    """
    memory, choice = model.spec.memory, model.choice
    if not isinstance(memory, Adaptive) or choice is None:
        return memory.fold(model.store, batch, model.t, now), choice, False
    batches = [batch] * len(model.store)
    if memory.extra and choice.chosen >= memory.extra:
        batches[0] = _own(model, z, w)
    if not model.next_start and len(model.store) > 1:
        choice = judged_anew(choice, _foretold(model, memory, rows, z), rows.w)
    store = memory.fold_each(model.store, tuple(batches), model.t, now)
    return decided(memory, store, choice, model.learned + len(rows))


def going_on(model: Model, spec: Spec) -> Model:
    """The model with other choices from here on: a memory of the same kind goes on with the store, so that a
    window can still drop what is oldest; where records begin to stand side by side, each begins with what the
    model knows, and where they cease to, the one in use stays."""
    memory, kept = model.spec.memory, model.sample if reviewed(spec) else None
    model = replace(model, spec=spec, sample=kept)
    if spec.memory == memory or not model.store:
        return model
    # Records side by side (`Adaptive`) are of half-lives that another ladder need not have.
    if type(spec.memory) is type(memory) and not isinstance(memory, Adaptive):
        return model
    before = replace(model, spec=replace(spec, memory=memory)).moments
    choice = Choice.first(spec.memory) if isinstance(spec.memory, Adaptive) else None
    return replace(model, store=spec.memory.begun(before), choice=choice)


def _own(model: Model, z: Array, w: Array | None) -> Moments:
    """The moments of a batch as the record of clusters on the move finds them."""
    lens = _alone(model, levelled(model.store[0]))
    basis, lineage = lens.basis, lens.moments.lineage
    background = Background.of(model.store[0]) if model.spec.robust else None
    return moments_of(lens.parameters, background, z, w, basis, lineage, lens.known, model.spec.hard)[0]


def _foretold(model: Model, memory: Adaptive, rows: Rows, z: Array) -> list[Array]:
    """Log densities of the first rows of a batch, for each record of as many as it is asked for."""
    told: list[Array] = []
    assert model.choice is not None
    for record, n in enumerate(asked(memory.extra, model.choice, len(rows), model.generation)):
        seen = seen_as(memory, model.store, record)
        beside = model.spec.robust
        found = None if beside else answer(model.spec, seen, rows.x[:n], "log_density") if n else np.empty(0)
        if found is None:
            densities = e_step(_alone(model, seen).parameters, z[:n]).log_density
            if beside:
                densities = Background.of(model.store[record]).log_density(z[:n], densities)
            found = data_log_density(seen.basis, z[:n], densities)
        told.append(found)
    return told


def _alone(model: Model, moments: Moments) -> Model:
    """The model that one record alone makes."""
    return replace(model, store=(moments,), choice=None)
