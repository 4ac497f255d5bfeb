"""Moves of components, judged by likelihood: the way out of a start that squared error led astray.

k-means++ and swaps place centres by squared error, which would rather cut a broad cluster, or a feature of
pure noise, than part two clusters that differ little in it. A move takes away a component that would hardly
be missed and puts one at a row that is badly explained; after a few steps of EM it is kept if the likelihood
rose (split-and-merge EM of Ueda et al. 2000, with removal and place drawn by need, as in random swap).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array
from .background import Background, left, moments_of
from .basis import Basis
from .chances import draw
from .em import e_step, patterns
from .families import Family, Parameters, estimate
from .moments import Moments
from .priors import Prior

_BUDGET = 4e9
"""Floating-point operations that moves may cost."""

_PATTERN = 2e6
"""What a further pattern of missing values costs in an EM step, in the same unit."""

_ROWS = 10
"""Rows a component below which likelihood cannot tell a better place from a tighter fit."""

_STEPS = 3
"""Steps of EM that a move is given to show what it is worth."""


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Rows z (n, d) in `basis` with weights w (n,), and all that an EM step over them needs."""

    z: Array
    w: Array
    basis: Basis
    family: Family
    prior: Prior
    known: Array
    hard: bool
    robust: bool = False

    def climb(
        self, parameters: Parameters, steps: int, background: Background | None = None
    ) -> tuple[Parameters, Moments, float]:
        """Parameters after `steps` steps of EM; moments and mean log density under those before the last.

        With `robust` beside a background: that which is given, or suspected.
        """
        if self.robust and background is None:
            background = Background.suspected(parameters)
        for _ in range(steps):
            moments, log_density = moments_of(
                parameters, background, self.z, self.w, self.basis, "", self.known, self.hard
            )
            background = self.beside(moments)
            value = float(self.w @ log_density) / float(self.w.sum())
            parameters = estimate(self.family, moments, self.prior)
        return parameters, moments, value

    def beside(self, moments: Moments) -> Background | None:
        """The background that moments know; None where there is to be none."""
        return Background.of(moments, start=True) if self.robust else None


def moved(reservoir: Reservoir, parameters: Parameters, rng: np.random.Generator, steps: int) -> Parameters:
    """The parameters after EM, and after all moves that the likelihood of the reservoir speaks for."""
    k, d = parameters.means.shape
    current, moments, value = reservoir.climb(parameters, steps)
    if k == 1 or reservoir.hard or len(reservoir.z) < _ROWS * k:
        return current
    width = 11 + d + (d * (d + 1) // 2 if reservoir.family.scatter == "full" else d)
    work = 4.0 * len(reservoir.z) * k * width + _PATTERN * sum(1 for _ in patterns(reservoir.z))
    affordable = int(_BUDGET / (_STEPS * work))
    # A move must gain more, over all rows, than fitting one component's parameters to noise would.
    least = reservoir.family.n_parameters(k, d) / k / float(reservoir.w.sum())
    failures = 0
    for _ in range(min(3 * k + 12, affordable)):
        background = reservoir.beside(moments)
        trial = _move(reservoir, current, background, rng)
        trial, found, gained = reservoir.climb(trial, _STEPS, background)
        if gained > value + least and found.mass.min() >= min(moments.mass.min(), 2.0 * (d + 1)):
            current, moments, value, failures = trial, found, gained, 0
        else:
            failures += 1
        if failures > k + 6:
            break
    return reservoir.climb(current, steps, reservoir.beside(moments))[0]


def _move(
    reservoir: Reservoir, parameters: Parameters, background: Background | None, rng: np.random.Generator
) -> Parameters:
    """One component taken away and put at a row of its own."""
    step = e_step(parameters, reservoir.z)
    w = reservoir.w
    if background is not None:
        w = left(background, reservoir.z, w, step.log_density)[0]
    # What the likelihood would lose without each component, all else unchanged: -sum log(1 - p).
    loss = -(w @ np.log1p(-np.minimum(step.p, 1.0 - 1e-12)))
    removed = int(draw(1.0 / (loss + 1e-3 * loss.mean() + 1e-300), 1, rng)[0])
    need = w if rng.random() < 0.5 else w * step.distance
    at = int(draw(need, 1, rng)[0])
    row = reservoir.z[at]
    weights, means = parameters.weights.copy(), parameters.means.copy()
    host = int(step.label[at])
    if host != removed:
        weights[removed] = weights[host] = 0.5 * weights[host]
    means[removed] = np.where(np.isnan(row), means[host], row)
    covariances = parameters.covariances
    if reservoir.family.scatter != "tied":
        covariances = covariances.copy()
        covariances[removed] = 0.5 * covariances[host]
    return Parameters(reservoir.family, weights / weights.sum(), means, covariances)
