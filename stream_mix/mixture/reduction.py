"""Two mixtures laid together and brought down to fewer components, by joining those that differ least.

Joining components i and j of weights w keeps their common mean and covariance, and raises the
Kullback-Leibler divergence from the mixture before by at most

    loss = ((w_i + w_j) log |S_ij| - w_i log |S_i| - w_j log |S_j|) / 2

(Runnalls 2007, eq. 21), which looks at weights, means and covariances alike: 0 for equal components, little
for a faint one, much for two that are heavy and apart. The pair of least loss is joined, again and again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Bools, Ints
from .families import Parameters
from .moments import Moments
from .scatter import SCATTERS

_FAINT = 1e-12
"""Weight that a component counts as having at least: without any, all places were as good to it."""

_PAIRS = 1 << 20
"""Numbers of covariance that losses are computed from at a time."""


@dataclass(eq=False)
class Cloud:
    """Components that can be joined: a private buffer of weights (n,), means (n, d), covariances in the
    shape of a scatter (n, ...), log determinants (n,), and members.

    `loss[i]` is the least loss of joining i with a later component, `partner[i]` that one; `lost[i]` is what
    the joints in i have cost. A component that was joined to an earlier one has no members.
    """

    kind: str
    weights: Array
    means: Array
    covariances: Array
    log_det: Array
    loss: Array
    partner: Ints
    members: list[list[int]]
    lost: Array

    @classmethod
    def of(cls, parts: list[tuple[Array, Parameters]]) -> Cloud:
        """Mixtures of one family and basis with their masses (k,), laid together."""
        kind = parts[0][1].family.scatter
        mass = np.concatenate([mass for mass, _ in parts])
        weights = np.maximum(mass / max(float(mass.sum()), 1e-300), _FAINT)
        means = np.concatenate([parameters.means for _, parameters in parts])
        dense = [_each(kind, parameters.dense, len(parameters.weights)) for _, parameters in parts]
        covariances, n = np.concatenate(dense), len(weights)
        cloud = cls(
            kind, weights, means, covariances, _log_det(covariances), np.full(n, np.inf),
            np.arange(n), [[i] for i in range(n)], np.zeros(n),
        )  # fmt: skip
        for i in range(n):
            cloud._look(i)
        return cloud

    def __len__(self) -> int:
        return sum(map(bool, self.members))

    @property
    def cheapest(self) -> float:
        """Loss of the best joint, in nats per row; infinite where there is one component."""
        return float(self.loss.min())

    def join(self) -> None:
        """Joins the two components that differ least."""
        i = int(self.loss.argmin())
        j = int(self.partner[i])
        loss = float(self.loss[i])
        mean, covariance, _ = self._joined(i, np.array([j]))
        self.lost[i] += self.lost[j] + loss
        self.weights[i] += self.weights[j]
        self.means[i], self.covariances[i] = mean[0], covariance[0]
        self.log_det[i] = _log_det(covariance)[0]
        self.members[i] = self.members[i] + self.members[j]
        self.members[j] = []
        self.loss[j] = np.inf
        stale = (self.partner == i) | (self.partner == j)
        stale[i] = True
        for row in np.flatnonzero(stale & self._alive):
            self._look(int(row))
        self._offer(i)

    @property
    def _alive(self) -> Bools:
        return np.array([bool(members) for members in self.members])

    def _look(self, i: int) -> None:
        """The best later partner of i."""
        later = i + 1 + np.flatnonzero(self._alive[i + 1 :])
        self.loss[i], self.partner[i] = np.inf, i
        if len(later):
            losses = self._losses(i, later)
            best = int(losses.argmin())
            self.loss[i], self.partner[i] = losses[best], later[best]

    def _offer(self, i: int) -> None:
        """Component i, which has changed, to those before it."""
        earlier = np.flatnonzero(self._alive[:i])
        losses = self._losses(i, earlier)
        better = losses < self.loss[earlier]
        self.loss[earlier[better]], self.partner[earlier[better]] = losses[better], i

    def _losses(self, i: int, others: Ints) -> Array:
        """Losses (m,) of joining i with each of m others."""
        out = np.empty(len(others))
        size = max(1, _PAIRS // max(1, self.covariances[0].size))
        for start in range(0, len(others), size):
            some = others[start : start + size]
            _, covariance, weight = self._joined(i, some)
            own = self.weights[i] * self.log_det[i] + self.weights[some] * self.log_det[some]
            out[start : start + size] = 0.5 * (weight * _log_det(covariance) - own)
        return np.maximum(out, 0.0)

    def _joined(self, i: int, others: Ints) -> tuple[Array, Array, Array]:
        """Means (m, d), covariances (m, ...) and weights (m,) of i joined with each of m others."""
        weight = self.weights[i] + self.weights[others]
        share = self.weights[others] / weight
        delta = self.means[others] - self.means[i]
        spread = share.reshape(-1, *(1,) * (self.covariances.ndim - 1))
        within = (1.0 - spread) * self.covariances[i] + spread * self.covariances[others]
        between = SCATTERS[_own(self.kind)].between(np.sqrt(share * (1.0 - share))[:, None] * delta)
        return self.means[i] + share[:, None] * delta, within + between, weight


def placed(moments: Moments, slots: list[int], k: int, lineage: str) -> Moments:
    """Moments of k components, those of component i in slot slots[i], joined where several go to one."""
    if slots == list(range(k)):
        return moments if moments.lineage == lineage else replace(moments, lineage=lineage)
    blank = Moments.zeros(moments.kind, moments.basis, k, lineage)
    out = blank
    for layer in range(max(map(slots.count, slots))):
        # Those that are the layer-th of their slot: at most one each.
        which = [i for i, slot in enumerate(slots) if slots[:i].count(slot) == layer]
        at = [slots[i] for i in which]
        mass, seen, mean = blank.mass.copy(), blank.seen.copy(), blank.mean.copy()
        scatter = blank.scatter.copy()
        mass[at], seen[at], mean[at] = moments.mass[which], moments.seen[which], moments.mean[which]
        if moments.kind != "tied":
            scatter[at] = moments.scatter[which]
        elif layer == 0:
            scatter = moments.scatter
        rows, noise = (moments.rows, moments.noise) if layer == 0 else (0, 0.0)
        out = out.add(Moments(blank.kind, blank.basis, lineage, mass, seen, mean, scatter, rows, noise))
    return out


def _own(kind: str) -> str:
    """The shape of a component's own covariance."""
    return "full" if kind == "tied" else kind


def _each(kind: str, dense: Array, k: int) -> Array:
    """A covariance for each of k components."""
    return np.tile(dense, (k, 1, 1)) if kind == "tied" else dense


def _log_det(covariances: Array) -> Array:
    """Log determinants (n,) of variances (n, d) or matrices (n, d, d)."""
    if covariances.ndim == 2:
        variances: Array = np.log(covariances).sum(axis=1)
        return variances
    sign, matrices = np.linalg.slogdet(covariances)
    # Two that are 1e15 deviations apart have a joint covariance whose thin directions are rounding.
    apart = np.log(np.diagonal(covariances, axis1=1, axis2=2)).sum(axis=1)
    found: Array = np.where((sign > 0.0) & np.isfinite(matrices), matrices, apart)
    return found
