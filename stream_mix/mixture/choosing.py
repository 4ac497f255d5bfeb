"""How many components there are, where nobody says: the number whose mixture parts the rows best.

A mixture is judged by its integrated completed likelihood over a set of rows (ICL, Biernacki, Celeux & Govaert
2000): log likelihood, less the entropy of responsibilities, less log(n) / 2 for each free parameter. The
entropy keeps a cluster that is no Gaussian in one piece, where the likelihood alone (BIC) would lay several
components over each other. Free parameters are those that the rows decide: a correlation that is shrunk to
(1 - lambda) of itself counts 1 - lambda. So sixty rows in thirty features, whose correlations are all noise,
pay for a centre and widths and not for a matrix.

The search goes up by cutting components in two, along what their own rows show, and down by joining or taking
away one that would hardly be missed; and it ends with a start from nothing at the number found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, squared_distances
from .chances import draw
from .em import e_step, nearest_moments
from .families import Parameters, estimate
from .families.family import shrinkage
from .moments import Moments
from .moves import Reservoir
from .reduction import placed
from .seeding import start

_TRIES = 4
"""Ways in which a component is cut in two; the best of them counts."""

_LOCAL_STEPS = 6
_STEPS = 5
"""Steps of EM after a cut or a joint, before it is judged."""

_ROUNDS = 3
"""Starts from nothing at the most, each at the number that the search found from the one before."""

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


def choose(
    reservoir: Reservoir, present: Parameters | None, up_to: int, rng: np.random.Generator
) -> Parameters:
    """The mixture of 1 to `up_to` components that the rows of the reservoir speak for, looked for from
    `present`, or from a single component."""
    found = _searched(reservoir, _first(reservoir, present, rng), up_to, rng)
    for _ in range(_ROUNDS):
        anew = _judged(reservoir, _started(reservoir, found.k, rng), 1)
        better = _searched(reservoir, anew, up_to, rng)
        if better.value <= found.value:
            break
        same, found = better.k == found.k, better
        if same:
            break
    return found.parameters


def _first(reservoir: Reservoir, present: Parameters | None, rng: np.random.Generator) -> Chosen:
    if present is None:
        return _judged(reservoir, _started(reservoir, 1, rng), 1)
    return _judged(reservoir, present, _STEPS)


def _started(reservoir: Reservoir, k: int, rng: np.random.Generator) -> Parameters:
    return start(
        reservoir.z, reservoir.w, k, reservoir.family, reservoir.prior, reservoir.basis, rng,
        hard=reservoir.hard,
    )  # fmt: skip


def _judged(reservoir: Reservoir, parameters: Parameters, steps: int) -> Chosen:
    """The mixture after steps of EM, with its criterion."""
    k = len(parameters.weights)
    known = np.broadcast_to(reservoir.known[0], (k, reservoir.z.shape[1]))
    parameters, moments, _ = replace(reservoir, known=known).climb(parameters, steps)
    return Chosen(parameters, moments, criterion(reservoir, parameters, moments, len(reservoir.z)))


def criterion(reservoir: Reservoir, parameters: Parameters, moments: Moments, rows: float) -> float:
    """The integrated completed likelihood, in nats over all rows of the reservoir; a parameter costs what it
    does among `rows` rows."""
    told = e_step(parameters, reservoir.z)
    sure = told.log_density
    if reservoir.hard:
        sure = sure + np.log(np.maximum(told.p.max(axis=1), 1e-300))
    else:
        sure = sure + (told.p * np.log(np.maximum(told.p, 1e-300))).sum(axis=1)
    # Weights say what rows count beside each other; what all of them amount to is (sum w)^2 / sum w^2.
    total = float(reservoir.w.sum())
    worth = total / float(np.square(reservoir.w).sum())
    return worth * float(reservoir.w @ sure) - 0.5 * _free(reservoir, moments) * math.log(max(rows, 2.0))


def _free(reservoir: Reservoir, moments: Moments) -> float:
    """Parameters that the rows decide."""
    family, k, d = reservoir.family, moments.k, moments.d
    every = float(family.n_parameters(k, d))
    if moments.kind == "diag" or d == 1:
        return every
    tied = moments.kind == "tied"
    rows = moments.mass.sum(keepdims=True) if tied else moments.mass
    scatter = moments.scatter[None] if tied else moments.scatter
    covariances = scatter / np.maximum(rows, 1e-300)[:, None, None]
    return every - float(shrinkage(covariances, rows, reservoir.prior.correlation).sum()) * d * (d - 1) / 2


def _searched(reservoir: Reservoir, found: Chosen, up_to: int, rng: np.random.Generator) -> Chosen:
    """The best mixture that cuts and joints lead to."""
    while True:
        before = found
        found = _cut(reservoir, found, up_to, rng)
        found = _joined(reservoir, found)
        if found.value <= before.value or found.k == before.k:
            return found


def _cut(reservoir: Reservoir, found: Chosen, up_to: int, rng: np.random.Generator) -> Chosen:
    """The mixture with components cut in two for as long as that gains."""
    while found.k < up_to:
        cuts = sorted(_cuts(reservoir, found.parameters, rng), key=lambda cut: -cut[0])
        gaining = sum(gain > 0.0 for gain, _, _ in cuts)
        # Half a dozen at once, or one: what they gain together shows when all rows are shared out anew.
        many = min(max(gaining, 1), up_to - found.k)
        while many and cuts:
            trial = _judged(reservoir, _with(found.parameters, cuts[:many]), _STEPS)
            if trial.value > found.value:
                break
            many //= 2
        if not many or not cuts:
            return found
        found = trial
    return found


def _cuts(
    reservoir: Reservoir, parameters: Parameters, rng: np.random.Generator
) -> list[tuple[float, int, Parameters]]:
    """For each component with rows enough: what cutting it gains among its own rows, which it is, and its two
    halves."""
    label = e_step(parameters, reservoir.z).label
    cuts = []
    for i in range(len(parameters.weights)):
        own = label == i
        if own.sum() < 4:
            continue
        rows = replace(reservoir, z=reservoir.z[own], w=reservoir.w[own])
        best = _halves(rows, parameters.means[i], len(reservoir.z), rng)
        cuts.append((best[0], i, best[1]))
    return cuts


def _halves(rows: Reservoir, mean: Array, n: int, rng: np.random.Generator) -> tuple[float, Parameters]:
    """The best of several ways to cut the rows of one component in two, and what it gains."""
    points = np.where(np.isnan(rows.z), mean, rows.z)
    centre = np.average(points, axis=0, weights=rows.w)
    known = np.broadcast_to(rows.known[0], (2, points.shape[1]))
    rows = replace(rows, known=known)
    one = nearest_moments(rows.family, centre[None], points, rows.w, rows.basis)
    whole = criterion(rows, estimate(rows.family, one, rows.prior), one, n)
    best = None
    for attempt in range(_TRIES):
        centres = _pair(points, rows.w, centre, attempt, rng)
        first = nearest_moments(rows.family, centres, points, rows.w, rows.basis)
        found, moments, _ = rows.climb(estimate(rows.family, first, rows.prior), _LOCAL_STEPS)
        if moments.mass.min() < 2.0:
            value = -math.inf
        else:
            value = criterion(rows, found, moments, n) - whole
        if best is None or value > best[0]:
            best = value, found
    assert best is not None
    return best


def _pair(points: Array, w: Array, centre: Array, attempt: int, rng: np.random.Generator) -> Array:
    """Two centres (2, d) to begin a cut with: along the longest axis first, then at random rows in units of
    the rows' own spread."""
    delta = points - centre
    spread = (w[:, None] * delta).T @ delta / w.sum()
    values, axes = np.linalg.eigh(spread)
    if attempt == 0:
        step = axes[:, -1] * math.sqrt(max(values[-1], 1e-300)) * 0.8
        centres = np.stack([centre - step, centre + step])
        return _lloyd(points, w, centres)
    white = delta @ (axes / np.sqrt(np.maximum(values, 1e-9 * max(values[-1], 1e-300))))
    if attempt % 2:
        white = delta
    one = int(draw(w, 1, rng)[0])
    distance = squared_distances(white, white[one][None])[:, 0]
    if not (distance * w).any():
        return np.stack([centre, points[one]])
    other = int(draw(w * distance, 1, rng)[0])
    side = _lloyd(white, w, white[[one, other]], labels=True)
    return _means(points, w, side, points[[one, other]])


