"""How strange a row is: a tail probability under the mixture."""

from __future__ import annotations

import numpy as np

from .arrays import Array, Bools
from .beta import f_cdf
from .em import faster_marginals, patterns
from .families import Parameters
from .kernels import Natural, has_missing
from .tail import chi_square_cdf

_TAIL_NUMBERS = 1 << 16
"""Numbers that outlier scores are computed from at a time."""


def outlier(parameters: Parameters, z: Array, log_density: Array) -> Array:
    """How strange rows z (n, d) of the basis are, given their log densities (n,): 0 ordinary to 1 strange.

    The chance that a row drawn from the mixture is likelier than this one, each component's rows being judged
    by that component's term alone: sum_k weight_k F(2 (peak_k - log p(z))), where peak_k is the log density
    of component k at its own mean, weight included, and F the chi-square distribution function with as many
    degrees of freedom as features were observed; under Student's t that of their number and F's. Over the
    mixture's own rows it is uniform.
    """
    if not has_missing(z):
        return _likelier(parameters.natural, log_density)
    if parameters.family.scatter == "diag" and parameters.family.student is None:
        return _likelier_of_holes(parameters.natural, ~np.isnan(z), log_density)
    faster = faster_marginals(parameters)
    if faster is not None and (found := faster.outlier(z, log_density)) is not None:
        return found
    out = np.empty(len(z))
    for observed, rows in patterns(z):
        out[rows] = _likelier(parameters.marginal(observed), log_density[rows])
    return out


def _likelier(natural: Natural, log_density: Array) -> Array:
    out = np.empty(len(log_density))
    size = max(64, _TAIL_NUMBERS // natural.k)
    for start in range(0, len(out), size):
        drop = natural.peak[:, None] - log_density[start : start + size]
        out[start : start + size] = natural.weights @ _nearer(natural, np.maximum(drop, 0.0))
    return np.clip(out, 0.0, 1.0, out=out)


def _nearer(natural: Natural, drop: Array) -> Array:
    """The chance that a component's row is nearer to it than where its log density has fallen by so much."""
    if natural.student is None:
        return chi_square_cdf(natural.distance(drop), natural.d)
    return f_cdf(natural.distance(drop), natural.d, natural.student.degrees)


def _likelier_of_holes(natural: Natural, observed: Bools, log_density: Array) -> Array:
    """The same for diagonal components and rows that have the features `observed` (n, d)."""
    out = np.empty(len(log_density))
    log_weights = np.log(natural.weights)
    size = max(64, _TAIL_NUMBERS // natural.k)
    for start in range(0, len(out), size):
        some = slice(start, start + size)
        drop = log_weights + observed[some] @ natural.heights.T - log_density[some, None]
        degrees = observed[some].sum(axis=1)
        out[some] = chi_square_cdf(2.0 * np.maximum(drop, 0.0), degrees) @ natural.weights
    return np.clip(out, 0.0, 1.0, out=out)
