"""The model: a frozen record of what was learned, and what can be asked of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .adaptive import Adaptive, Choice, seen_as
from .arrays import Array, Ints
from .background import Background
from .basis import Basis
from .em import e_step
from .families import Parameters, estimate, grounded
from .folders import judged
from .kernels import Told, has_missing
from .memory import Store
from .moments import Moments
from .outliers import outlier
from .rows import Rows, checked
from .sampling import Sample
from .spec import Spec

if TYPE_CHECKING:
    from .contest import Contest

NOISE = -1
"""The label of rows that are noise, and of all rows while a model is warming."""


@dataclass(frozen=True, eq=False)
class Model:
    """All that a stream left behind, and nothing that can be computed from it.

    Attributes:
        spec: the choices the model was made with.
        d: number of features.
        components: stable ids of the k components, in the order of every array.
        store: moments, oldest first; empty until the first batch was learned.
        pending: rows that wait until their batch is full.
        reservoir: the first rows, in pieces, until the start is settled; then empty.
        next_start: number of learned rows at which the model starts afresh from the reservoir; 0 once
            settled.
        generation: batches learned.
        learned: rows learned.
        t: newest event time learned, NaN before any.
        evidence: discounted sums over learned rows of (log density before learning, weight), for the running
            log-likelihood.
        late: rows that were left out because they came too late (`Spec.lateness`).
        sample: rows that stand for all that is remembered, once the start is settled; None where there are
            too many components for reviews.
        choice: which record of an adaptive memory is in use; None before the first start, and for other
            memories.
        contest: the candidates for `Spec.families`; None where the family is given, and where it stays as it
            is: in shards, and after a fit.

    >>> from stream_mix.mixture import Rows, learn
    >>> rows = Rows.of([[0.0], [9.0], [0.1], [9.1]])
    >>> model, _ = learn(Model.new(Spec(n_components=2, batch_size=4), d=1), rows)
    >>> posterior(model, [[0.0], [9.0]]).label.tolist() in ([0, 1], [1, 0])
    True
    """

    spec: Spec
    d: int
    components: tuple[int, ...]
    store: Store
    pending: Rows
    reservoir: tuple[Rows, ...]
    next_start: int
    generation: int = 0
    learned: int = 0
    t: float = math.nan
    evidence: tuple[float, float] = (0.0, 0.0)
    late: int = 0
    sample: Sample | None = None
    choice: Choice | None = None
    contest: Contest | None = None

    @classmethod
    def new(cls, spec: Spec, d: int) -> Model:
        """A model of d features that has seen nothing."""
        return cls(spec, d, tuple(range(spec.n_components)), (), Rows.none(d), (), next_start=1)

    def followed(
        self,
        store: Store,
        batches: int,
        rows: int,
        t: float,
        evidence: tuple[float, float],
        choice: Choice | None = None,
    ) -> Model:
        """The model after so many further batches and rows, which left this store, time, evidence and
        choice."""
        # What `dataclasses.replace` would make, in a fifth of its time: models go by many a second.
        made = object.__new__(Model)
        made.__dict__.update(
            spec=self.spec,
            d=self.d,
            components=self.components,
            store=store,
            pending=self.pending,
            reservoir=self.reservoir,
            next_start=self.next_start,
            generation=self.generation + batches,
            learned=self.learned + rows,
            t=t,
            evidence=evidence,
            late=self.late,
            sample=self.sample,
            choice=choice,
            contest=self.contest,
        )
        return made

    def sampling(self, sample: Sample) -> Model:
        """The same model with another sample."""
        made = object.__new__(Model)
        made.__dict__.update(self.__dict__, sample=sample)
        return made

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.components)

    @property
    def rows(self) -> int:
        """Rows taken: learned, and waiting for their batch to fill."""
        return self.learned + len(self.pending)

    @property
    def warming(self) -> bool:
        """Whether no batch was learned yet, so that there are no components to assign rows to."""
        return not self.store

    @cached_property
    def moments(self) -> Moments:
        """All that the memory holds, as one record; of several side by side, the one in use."""
        if self.choice is None:
            return self.spec.memory.told(self.store)
        assert isinstance(self.spec.memory, Adaptive)
        return seen_as(self.spec.memory, self.store, self.choice.chosen)

    @property
    def at_work(self) -> Model:
        """The model by which rows are judged when they are learned: itself, unless its memory says something
        else than it learns by."""
        # Not kept: a model that holds itself is freed by the collector only.
        memory = self.spec.memory
        if (steps := memory.steps) is memory:
            return self
        return replace(self, spec=replace(self.spec, memory=steps), store=self.store[:1])

    @property
    def basis(self) -> Basis:
        """The coordinates of the moments."""
        return self.store[0].basis

    @cached_property
    def parameters(self) -> Parameters:
        """Weights, means and covariances in the coordinates of the basis."""
        found = estimate(self.spec.family_value, self.moments, self.spec.prior)
        return found if self.spec.prior.reg_covar else grounded(found)

    @cached_property
    def known(self) -> Array:
        """How far each component knows each feature (k, d), from 0, never observed, to 1."""
        mass = self.moments.mass[:, None]
        fraction: Array = np.clip(self.moments.seen / np.where(mass > 0, mass, 1.0), 0.0, 1.0)
        return fraction

    @property
    def log_likelihood(self) -> float:
        """Mean log density of recent rows, each taken before it was learned, in the data's units; NaN before
        any."""
        return self.evidence[0] / self.evidence[1] if self.evidence[1] > 0 else math.nan


@dataclass(frozen=True, eq=False)
class Posterior:
    """What a model says of rows.

    Attributes:
        p: responsibilities (n, k), rows sum to 1.
        label: stable id of the likeliest component (n,); -1 while the model is warming, and for noise.
        log_density: (n,), natural logarithm, per the data's units, over the features that were observed; with
            the background where there is one.
        outlier: (n,), the chance that a row drawn from the mixture is likelier: 0 ordinary, 1 as strange as
            can be; uniform over rows that the mixture made.
        noise: (n,), the chance that a row is the background's; then p is given that it is not. With more
            than 1/2 it is noise. None where there is no background (`Spec.robust`).
    """

    p: Array
    label: Ints
    log_density: Array
    outlier: Array
    noise: Array | None = None


def data_log_density(basis: Basis, z: Array, log_density: Array) -> Array:
    """Log densities of rows z (n, d) of the basis per unit of the data: minus log scale for each observed
    feature."""
    log_scale = np.log(basis.scale)
    if has_missing(z):
        missing: Array = log_density - (~np.isnan(z)) @ log_scale
        return missing
    complete: Array = log_density - log_scale.sum()
    return complete


def basis_log_density(model: Model, z: Array) -> Array:
    """Log densities (n,) of rows z (n, d) in the basis, with the background where there is one."""
    found = e_step(model.parameters, z).log_density
    return Background.of(model.moments).log_density(z, found) if model.spec.robust else found


def posterior(model: Model, x: ArrayLike) -> Posterior:
    """Responsibilities, labels, log densities and outlier scores of rows x (n, d), NaN where a value is
    missing.

    While the model is warming responsibilities are even, labels -1, densities and outlier scores 0. Raises
    ValueError where x does not have the model's number of features.
    """
    values = checked(x)
    n = len(values)
    if values.shape[1] != model.d:
        raise ValueError(f"posterior: x has {values.shape[1]} features, expected {model.d}")
    if model.warming:
        return Posterior(np.full((n, model.k), 1.0 / model.k), np.full(n, -1), np.zeros(n), np.zeros(n))
    if not model.spec.robust and (found := judged(model.spec, model.moments, values)) is not None:
        return posterior_of(model, *found)
    z = model.basis.forward(values)
    told = e_step(model.parameters, z)
    answer = said(model, z, told)
    return beside_noise(model, z, told, answer) if model.spec.robust else answer


def beside_noise(model: Model, z: Array, told: Told, answer: Posterior) -> Posterior:
    """What a model says of rows z (n, d) in the basis, noise told from the components' rows."""
    background = Background.of(model.moments)
    noise = background.share_of(z, told.log_density)
    label = np.where(noise > 0.5, NOISE, answer.label)
    log_density = data_log_density(model.basis, z, background.log_density(z, told.log_density))
    return replace(answer, label=label, log_density=log_density, noise=noise)


