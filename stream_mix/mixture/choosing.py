"""How many components there are, where nobody says: the number whose mixture parts the rows best.

Mixtures are judged by their completed likelihood (`completed`). Two components without a dip between them,
such as the core of a cluster with heavy tails and a halo around it, are one cluster however well they part
the rows.

The search goes up by cutting components in two, along what their own rows show, and down by joining two, or
taking one away that would hardly be missed. It also begins from above, with a start at more components than
were found, and ends with a start from nothing at the number found.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from .arrays import Bools
from .completed import criterion
from .cutting import LEAST_ROWS, ONE_MODE, STEPS, halves, with_cuts
from .em import e_step, nearest_moments
from .families import Parameters, estimate
from .moments import Moments
from .moves import Reservoir
from .overlap import overlaps_of
from .reduction import placed
from .seeding import greedy_kmeans_plusplus, start

_NEARLY = 0.05
"""Rows that may differ, as a share, between two components that are cut alike."""

_ABOVE = 16
_ROUNDS = 3
"""Starts from nothing with twice the number found, so many components at least, and how often: a cut in two
does not show what several cuts show together, and joints from above do."""

_FEW = 3
"""Joints, and components to take away, that are tried before a number is given up."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """A mixture with what it is worth: its criterion in nats over all rows (larger is better), and the
    moments it was estimated from."""

    parameters: Parameters
    moments: Moments
    value: float

    @property
    def k(self) -> int:
        """Number of components."""
        return len(self.parameters.weights)


def choose(reservoir: Reservoir, present: Parameters | None, up_to: int, rng: np.random.Generator) -> Chosen:
    """The mixture of 1 to `up_to` components that the rows of the reservoir speak for, looked for from
    `present`, or from a single component."""
    search = _Search(reservoir, up_to, rng)
    found = search.from_(_first(reservoir, present, rng))
    for _ in range(_ROUNDS):
        above = max(found.k, min(up_to, max(2 * found.k, _ABOVE), len(reservoir.z) // LEAST_ROWS))
        anew = search.from_(judged(reservoir, _covering(reservoir, above, rng), sum(STEPS)))
        found, before = max(found, anew, key=_value), found
        if found.k == before.k:
            break
    if present is not None and found.k == len(present.weights):
        return found
    return max(found, search.from_(judged(reservoir, _started(reservoir, found.k, rng), 1)), key=_value)


def _value(found: Chosen) -> float:
    return found.value


def _first(reservoir: Reservoir, present: Parameters | None, rng: np.random.Generator) -> Chosen:
    if present is None:
        return judged(reservoir, _started(reservoir, 1, rng), 1)
    return judged(reservoir, present, sum(STEPS))


def _started(reservoir: Reservoir, k: int, rng: np.random.Generator) -> Parameters:
    return start(
        reservoir.z, reservoir.w, k, reservoir.family, reservoir.prior, reservoir.basis, rng,
        hard=reservoir.hard,
    )  # fmt: skip


def _covering(reservoir: Reservoir, k: int, rng: np.random.Generator) -> Parameters:
    """Components all over the rows: where they stand well does not matter, most are joined to others."""
    points = np.where(np.isnan(reservoir.z), 0.0, reservoir.z)
    centres = greedy_kmeans_plusplus(points, reservoir.w, k, rng)
    moments = nearest_moments(reservoir.family, centres, points, reservoir.w, reservoir.basis)
    return estimate(reservoir.family, moments, reservoir.prior)


def judged(reservoir: Reservoir, parameters: Parameters, steps: int) -> Chosen:
    """The mixture after steps of EM, with its criterion."""
    k = len(parameters.weights)
    known = np.broadcast_to(reservoir.known[0], (k, reservoir.z.shape[1]))
    parameters, moments, _ = replace(reservoir, known=known).climb(parameters, steps)
    return Chosen(parameters, moments, criterion(reservoir, parameters, moments, len(reservoir.z)))


def sound(reservoir: Reservoir, found: Chosen) -> bool:
    """Whether every component has rows enough, and no two are one."""
    return _sounder(reservoir, found) is None


@dataclass(eq=False)
class _Search:
    """A search by cuts and joints.

    What cutting a component gains is `known` by its rows, once it was tried; where that was in `vain`, it is
    for nearly the same rows.
    """

    reservoir: Reservoir
    up_to: int
    rng: np.random.Generator
    known: dict[bytes, tuple[float, Parameters]] = field(default_factory=dict)
    vain: list[Bools] = field(default_factory=list)

    def from_(self, found: Chosen) -> Chosen:
        """The best mixture that cuts and joints lead to."""
        while True:
            before = found
            found = _joined(self.reservoir, self._cut(found))
            if found.value <= before.value or found.k == before.k:
                return found

    def _cut(self, found: Chosen) -> Chosen:
        """The mixture with components cut in two for as long as that gains."""
        while found.k < self.up_to:
            cuts = sorted(self._cuts(found.parameters), key=lambda cut: -cut[0])
            gaining = sum(gain > 0.0 for gain, _, _ in cuts)
            # Many at once, or fewer: what they gain together shows when all rows are shared out anew.
            many = min(max(gaining, 1), self.up_to - found.k)
            while many and cuts:
                trial = judged(self.reservoir, with_cuts(found.parameters, cuts[:many]), sum(STEPS))
                if trial.value > found.value:
                    break
                many //= 2
            if not many or not cuts:
                return found
            found = trial
        return found

    def _cuts(self, parameters: Parameters) -> list[tuple[float, int, Parameters]]:
        """For each component with rows enough: what cutting it gains among its own rows, which it is, and its
        two halves."""
        label = e_step(parameters, self.reservoir.z).label
        cuts = []
        for i in range(len(parameters.weights)):
            own = label == i
            if own.sum() < 2 * LEAST_ROWS:
                continue
            name = np.packbits(own).tobytes()
            if name not in self.known:
                if any(np.count_nonzero(own ^ other) <= _NEARLY * own.sum() for other in self.vain):
                    continue
                rows = replace(self.reservoir, z=self.reservoir.z[own], w=self.reservoir.w[own])
                self.known[name] = halves(rows, parameters.means[i], len(self.reservoir.z), self.rng)
                if self.known[name][0] <= 0.0:
                    self.vain.append(own)
            gain, parts = self.known[name]
            cuts.append((gain, i, parts))
        return cuts


def _joined(reservoir: Reservoir, found: Chosen) -> Chosen:
    """The mixture with components joined or taken away for as long as that gains."""
    while found.k > 1 and (sound := _sounder(reservoir, found)) is not None:
        found = judged(reservoir, sound, sum(STEPS))
    while found.k > 1:
        trials = [judged(reservoir, fewer, STEPS[0]) for fewer in _fewer(reservoir, found)]
        best = max(trials, key=lambda trial: trial.value)
        best = judged(reservoir, best.parameters, STEPS[1])
        if best.value <= found.value:
            return found
        found = best
    return found


def _sounder(reservoir: Reservoir, found: Chosen) -> Parameters | None:
    """The mixture without its faintest component, if that has too few rows to be one, or with the two joined
    that have least of a dip between them; None where neither is called for."""
    faintest = int(found.moments.mass.argmin())
    if found.moments.mass[faintest] < LEAST_ROWS * float(reservoir.w.mean()):
        return _without(found.parameters, faintest)
    overlap = np.triu(overlaps_of(found.parameters), 1)
    i, j = (int(index) for index in np.unravel_index(overlap.argmax(), overlap.shape))
    return _pair_joined(reservoir, found, i, j) if overlap[i, j] >= ONE_MODE else None


def _without(parameters: Parameters, i: int) -> Parameters:
    """The mixture with component i taken away."""
    weights, shared = np.delete(parameters.weights, i), parameters.family.scatter == "tied"
    covariances = parameters.covariances if shared else np.delete(parameters.covariances, i, axis=0)
    means = np.delete(parameters.means, i, axis=0)
    return Parameters(parameters.family, weights / weights.sum(), means, covariances)


def _pair_joined(reservoir: Reservoir, found: Chosen, i: int, j: int) -> Parameters:
    """The mixture with component j joined to i, an earlier one."""
    slots = [slot - (slot > j) for slot in range(found.k)]
    slots[j] = i
    moments = placed(found.moments, slots, found.k - 1, "")
    return estimate(reservoir.family, moments, reservoir.prior)


def _fewer(reservoir: Reservoir, found: Chosen) -> list[Parameters]:
    """Mixtures of one component less: those that share their rows most are joined, those that would be missed
    least are taken away."""
    p = e_step(found.parameters, reservoir.z).p
    loss = -(reservoir.w @ np.log1p(-np.minimum(p, 1.0 - 1e-12)))
    shared = (p * reservoir.w[:, None]).T @ p
    mass = np.maximum(reservoir.w @ p, 1e-300)
    alike = np.triu(shared / np.sqrt(np.outer(mass, mass)), 1)
    mixtures = []
    for at in np.argsort(-alike, axis=None, kind="stable")[:_FEW]:
        i, j = (int(index) for index in np.unravel_index(at, alike.shape))
        if i < j:
            mixtures.append(_pair_joined(reservoir, found, i, j))
    mixtures += [_without(found.parameters, int(i)) for i in np.argsort(loss, kind="stable")[:_FEW]]
    return mixtures
