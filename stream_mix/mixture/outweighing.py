"""A row that weighs as much as all rows of a component do, where squared error is what counts, gets a
component of its own.

The start gave such rows of the reservoir theirs. One that comes later would draw the nearest centre a little
towards it and leave nearly all of its error behind: one row of half a million can make most of the error of
k-means. So where the squared error of a row is that of as many average rows as a component has, `LEAST` at
least, the two components that lose least by it become one, and the other begins anew at that row, if that is
less than the row's own error: the squared error of all that is remembered falls. For two components of
masses m and n at a distance r it is m n r^2 / (m + n) (Ward 1963).

Of rows of any one distribution hardly more than k in n weigh so much (Markov's inequality), however heavy its
tails: this costs next to nothing. Of rows in the order of their clusters it finds each when it comes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .arrays import LOG_2PI, Array
from .changes import Change
from .em import batch_moments, e_step
from .families import Parameters
from .memory import Store
from .model import Model, counted
from .moments import Moments, lineage_of
from .reduction import placed
from .rows import Rows
from .starting import reviewed

LEAST = 100.0
"""Average rows, of weight 1, whose squared error a row must have at least: as many as a component has once
a start is settled."""


class Outweighed(NamedTuple):
    """A model after some of its components began anew at rows of a batch, the moments of the batch, and what
    happened to components."""

    model: Model
    batch: Moments
    changes: tuple[Change, ...]


def least(model: Model) -> float:
    """`LEAST` where rows of the model are looked at so: squared error is all that it goes by, and components
    may change as by a review; else infinity."""
    spec = model.spec
    if not spec.family_value.equal_weights or not spec.hard or model.k == 1 or not reviewed(spec):
        return math.inf
    return LEAST if model.sample is not None or model.next_start else math.inf


def limit(model: Model) -> float:
    """The weight times squared distance, in variances, beyond which a row outweighs a component; infinity
    before as many rows are remembered as it has to weigh."""
    if (rows := least(model)) == math.inf:
        return math.inf
    mass = float(model.at_work.moments.mass.sum())
    return model.d * max(mass / model.k, rows) if mass >= rows else math.inf


def suspicious(model: Model, z: Array, w: Array | None, log_density: Array) -> bool:
    """Whether a row of z (n, d) may outweigh a component, by its log density (n,) in the basis: the mean of
    k densities is no more than the largest, so the square of the least distance is at most
    -2 log_density - d log(2 pi variance)."""
    if (most := limit(model)) == math.inf:
        return False
    variance = float(model.at_work.parameters.covariances[0])
    features = (~np.isnan(z)).sum(axis=1)
    squared = -2.0 * log_density - features * (LOG_2PI + np.log(variance))
    # Rounding must not keep a row from being looked at.
    return bool(((squared if w is None else w * squared) > 0.999 * most).any())


def outweighs(model: Model, rows: Rows) -> bool:
    """Whether one of the rows, the model's next batch, outweighs a component and would get its own."""
    most = limit(model)
    if most == math.inf:
        return False
    z, at_work = model.basis.forward(rows.x), model.at_work
    weights = counted(model, rows, rows.newest(model.t), at_work.moments.rows)
    error = e_step(at_work.parameters, z).distance * (1.0 if weights is None else weights)
    return _pair(error, most, at_work.moments.mass, at_work.parameters) is not None


