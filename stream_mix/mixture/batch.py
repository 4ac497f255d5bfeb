"""EM to convergence on rows that are all in memory: what a stream cannot have, and scikit-learn's `fit` is
expected to do.

Rows are first brought into an order of their own and equal rows merged. So a fit depends neither on the order
of the rows nor on whether a row comes twice or once with weight 2, to the last bit where the weights are
whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .adaptive import Adaptive, Choice
from .arrays import Array
from .background import Background, moments_of
from .basis import Basis
from .choosing import choose
from .contest import gained, spoken_for
from .families import Parameters, estimate
from .model import Model, data_log_density, posterior
from .moments import Moments, lineage_of
from .moves import Reservoir
from .rows import Rows
from .seeding import start as seeded
from .spec import Spec
from .starting import started_prior

SAMPLE = 4
"""The start is looked for among this many reservoirs of rows, or among all where there are fewer."""

PARTS, _SWEEPS = 4, 20
"""Parts of the rows that are foretold by turns, where rows say which family it is; sweeps of those
fits, at the most. Of 168 to three clusters, near and apart, none took more than 6."""

_NO_DENSITY = -1e300
"""A log density that stays a number when another is subtracted."""

_ROUNDING = 1e-24
"""Squared moves of means, in variances, that mean nothing: one row among 10^9 would move them further."""

_NEXT_TO_NOTHING = 1e-250
"""The mass of a component without rows that shall keep its mean all the same."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit ended with.

    Attributes:
        model: goes on learning from here; its moments are those of the last sweep over the rows.
        bounds: mean log density of the rows, in the data's units, before each sweep's update; as many as
            there were sweeps.
        converged: whether the last sweep changed less than the tolerance.
    """

    model: Model
    bounds: tuple[float, ...]
    converged: bool


def fit(rows: Rows, spec: Spec, *, max_iter: int, tol: float, start: Parameters | None = None) -> Fitted:
    """EM, or Lloyd's algorithm where assignment is hard, over all rows until it converges; every row counts
    its weight.

    Soft assignment stops when the mean log density changes by less than `tol`; hard assignment when the
    squared moves of all means, added up, are at most `tol` times the mean variance of a feature. `start`, in
    the data's units, takes the place of the usual start: greedy k-means++ and guided swaps. The memory of the
    spec forgets nothing here; it begins with what is learned next. Where the rows say which family it is,
    each is fitted to parts of them and foretells the others (`contest`); from there on it stays.

    Raises ValueError where there are no rows, or where a covariance is no longer positive definite (not with
    a `reg_covar` > 0).

    >>> rows = Rows.of([[0.0], [1.0], [8.0], [9.0]])
    >>> fitted = fit(rows, Spec(n_components=2, family="kmeans"), max_iter=10, tol=0.0)
    >>> fitted.converged, sorted(fitted.model.moments.mass.tolist())
    (True, [2.0, 2.0])
    """
    if not len(rows):
        raise ValueError("fit: there are no rows, expected at least one with a weight > 0")
    x, w = merged(rows.x, rows.w)
    families = spec.families
    while True:
        if families:
            told = _foretelling(x, w, spec, tol, families) if start is None else start.family.name
            spec = replace(spec, family=told)
        try:
            return _converged(x, w, spec, start, max_iter, tol, len(rows))
        except np.linalg.LinAlgError:
            # One that foretold parts best need not be one that can be fitted to all of them.
            families = tuple(family for family in families if family != spec.family)
            if not families or start is not None:
                raise ValueError(
                    "fit: the covariance of a component is singular; give a larger reg_covar or fewer"
                    " components"
                ) from None


def _converged(
    x: Array, w: Array, spec: Spec, start: Parameters | None, max_iter: int, tol: float, rows: int
) -> Fitted:
    """The family of the specification, fitted to x (n, d) with weights w (n,), which were so many rows."""
    basis = Basis.of(x, w, isotropic=spec.family_value.isotropic)
    z = basis.forward(x)
    found = in_basis(start, basis) if start is not None else _start(z, w, spec, basis)
    moments, bounds, converged = _sweeps(z, w, spec, found, max_iter, tol, basis)
    return Fitted(_model(spec, replace(moments, rows=rows), learned=rows), bounds, converged)


def from_parameters(parameters: Parameters, spec: Spec, rows: float) -> Model:
    """A model with the given parameters (in the data's units), as if it had learned them from `rows` rows.

    The M-step of the spec gives the parameters back if its prior has no pseudo-rows and a `reg_covar`, in
    units of the mixture's own variance of each feature, that is less than the least eigenvalue of every
    covariance: the moments are made without that floor, scatter = mass (covariance - reg_covar).
    """
    basis = basis_of(parameters)
    own = in_basis(parameters, basis)
    d = own.means.shape[1]
    mass = np.maximum(own.weights * rows, _NEXT_TO_NOTHING)
    if own.family.scatter == "diag":
        scatter = mass[:, None] * (own.dense - spec.prior.reg_covar)
    else:
        spread = mass.sum() if own.family.scatter == "tied" else mass[:, None, None]
        scatter = spread * (own.dense - spec.prior.reg_covar * np.eye(d))
    lineage = lineage_of(own.means, basis)
    seen = np.repeat(mass[:, None], d, axis=1)
    moments = Moments(own.family.scatter, basis, lineage, mass, seen, own.means, scatter, max(1, int(rows)))
    return _model(spec, moments, learned=0)


def basis_of(parameters: Parameters) -> Basis:
    """The basis in which the mixture has mean 0 and variance 1 in each feature (on average if isotropic)."""
    origin = parameters.weights @ parameters.means
    dense = parameters.dense
    within = dense if parameters.family.scatter == "diag" else np.diagonal(dense, axis1=-2, axis2=-1)
    variance = within if within.ndim == 1 else parameters.weights @ within
    variance = variance + parameters.weights @ np.square(parameters.means - origin)
    if parameters.family.isotropic:
        variance = np.full(origin.size, variance.mean())
    return Basis(origin, np.sqrt(variance))


def in_basis(parameters: Parameters, basis: Basis) -> Parameters:
    """Parameters in the data's units brought into the coordinates of a basis."""
    scale = basis.scale
    covariances = parameters.covariances
    if parameters.family.isotropic:
        covariances = covariances / scale[0] ** 2
    elif parameters.family.scatter == "diag":
        covariances = covariances / np.square(scale)
    else:
        covariances = covariances / (scale[:, None] * scale)
    return replace(parameters, means=np.nan_to_num(basis.forward(parameters.means)), covariances=covariances)


def merged(x: Array, w: Array) -> tuple[Array, Array]:
    """Each distinct row of x (n, d) once, in lexical order, with the sum of its weights w (n,).

    The order of the values, not their bits, decides: it stays under a translation or rescaling of the data.

    >>> merged(np.array([[2.0, 0.0], [1.0, 5.0], [2.0, 0.0]]), np.ones(3))
    (array([[1., 5.],
           [2., 0.]]), array([1., 2.]))
    """
    place = np.zeros(len(x), dtype=np.int64)
    for column in x.T:
        _, rank = np.unique(column, return_inverse=True)
        _, first, place = np.unique(place * len(x) + rank, return_index=True, return_inverse=True)
        if len(first) == len(x):
            break
    weights: Array = np.bincount(place, w, len(first)).astype(np.float64)
    return x[first], weights


def _start(z: Array, w: Array, spec: Spec, basis: Basis) -> Parameters:
    """The start from all rows, or from a sample drawn evenly over their weights."""
    rng = np.random.default_rng(spec.random_state)
    z, w = _drawn(z, w, spec, rng)
    if spec.up_to is not None:
        known = np.tile((~np.isnan(z)).any(axis=0).astype(np.float64), (1, 1))
        rows = Reservoir(z, w, basis, spec.family_value, started_prior(spec.prior), known, spec.hard)
        return choose(rows, None, spec.up_to, rng).parameters
    return seeded(
        z, w, spec.n_components, spec.family_value, spec.prior, basis, rng, hard=spec.hard, robust=spec.robust
    )


def _drawn(x: Array, w: Array, spec: Spec, rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows x (n, d), or a sample drawn evenly over their weights w (n,) where they are more than `SAMPLE`
    starts' worth; and what each counts."""
    size = SAMPLE * spec.start_rows(x.shape[1])
    if len(x) <= size:
        return x, w
    edges = np.cumsum(w)
    drawn = np.searchsorted(edges, (np.arange(size) + rng.random(size)) / size * edges[-1], side="right")
    picked, count = np.unique(np.minimum(drawn, len(x) - 1), return_counts=True)
    return x[picked], count.astype(np.float64)


def _foretelling(x: Array, w: Array, spec: Spec, tol: float, families: tuple[str, ...]) -> str:
    """The one of the families that rows x (n, d) of weights w (n,) speak for: fitted to all parts but one, it
    foretells that one, by turns."""
    x, w = _drawn(x, w, spec, np.random.default_rng(spec.random_state))
    alone = replace(spec, families=(), prior=started_prior(spec.prior))
    told = [_foretold(x, w, replace(alone, family=family), tol) for family in families]
    chosen: int | None = 0
    # At most so often, should three families beat each other in turn.
    for _ in families:
        if chosen is None:
            break
        found = chosen
        sums = [gained(one, told[found], w, x.shape[1]) for one in told]
        chosen = spoken_for([nats for nats, _ in sums], [square for _, square in sums], len(x))
    return families[found]


def _foretold(x: Array, w: Array, spec: Spec, tol: float) -> Array:
    """Log densities (n,) of the rows, each under a fit to the parts that it is not in; next to none where
    there is no fit."""
    density, part = np.full(len(x), _NO_DENSITY), np.arange(len(x)) % PARTS
    for own in (part == i for i in range(min(PARTS, len(x)))):
        if own.all():
            continue
        times = np.full(np.count_nonzero(~own), np.nan)
        try:
            fitted = fit(Rows(x[~own], w[~own], times), spec, max_iter=_SWEEPS, tol=tol)
        except ValueError:
            continue  # without a floor under variances there may be none
        density[own] = posterior(fitted.model, x[own]).log_density
    return density


def _sweeps(
    z: Array, w: Array, spec: Spec, found: Parameters, max_iter: int, tol: float, basis: Basis
) -> tuple[Moments, tuple[float, ...], bool]:
    """Sweeps over all rows z (n, d): the last one's moments, mean log densities, whether they converged."""
    known = np.tile((~np.isnan(z)).any(axis=0).astype(np.float64), (len(found.weights), 1))
    weights = None if (w == 1.0).all() else w
    lineage = lineage_of(found.means, basis)
    bounds: list[float] = []
    converged = False
    background = Background.suspected(found) if spec.robust else None
    while not converged:
        moments, log_density = moments_of(found, background, z, weights, basis, lineage, known, spec.hard)
        bounds.append(float(w @ data_log_density(basis, z, log_density) / w.sum()))
        before, found = found, estimate(spec.family_value, moments, spec.prior)
        background = Background.of(moments) if spec.robust else None
        if spec.hard:
            found = _relocated(found, before, moments, z, w)
            converged = float(np.square(found.means - before.means).sum()) <= max(tol, _ROUNDING)
        else:
            converged = len(bounds) > 1 and abs(bounds[-1] - bounds[-2]) < tol
        if len(bounds) >= max_iter:
            break
    if spec.hard:
        moments = _with_empty(moments, found.means)
    return moments, tuple(bounds), converged


def _relocated(found: Parameters, before: Parameters, moments: Moments, z: Array, w: Array) -> Parameters:
    """Means without any row go to the rows furthest from theirs, each to one, while there are such."""
    empty = np.flatnonzero(moments.mass == 0.0)
    if not empty.size:
        return found
    nearest = np.full(len(z), np.inf)
    for mean in before.means[moments.mass > 0]:
        nearest = np.minimum(nearest, np.square(np.nan_to_num(z - mean)).sum(axis=1))
    far = np.argsort(-w * nearest, kind="stable")[: empty.size]
    far = far[nearest[far] > 0.0]
    means = found.means.copy()
    means[empty] = before.means[empty]
    means[empty[: far.size]] = np.where(np.isnan(z[far]), means[empty[: far.size]], z[far])
    return replace(found, means=means)


def _with_empty(moments: Moments, means: Array) -> Moments:
    """The moments with means (k, d) kept for components without rows, by a mass that counts for nothing."""
    empty = moments.mass == 0.0
    mass = np.where(empty, _NEXT_TO_NOTHING, moments.mass)
    seen = np.where(empty[:, None], _NEXT_TO_NOTHING, moments.seen)
    return replace(moments, mass=mass, seen=seen, mean=np.where(empty[:, None], means, moments.mean))


def _model(spec: Spec, moments: Moments, learned: int) -> Model:
    """A model past its start that holds these moments."""
    if spec.up_to is not None:
        spec = replace(spec, n_components=moments.k)
    blank = Model.new(spec, moments.d)
    choice = Choice.first(spec.memory) if isinstance(spec.memory, Adaptive) else None
    store = spec.memory.begun(moments)
    return replace(blank, next_start=0, generation=1, learned=learned, store=store, choice=choice)