def posterior_of(model: Model, p: Array, label: Ints, log_density: Array, outliers: Array) -> Posterior:
    """What compiled code said of rows, whose labels are indices, with the model's ids."""
    if model.components != tuple(range(model.k)):
        label = np.array(model.components)[label]
    return Posterior(p, label, log_density, outliers)


def said(model: Model, z: Array, told: Told) -> Posterior:
    """What an E-step told of rows z (n, d) in the basis, with the model's ids and in the data's units."""
    return Posterior(
        told.p,
        np.array(model.components)[told.label],
        data_log_density(model.basis, z, told.log_density),
        outlier(model.parameters, z, told.log_density),
    )


def parameters(model: Model) -> Parameters:
    """Weights, means and covariances in the data's units; covariances in the family's own shape.

    Raises ValueError while the model is warming.
    """
    if model.warming:
        raise ValueError(
            "parameters: the model has learned no batch yet, so it has no components; feed it rows first"
        )
    own, basis = model.parameters, model.basis
    scale = basis.scale
    origin = np.where(np.isnan(basis.origin), 0.0, basis.origin)
    covariances = own.covariances
    if model.spec.family_value.isotropic:
        covariances = covariances * scale[0] ** 2 if scale.size else covariances
    elif model.spec.family_value.scatter == "diag":
        covariances = covariances * np.square(scale)
    else:
        covariances = covariances * (scale[:, None] * scale)
    return replace(own, means=origin + own.means * scale, covariances=covariances)


def counted(model: Model, rows: Rows, now: float, before: int) -> Array | None:
    """What each row of a batch counts, behind so many others: its own weight times what the memory leaves of
    it; None where all count 1."""
    kept = model.spec.memory.row_weights(rows.t, now, before)
    if kept is None:
        return None if (rows.w == 1.0).all() else rows.w
    return rows.w * kept