def outweighed(model: Model, z: Array, w: Array | None, batch: Moments, offset: int) -> Outweighed:
    """The model after those of the rows z (n, d) of the basis, with weights w (n,), that outweigh components
    have got their own; `batch` are the moments of the rows where none does."""
    found, most = model.at_work.parameters, limit(model)
    weights = np.ones(len(z)) if w is None else w.copy()
    before, mass, changes = model, model.at_work.moments.mass.copy(), []
    for _ in range(model.k - 1):
        told = e_step(found, z)
        error = weights * told.distance
        if (pair := _pair(error, most, mass, found)) is None:
            break
        into, freed = pair
        row = int(error.argmax())
        seat = np.where(np.isnan(z[row]), found.means[told.label[row]], z[row])
        found = _seated(found, mass, into, freed, seat)
        mass[into], mass[freed] = mass[into] + mass[freed], weights[row]
        # Rounding leaves a giant some distance to its own seat: it has one now, whatever that is.
        weights[row] = 0.0
        lineage = lineage_of(z[row], model.basis, f"{model.store[0].lineage} {into} {freed}")
        model, more = _renewed(model, into, freed, seat, lineage, offset)
        changes += more
    if model is before:
        return Outweighed(model, batch, ())
    lineage = model.store[0].lineage
    batch, _ = batch_moments(found, z, w, model.basis, lineage, model.known, model.spec.hard)
    return Outweighed(model, batch, tuple(changes))


def _pair(error: Array, most: float, mass: Array, found: Parameters) -> tuple[int, int] | None:
    """The components that become one if the row with the largest weighted squared error (n,), in variances,
    is to have one of its own, first the one that stays; None where it is not."""
    largest = float(error.max())
    if not largest > most:
        return None
    into, freed, cost = cheapest(mass, found.means)
    if not largest * float(found.covariances[0]) > cost:
        return None
    # About the first one's mean all rows are judged: a giant there would leave them no digits.
    return (into, freed) if freed else (freed, into)


def cheapest(mass: Array, means: Array) -> tuple[int, int, float]:
    """Of components of masses (k,) and means (k, d) the two that cost least squared error to be one, the
    heavier first, and what they cost.

    >>> cheapest(np.array([1.0, 3.0, 9.0]), np.array([[0.0], [2.0], [9.0]]))[:2]
    (1, 0)
    """
    both = mass[:, None] + mass
    shared = mass[:, None] * mass / np.where(both > 0.0, both, 1.0)
    # Each by itself: in a product of matrices a giant's mean would leave the others no digits.
    cost = shared * np.square(means[:, None] - means).sum(axis=2)
    np.fill_diagonal(cost, np.inf)
    one, other = (int(i) for i in np.unravel_index(int(cost.argmin()), cost.shape))
    into, freed = (one, other) if mass[one] >= mass[other] else (other, one)
    return into, freed, float(cost[one, other])


def _seated(found: Parameters, mass: Array, into: int, freed: int, seat: Array) -> Parameters:
    """The parameters with component `freed` at `seat` (d,), its rows now those of the component `into`."""
    means = found.means.copy()
    total = mass[into] + mass[freed]
    means[into] += (mass[freed] / total if total > 0.0 else 0.0) * (means[freed] - means[into])
    means[freed] = seat
    return replace(found, means=means)


def _renewed(
    model: Model, into: int, freed: int, seat: Array, lineage: str, offset: int
) -> tuple[Model, list[Change]]:
    """The model with what component `freed` knew joined to `into`, and in its place a new one that knows
    nothing and stands at `seat` (d,)."""
    slots = [into if i == freed else i for i in range(model.k)]
    joined = (placed(bucket, slots, model.k, lineage) for bucket in model.store)
    store: Store = tuple(_emptied(bucket, freed, seat) for bucket in joined)
    sample, ids = model.sample, model.components
    new = max(ids) + 1 if sample is None else sample.named
    sample = None if sample is None else replace(sample, named=new + 1)
    components = tuple(new if i == freed else component for i, component in enumerate(ids))
    changes = [
        Change("merged", ids[into], (ids[into], ids[freed]), offset),
        Change("born", new, (), offset),
    ]
    return replace(model, store=store, components=components, sample=sample), changes


def _emptied(bucket: Moments, freed: int, seat: Array) -> Moments:
    mean = bucket.mean.copy()
    mean[freed] = seat
    return replace(bucket, mean=mean)