def _lloyd(points, w, centres, labels=False):
    for _ in range(3):
        side = np.diff(squared_distances(points, centres), axis=1)[:, 0] < 0.0
        centres = _means(points, w, side, centres)
    return side if labels else centres


def _means(points, w, side, otherwise):
    out = []
    for which, other in ((~side, otherwise[0]), (side, otherwise[1])):
        out.append(np.average(points[which], axis=0, weights=w[which]) if which.any() else other)
    return np.stack(out)


def _with(parameters: Parameters, cuts: list[tuple[float, int, Parameters]]) -> Parameters:
    """The mixture with these components replaced by their halves."""
    gone = [i for _, i, _ in cuts]
    weights = [np.delete(parameters.weights, gone)]
    means = [np.delete(parameters.means, gone, axis=0)]
    shared = parameters.family.scatter == "tied"
    covariances = [parameters.covariances if shared else np.delete(parameters.covariances, gone, axis=0)]
    for _, i, halves in cuts:
        weights.append(parameters.weights[i] * halves.weights)
        means.append(halves.means)
        if not shared:
            covariances.append(halves.covariances)
    together = np.concatenate(weights)
    return Parameters(
        parameters.family, together / together.sum(), np.concatenate(means), np.concatenate(covariances)
    )


def _joined(reservoir: Reservoir, found: Chosen) -> Chosen:
    """The mixture with components joined or taken away for as long as that gains."""
    while found.k > 1:
        trials = [_judged(reservoir, fewer, _STEPS) for fewer in _fewer(reservoir, found)]
        best = max(trials, key=lambda trial: trial.value)
        if best.value <= found.value:
            return found
        found = best
    return found


