"""The reservoir, and the start that a model makes from it: anew each time its rows have doubled."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from .arrays import Array, Ints
from .basis import Basis
from .em import batch_moments
from .families import Parameters
from .memory import Store
from .model import Model, counted
from .moments import lineage_of
from .rows import Rows
from .seeding import start


def kept(parts: tuple[Rows, ...], rows: Rows) -> tuple[Rows, ...]:
    """The reservoir with further rows; pieces of like size are joined, so that a row is copied a logarithmic
    number of times."""
    while parts and len(parts[-1]) <= len(rows):
        rows = Rows.concatenated([parts[-1], rows])
        parts = parts[:-1]
    return (*parts, rows)


def started(model: Model, learned: int) -> Model:
    """Forgets what was learned so far and learns it again, better, from the reservoir."""
    rows = Rows.concatenated(model.reservoir)
    spec = model.spec
    now = rows.newest(math.nan)
    weights = counted(model, rows, now)
    weights = rows.w if weights is None else weights
    basis = Basis.of(rows.x, weights, isotropic=spec.family_value.isotropic)
    z = basis.forward(rows.x)
    rng = np.random.default_rng([spec.random_state, learned])
    found = start(z, weights, model.k, spec.family_value, spec.prior, basis, rng, hard=spec.hard)
    if model.store:
        found = _in_order(found, _matching(model, found, basis))
    settled = learned >= spec.start_rows(model.d)
    return replace(
        model,
        store=_replayed(model, rows, z, found, basis),
        reservoir=() if settled else (rows,),
        next_start=0 if settled else min(2 * learned, spec.start_rows(model.d)),
        generation=model.generation + 1,
        learned=learned,
        t=now,
    )


def _replayed(model: Model, rows: Rows, z: Array, found: Parameters, basis: Basis) -> Store:
    """The reservoir's rows in the memory, once each, in their order."""
    lineage = lineage_of(found.means, basis)
    known = np.tile((~np.isnan(basis.origin)).astype(np.float64), (model.k, 1))
    store: Store = ()
    before = math.nan
    for piece in model.spec.memory.pieces(len(rows)):
        part = rows[piece]
        now = part.newest(before)
        batch, _ = batch_moments(
            found, z[piece], counted(model, part, now), basis, lineage, known, model.spec.hard
        )
        store = model.spec.memory.fold(store, batch, before, now)
        before = now
    return store


def _matching(model: Model, found: Parameters, basis: Basis) -> Ints:
    """For each component of the model, heaviest first, the nearest new one that is still free: ids survive a
    new start."""
    old = basis.forward(model.basis.backward(model.parameters.means))
    distances = np.square(np.nan_to_num(old)[:, None] - found.means).sum(axis=2)
    order = np.empty(model.k, dtype=np.int64)
    for component in np.argsort(-model.moments.mass, kind="stable"):
        order[component] = distances[component].argmin()
        distances[:, order[component]] = np.inf
    return order


def _in_order(found: Parameters, order: Ints) -> Parameters:
    covariances = found.covariances if found.family.scatter == "tied" else found.covariances[order]
    return replace(found, weights=found.weights[order], means=found.means[order], covariances=covariances)
