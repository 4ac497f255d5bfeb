"""The reservoir, and the start that a model makes from it: anew each time its rows have doubled."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

import numpy as np

from .arrays import Array, Bools, Ints
from .background import Background, moments_of
from .basis import Basis, without_giants
from .families import Parameters
from .memory import Store
from .model import Model, counted
from .moments import Moments, lineage_of
from .priors import Prior
from .rows import Rows
from .seeding import FAR, start

PATIENCE = 16
"""Times the usual number of rows that a start waits for as many different rows as there are components."""


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
    basis = Basis.of(without_giants(rows.x), weights, isotropic=spec.family_value.isotropic)
    z = basis.forward(rows.x)
    rng = np.random.default_rng([spec.random_state, learned])
    # The start is looked for among a few rows, where without a floor there may be no answer.
    prior = spec.prior if spec.prior.reg_covar else replace(spec.prior, reg_covar=Prior().reg_covar)
    found = start(
        z, weights, model.k, spec.family_value, prior, basis, rng, hard=spec.hard, robust=spec.robust
    )
    if model.store:
        found = _in_order(found, _matching(model, found, basis))
    due = spec.start_rows(model.d)
    if learned >= due and _distinct(z) < model.k:
        # A stream that stands still has not begun: components on one place would never part again.
        due *= PATIENCE
    settled = learned >= due
    return replace(
        model,
        store=_replayed(model, rows, z, found, basis),
        reservoir=() if settled else (rows,),
        next_start=0 if settled else min(2 * learned, due),
        generation=model.generation + 1,
        learned=learned,
        t=now,
    )


def _distinct(z: Array) -> int:
    """How many different rows there are among z (n, d)."""
    return len(np.unique(np.nan_to_num(z), axis=0))


def _replayed(model: Model, rows: Rows, z: Array, found: Parameters, basis: Basis) -> Store:
    """The reservoir's rows in the memory, once each, in their order."""
    lineage = lineage_of(found.means, basis)
    known = np.tile((~np.isnan(basis.origin)).astype(np.float64), (model.k, 1))
    store: Store = ()
    before = math.nan
    far: Bools = np.asarray((np.abs(z) > FAR).any(axis=1))
    background = _background(model, rows, z, found, basis, known) if model.spec.robust else None
    for piece in model.spec.memory.pieces(len(rows)):
        part = rows[piece]
        now = part.newest(before)
        w = counted(model, part, now)
        # Giants by themselves, each: in one sum with others they would leave those no digits.
        alone = [np.array([i]) for i in np.flatnonzero(far[piece])]
        groups = [np.flatnonzero(~far[piece]), *alone] if alone else [slice(None)]
        batch, *others = (
            moments_of(
                found,
                background,
                z[piece][own],
                None if w is None else w[own],
                basis,
                lineage,
                known,
                model.spec.hard,
            )[0]
            for own in groups
        )
        batch = reduce(Moments.add, others, batch)
        store = model.spec.memory.fold(store, batch, before, now)
        before = now
    return store


def _background(
    model: Model, rows: Rows, z: Array, found: Parameters, basis: Basis, known: Array
) -> Background:
    """The background beside the start, after one look at the rows z (n, d)."""
    hard = model.spec.hard
    suspected = Background.suspected(found)
    return Background.of(moments_of(found, suspected, z, rows.w, basis, "", known, hard)[0])


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
