"""The reservoir, and the start that a model makes from it: anew each time its rows have doubled."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

import numpy as np

from .adaptive import Adaptive, Choice
from .arrays import Array, Bools, Ints
from .background import Background, moments_of
from .basis import Basis, without_giants
from .changes import Change, renamed, shared_rows
from .choosing import choose
from .em import e_step
from .families import Parameters
from .memory import Memory, Store
from .model import Model, counted
from .moments import Moments, lineage_of
from .moves import Reservoir
from .priors import Prior
from .rows import Rows
from .sampling import Sample, begun, size
from .seeding import FAR, start
from .spec import Spec

MOST_REVIEWED = 256
"""Components up to which a settled model keeps a sample and is reviewed."""

PATIENCE = 16
"""Times the usual number of rows that a start waits for as many different rows as there are components."""


def kept(parts: tuple[Rows, ...], rows: Rows) -> tuple[Rows, ...]:
    """The reservoir with further rows; pieces of like size are joined, so that a row is copied a logarithmic
    number of times."""
    while parts and len(parts[-1]) <= len(rows):
        rows = Rows.concatenated([parts[-1], rows])
        parts = parts[:-1]
    return (*parts, rows)


def started(model: Model, learned: int) -> tuple[Model, tuple[Change, ...]]:
    """Forgets what was learned so far and learns it again, better, from the reservoir; and what happened to
    components."""
    rows = Rows.concatenated(model.reservoir)
    spec = model.spec
    now = rows.newest(math.nan)
    weights = counted(model, rows, now, 0)
    weights = rows.w if weights is None else weights
    basis = Basis.of(without_giants(rows.x), weights, isotropic=spec.family_value.isotropic)
    z = basis.forward(rows.x)
    rng = np.random.default_rng([spec.random_state, learned])
    changes: tuple[Change, ...] = ()
    if spec.up_to is None:
        found = start(
            z, weights, model.k, spec.family_value, started_prior(spec.prior), basis, rng,
            hard=spec.hard, robust=spec.robust,
        )  # fmt: skip
        if model.store:
            found = in_order(found, _matching(model, found, basis))
    else:
        found = _chosen(model, z, weights, basis, rng)
        model, found, changes = _with_ids(model, found, z, weights, basis)
        spec = model.spec
    if not model.store:
        changes = tuple(Change("born", component, (), model.learned) for component in model.components)
    due = spec.start_rows(model.d)
    if learned >= due and _distinct(z) < model.k:
        # A stream that stands still has not begun: components on one place would never part again.
        due *= PATIENCE
    settled = learned >= due
    model = replace(
        model,
        store=_remembered(model, rows, z, found, basis),
        choice=Choice.first(spec.memory) if isinstance(spec.memory, Adaptive) else None,
        sample=_sample(model, rows, learned) if settled else None,
        reservoir=() if settled else (rows,),
        next_start=0 if settled else min(2 * learned, due),
        generation=model.generation + 1,
        learned=learned,
        t=now,
    )
    return model, changes


def _chosen(model: Model, z: Array, w: Array, basis: Basis, rng: np.random.Generator) -> Parameters:
    """A mixture of as many components as the reservoir z (n, d), with weights w (n,), speaks for."""
    spec = model.spec
    assert spec.up_to is not None
    # Giants are no part of the clustering: one would take a component for itself.
    near = ~(np.abs(z) > FAR).any(axis=1) & (w > 0.0)
    if not near.any():
        near[:] = True
    known = (~np.isnan(basis.origin)).astype(np.float64)[None]
    prior = started_prior(spec.prior)
    rows = Reservoir(z[near], w[near], basis, spec.family_value, prior, known, spec.hard)
    present = rebased(model, basis).parameters if model.store else None
    return choose(rows, present, spec.up_to, rng).parameters


def _with_ids(
    model: Model, found: Parameters, z: Array, w: Array, basis: Basis
) -> tuple[Model, Parameters, tuple[Change, ...]]:
    """The model with as many components as were found, under ids that survive; these in their order; and what
    happened to them."""
    k = len(found.weights)
    spec = replace(model.spec, n_components=k)
    if not model.store:
        return replace(model, spec=spec, components=tuple(range(k))), found, ()
    before = e_step(rebased(model, basis).parameters, z).label
    shared = shared_rows(before, e_step(found, z).label, w, (model.k, k))
    ids = renamed(model.components, max(model.components) + 1, shared, model.learned)
    found = in_order(found, np.array(ids.order))
    return replace(model, spec=spec, components=ids.components), found, ids.changes


def rebased(model: Model, basis: Basis) -> Model:
    """The model with what it remembers in another basis."""
    if model.basis.same(basis):
        return model
    return replace(model, store=tuple(bucket.rebase(basis) for bucket in model.store))


def _sample(model: Model, rows: Rows, learned: int) -> Sample | None:
    """The sample of a settled model; None where there are more components than reviews can be made of, where
    the age of a row is not its number, or memory finds its half-life, and beside a background: of these
    reviews know nothing."""
    spec = model.spec
    if not reviewed(spec):
        return None
    named = max(model.components) + 1
    sample = begun(rows, size(spec.most, model.d), learned, spec.random_state, named)
    return sample if spec.up_to is None else replace(sample, review=2 * learned)


def reviewed(spec: Spec) -> bool:
    """Whether models of that specification keep a sample and are reviewed by it."""
    return spec.most <= MOST_REVIEWED and spec.memory.span(0) is not None and not spec.robust


def started_prior(prior: Prior) -> Prior:
    """The prior of a start: it is looked for among a few rows, where without a floor there may be no
    answer."""
    return prior if prior.reg_covar else replace(prior, reg_covar=Prior().reg_covar)


def _distinct(z: Array) -> int:
    """How many different rows there are among z (n, d)."""
    return len(np.unique(np.nan_to_num(z), axis=0))


def _remembered(model: Model, rows: Rows, z: Array, found: Parameters, basis: Basis) -> Store:
    """The reservoir's rows in the memory, or in each of those side by side."""
    if not isinstance(model.spec.memory, Adaptive):
        return _replayed(model, rows, z, found, basis)
    known: dict[Memory, Store] = {}
    for memory in model.spec.memory.memories:
        if memory not in known:
            alone = replace(model, spec=replace(model.spec, memory=memory))
            known[memory] = _replayed(alone, rows, z, found, basis)
    return tuple(known[memory][0] for memory in model.spec.memory.memories)


