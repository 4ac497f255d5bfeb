"""The background: rows that no component accounts for are taken by a component of their own, which is flat.

A mixture of k Gaussians and noise (Banfield & Raftery 1993) with a density that is constant wherever it is
asked, as in Coretto & Hennig (2016, JASA 111, eq. 2): of a row z the background takes

    r = e c / ((1 - e) p(z) + e c)

and the components learn it with weight 1 - r. The share e of the background is learned as weights are, from
the mass that it took. The density c is that which one Gaussian as broad as all the data, without
correlations, has two standard deviations beyond the mean of its squared distance: log c = -sum_j log(2 pi
v_j) / 2 - (m + 2 sqrt(2 m)) / 2 over the m features that a row has, v_j being a feature's variance over all
components.
With less of a distance the background would eat into one Gaussian of many features; the start, where a broad
component could stand for it, begins with half of it.

Nothing is taken from clean data: its share falls as 1/n. Where more rows are strange than a background can
explain, because the stream has moved on, the background lets go: rows are noise only beside a majority.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array
from .basis import Basis
from .em import batch_moments, e_step
from .families import Parameters
from .kernels import has_missing
from .moments import Moments

_MOST = 0.5
"""The share of the mass at which the background takes no more; from half of it on it takes less and less."""

_SUSPECTED = 0.1
"""The share of the background before anything is known of it."""

_MARGIN, _MARGIN_AT_START = 2.0, 1.0
"""Standard deviations of a squared distance beyond its mean that the background's density is taken at."""

_LEAST_VARIANCE = 1e-12
"""The least variance of a feature, in units of the basis, that the density of the background is made of."""


@dataclass(frozen=True, eq=False)
class Background:
    """What the background is beside a mixture.

    Attributes:
        share: of all rows, beforehand.
        gate: what part of a row's share is really taken, 0 to 1.
        log_variance: logarithm of the variance (d,) of each feature over all components, in the basis.
        margin: standard deviations of a squared distance beyond its mean that the density is taken at.
    """

    share: float
    gate: float
    log_variance: Array
    margin: float = _MARGIN

    @classmethod
    def of(cls, moments: Moments, *, start: bool = False) -> Background:
        """The background that these moments know, of a model at its start or going on."""
        total = moments.noise + float(moments.mass.sum())
        share = (moments.noise + 0.5) / (total + 1.0)
        taken = moments.noise / total if total > 0.0 else 0.0
        gate = min(1.0, 2.0 * max(0.0, 1.0 - taken / _MOST))
        log_variance = np.log(np.maximum(_variance(moments), _LEAST_VARIANCE))
        return cls(min(share, _MOST), gate, log_variance, _MARGIN_AT_START if start else _MARGIN)

    @classmethod
    def suspected(cls, parameters: Parameters) -> Background:
        """The background beside a mixture of which only the parameters are known."""
        weights, means = parameters.weights, parameters.means
        dense = parameters.dense
        within = dense if parameters.family.scatter == "diag" else np.diagonal(dense, axis1=-2, axis2=-1)
        within = within if within.ndim == 1 else weights @ within
        variance = within + weights @ np.square(means - weights @ means)
        log_variance = np.log(np.maximum(variance, _LEAST_VARIANCE))
        return cls(_SUSPECTED, 1.0, log_variance, _MARGIN_AT_START)

    def log_height(self, z: Array) -> Array:
        """Logarithm of the background's density (n,) at rows z (n, d) of the basis."""
        constant = self.log_variance + math.log(2.0 * math.pi)
        if has_missing(z):
            observed = ~np.isnan(z)
            m = observed.sum(axis=1)
            height: Array = -0.5 * (observed @ constant + m + self.margin * np.sqrt(2.0 * m))
            return height
        d = z.shape[1]
        return np.full(len(z), -0.5 * (float(constant.sum()) + d + self.margin * math.sqrt(2.0 * d)))

    def share_of(self, z: Array, log_density: Array) -> Array:
        """The chance r (n,) that rows z (n, d), of which the components say `log_density`, are noise."""
        odds = self.log_height(z) - log_density + math.log(self.share) - math.log1p(-self.share)
        chance: Array = 1.0 / (1.0 + np.exp(np.clip(-odds, -700.0, 700.0)))
        return self.gate * chance

    def log_density(self, z: Array, log_density: Array) -> Array:
        """Log density (n,) of the mixture with its background."""
        both: Array = np.logaddexp(
            math.log1p(-self.share) + log_density, math.log(self.share) + self.log_height(z)
        )
        return both


def _variance(moments: Moments) -> Array:
    """The variance (d,) of each feature over all components; 1, that of the basis, where nothing was seen."""
    seen = moments.seen.sum(axis=0)
    known = seen > 0.0
    divisor = np.where(known, seen, 1.0)
    mean = (moments.seen * moments.mean).sum(axis=0) / divisor
    within = moments.shape_of_scatter.variances(moments.scatter, moments.k)
    summed = within[0] if moments.kind == "tied" else within.sum(axis=0)
    variance = (summed + (moments.seen * np.square(moments.mean - mean)).sum(axis=0)) / divisor
    return np.where(known & np.isfinite(variance), variance, 1.0)


def left(background: Background, z: Array, w: Array | None, log_density: Array) -> tuple[Array, float]:
    """What the background leaves of the weights w (n,) of rows z (n, d), and the mass that it takes."""
    chance = background.share_of(z, log_density)
    if w is None:
        return 1.0 - chance, float(chance.sum())
    return w * (1.0 - chance), float(w @ chance)


def moments_of(
    parameters: Parameters,
    background: Background | None,
    z: Array,
    w: Array | None,
    basis: Basis,
    lineage: str,
    known: Array | None,
    hard: bool = False,
) -> tuple[Moments, Array]:
    """`batch_moments` beside a background, where there is one: moments of what it leaves, with the mass that
    it took, and the log densities (n,) of components and background together."""
    if background is None:
        return batch_moments(parameters, z, w, basis, lineage, known, hard)
    log_density = e_step(parameters, z).log_density
    weights, noise = left(background, z, w, log_density)
    moments, _ = batch_moments(parameters, z, weights, basis, lineage, known, hard)
    return replace(moments, noise=noise), background.log_density(z, log_density)
