"""How far a row is from every component that counts: a score that ranks rows of a contaminated stream.

A mixture with components to spare gives some of them to the anomalies it has met, and then finds the next one
likely. Three things keep a row strange all the same:

* Each component is asked for itself: which part of its rows is further out? Densities would compare
  components of different volume, and a tight one on a few rows is the densest of all.
* A component counts as the square root of its weight: half way between not looking at weights, which would
  trust a component on three rows as any other, and as much as it has rows, which would find rare rows strange
  that are not.
* Nothing is resolved more finely than RESOLUTION of a feature's variance: where values repeat, variances
  fall to nothing and every new value would be infinitely far out.

    remoteness(z) = log sum_k sqrt(weight_k) - log sum_k sqrt(weight_k) P(chi^2_m > distance_k^2(z))

with m the number of features that were observed. It is 0 where all components have their centre, and has no
upper bound, so that it ranks rows that all have an outlier score of 1.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Ints
from .beta import log_f_survival
from .em import e_step, patterns
from .families import Parameters, estimate
from .kernels import has_missing
from .kernels.student import Student
from .model import Model
from .rows import checked
from .tail import log_survival

RESOLUTION = 0.05
"""Added to every variance, in units of the squared scale of its feature, unless `reg_covar` is more."""

_LEAST = 1e-300
"""Responsibilities are no less than e^-600 of the greatest; this keeps their logarithms in any case."""


def remoteness(model: Model, x: ArrayLike) -> Array:
    """How far rows x (n, d) are from all components (n,), from 0 on; NaN where a value is missing.

    While the model is warming, and for a row without any value, it is 0. Raises ValueError where x does not
    have the model's number of features.
    """
    values = checked(x)
    if values.shape[1] != model.d:
        raise ValueError(f"remoteness: x has {values.shape[1]} features, expected {model.d}")
    if model.warming:
        return np.zeros(len(values))
    prior = replace(model.spec.prior, reg_covar=max(model.spec.prior.reg_covar, RESOLUTION))
    parameters = estimate(model.spec.family_value, model.moments, prior)
    z = model.basis.forward(values)
    told = e_step(parameters, z)
    score = np.log(np.maximum(told.p, _LEAST)) + told.log_density[:, None]
    distance = 2.0 * np.maximum(_peaks(parameters, z) - score, 0.0)
    observed = (~np.isnan(z)).sum(axis=1)
    degrees = np.repeat(observed[:, None], model.k, axis=1) if has_missing(z) else model.d
    roots = np.sqrt(parameters.weights)
    if parameters.family.student is not None:
        survival = _heavy_survival(parameters.family.student, 0.5 * distance, observed)
    else:
        survival = log_survival(distance, degrees)
    ordinary = np.logaddexp.reduce(np.log(roots) + survival, axis=1)
    found: Array = np.where(observed > 0, np.maximum(np.log(roots.sum()) - ordinary, 0.0), 0.0)
    return found


def _heavy_survival(student: Student, drop: Array, observed: Ints) -> Array:
    """log P(a row of the component is further out) where its log density has fallen by `drop` (n, k) over so
    many observed features (n,)."""
    out = np.empty(drop.shape)
    for d in np.unique(observed).tolist():
        some = observed == d
        out[some] = log_f_survival(student.distance(drop[some], d), d, student.degrees)
    return out


def _peaks(parameters: Parameters, z: Array) -> Array:
    """Each component's log density, weight included, at its own mean (n, k), over the features that rows z
    (n, d) have."""
    if not has_missing(z):
        return np.broadcast_to(parameters.natural.peak, (len(z), len(parameters.weights)))
    peaks = np.empty((len(z), len(parameters.weights)))
    for observed, rows in patterns(z):
        peaks[rows] = parameters.marginal(observed).peak
    return peaks