def _replayed(model: Model, rows: Rows, z: Array, found: Parameters, basis: Basis) -> Store:
    """The reservoir's rows in the memory, once each, in their order."""
    lineage = lineage_of(found.means, basis)
    known = np.tile((~np.isnan(basis.origin)).astype(np.float64), (model.k, 1))
    store: Store = ()
    before = math.nan
    background = _background(model, rows, z, found, basis, known) if model.spec.robust else None
    for piece in model.spec.memory.pieces(len(rows)):
        part = rows[piece]
        now = part.newest(before)
        w = counted(model, part, now, piece.start)
        batch = _moments_of(found, background, z[piece], w, basis, lineage, known, model.spec.hard)
        store = model.spec.memory.fold(store, batch, before, now)
        before = now
    return store


def _moments_of(
    found: Parameters,
    background: Background | None,
    z: Array,
    w: Array | None,
    basis: Basis,
    lineage: str,
    known: Array,
    hard: bool,
) -> Moments:
    """The moments of rows z (n, d), giants among them, with weights w (n,)."""
    far: Bools = np.asarray((np.abs(z) > FAR).any(axis=1))
    # Giants by themselves, each: in one sum with others they would leave those no digits.
    alone = [np.array([i]) for i in np.flatnonzero(far)]
    groups = [np.flatnonzero(~far), *alone] if alone else [slice(None)]
    batch, *others = (
        moments_of(found, background, z[own], None if w is None else w[own], basis, lineage, known, hard)[0]
        for own in groups
    )
    return reduce(Moments.add, others, batch)


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


def in_order(found: Parameters, order: Ints) -> Parameters:
    """The same mixture with its components in another order."""
    covariances = found.covariances if found.family.scatter == "tied" else found.covariances[order]
    return replace(found, weights=found.weights[order], means=found.means[order], covariances=covariances)