def _fewer(reservoir: Reservoir, found: Chosen) -> list[Parameters]:
    """Mixtures of one component less: those that share their rows most are joined, those that would be missed
    least are taken away."""
    p = e_step(found.parameters, reservoir.z).p
    loss = -(reservoir.w @ np.log1p(-np.minimum(p, 1.0 - 1e-12)))
    shared = (p * reservoir.w[:, None]).T @ p
    mass = np.maximum(reservoir.w @ p, 1e-300)
    alike = np.triu(shared / np.sqrt(np.outer(mass, mass)), 1)
    k = found.k
    mixtures = []
    for at in np.argsort(-alike, axis=None, kind="stable")[:_FEW]:
        i, j = (int(index) for index in np.unravel_index(at, alike.shape))
        if i < j:
            slots = [slot - (slot > j) for slot in range(k)]
            slots[j] = i
            moments = placed(found.moments, slots, k - 1, "")
            mixtures.append(estimate(reservoir.family, moments, reservoir.prior))
    for i in np.argsort(loss, kind="stable")[:_FEW]:
        parameters = found.parameters
        weights = np.delete(parameters.weights, i)
        shape = parameters.covariances
        covariances = shape if reservoir.family.scatter == "tied" else np.delete(shape, i, axis=0)
        means = np.delete(parameters.means, i, axis=0)
        mixtures.append(Parameters(parameters.family, weights / weights.sum(), means, covariances))
    return mixtures
