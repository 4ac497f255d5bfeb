"""Moments: all that a model remembers of its data, and the one rule by which it learns.

With points X (n, d) and responsibilities R (n, k), the whole program is four lines:

    scores  = log weight_k + log p(x | component k)      E-step     (kernels)
    R       = softmax(scores), or one-hot(argmax)        soft = mixture, hard = k-means
    moments = (mass, mean, scatter) under R              this file
    params  = estimate(moments, prior)                   M-step     (families)

`Moments` can be added and scaled, and that is enough. Learning a batch is `memory.scale(forget).add(batch)`;
k-means with step 1/n is the same line with hard R and `forget = 1`; a Cappé-Moulines step (2009, eq. 12) of
size g is `forget = 1 - g`. Shards merge by `add`, a window is the sum of its buckets, a checkpoint is these
arrays. Nothing is ever subtracted.

Three rules keep it true:

* Sums are kept centred: mean and scatter, merged by Chan, Golub & LeVeque (1979, eq. 2.1). E[xx'] - mm' would
  lose every digit where the offset is large.
* The prior is an argument of the M-step and never part of the record, so that merging does not count it twice
  and forgetting does not erode it.
* Only moments of one basis (coordinates) and one lineage (whose component 3?) can be added.

Values can be missing. `seen` (k, d) is the mass with which a component knows each feature: equal to `mass`
where all was observed, less where a feature appeared late. Mean and scatter of a feature are averages over
`seen`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .arrays import Array, widened
from .basis import Basis
from .scatter import SCATTERS, Scatter

_NEXT_TO_NOTHING = 1e-6
"""The mass at which forgetting ends: it weighs nothing beside a row, and is enough that the first rows after
ages of silence, of which every component has some small share, do not draw all components to one place."""

FOLDED = "_folded"
"""Under this name moments carry what compiled code made of them (folders.py)."""


def lineage_of(means: Array, basis: Basis, before: str = "") -> str:
    """The name of the labelling that begins with these means (k, d) in `basis`, after the one `before`: equal
    starts, equal names."""
    said = before.encode() + means.tobytes() + basis.scale.tobytes()
    return hashlib.blake2b(said, digest_size=8).hexdigest()


class MomentsMismatch(ValueError):
    """Two moments that do not belong together were added."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mass (k,), seen (k, d), mean (k, d) and scatter of k components, in the coordinates of `basis`.

    `scatter` is diag (k, d), tied (d, d) or full (k, d, d): the sum of r (z - mean)(z - mean)'. `rows` counts
    the rows that entered. `lineage` names the labelling of the components. `noise` is the mass that the
    background took (background.py).

    >>> basis = Basis(np.zeros(1), np.ones(1))
    >>> one = Moments.of_rows("diag", basis, np.array([[1.0]]), np.array([[1.0]]))
    >>> two = one.add(Moments.of_rows("diag", basis, np.array([[3.0]]), np.array([[1.0]])))
    >>> two.mass, two.mean, two.scatter, two.rows
    (array([2.]), array([[2.]]), array([[2.]]), 2)
    """

    kind: str
    basis: Basis
    lineage: str
    mass: Array
    seen: Array
    mean: Array
    scatter: Array
    rows: int
    noise: float = 0.0

    @property
    def k(self) -> int:
        """Number of components."""
        return self.mass.size

    @property
    def d(self) -> int:
        """Number of features."""
        return self.basis.d

    @property
    def shape_of_scatter(self) -> Scatter:
        """What can be done with this shape of second moments."""
        return SCATTERS[self.kind]

    @classmethod
    def zeros(cls, kind: str, basis: Basis, k: int, lineage: str = "") -> Moments:
        """The moments of no rows: the neutral element of `add`."""
        d = basis.d
        scatter = SCATTERS[kind].zeros(k, d)
        return cls(kind, basis, lineage, np.zeros(k), np.zeros((k, d)), np.zeros((k, d)), scatter, 0)

    @classmethod
    def of_rows(cls, kind: str, basis: Basis, z: Array, r: Array, lineage: str = "") -> Moments:
        """Moments of complete rows z (n, d) under responsibilities r (n, k) by their definition: slow,
        obvious, two passes."""
        mass = r.sum(axis=0)
        mean = (r.T @ z) / np.where(mass > 0, mass, 1.0)[:, None]
        total = cls.zeros(kind, basis, mass.size, lineage)
        scatter = total.scatter
        for weights, row in zip(r, z, strict=True):
            scatter = scatter + total.shape_of_scatter.between(np.sqrt(weights)[:, None] * (row - mean))
        return replace(
            total, mass=mass, seen=np.tile(mass[:, None], basis.d), mean=mean, scatter=scatter, rows=len(z)
        )

    def add(self, other: Moments) -> Moments:
        """The moments of both sets of rows together.

        mean = (n1 m1 + n2 m2) / (n1 + n2),  scatter = s1 + s2 + (n1 n2 / (n1 + n2)) (m2 - m1)(m2 - m1)'

        Raises MomentsMismatch for another kind, basis or lineage.
        """
        self._same_kin(other)
        seen = self.seen + other.seen
        share = other.seen / np.where(seen > 0, seen, 1.0)
        delta = other.mean - self.mean
        # sqrt(n1 n2 / (n1 + n2)) per feature: equal over features unless some were unseen, and positive semi-
        # definite always.
        between = self.shape_of_scatter.between(np.sqrt(self.seen * share) * delta)
        return Moments(
            self.kind,
            self.basis,
            self.lineage,
            self.mass + other.mass,
            seen,
            self.mean + share * delta,
            self.scatter + other.scatter + between,
            self.rows + other.rows,
            self.noise + other.noise,
        )

    def scale(self, factor: float) -> Moments:
        """Every row counts `factor` times what it counted: masses and scatter shrink, means stay. 0 <=
        factor."""
        if not 0.0 <= factor < np.inf:
            raise ValueError(f"scale: the factor is {factor}, expected a finite number >= 0")
        return replace(
            self,
            mass=self.mass * factor,
            seen=self.seen * factor,
            scatter=self.scatter * factor,
            noise=self.noise * factor,
        )

    def fade(self, factor: float) -> Moments:
        """`scale` by a factor <= 1 that stops short of underflow, so that means and covariances stay.

        A component that is quiet for long loses weight, not shape.
        """
        if (self.seen * factor > _NEXT_TO_NOTHING).all():
            return self.scale(factor)
        mass = np.maximum(self.mass * factor, np.minimum(self.mass, _NEXT_TO_NOTHING))
        seen = np.maximum(self.seen * factor, np.minimum(self.seen, _NEXT_TO_NOTHING))
        before, after = self.shape_of_scatter.pair(self.seen), self.shape_of_scatter.pair(seen)
        scatter = self.scatter * (after / np.where(before > 0, before, 1.0))
        return replace(self, mass=mass, seen=seen, scatter=scatter, noise=self.noise * factor)

    def rebase(self, basis: Basis) -> Moments:
        """The same moments in the coordinates of another basis.

        A feature that the old basis never saw carries no moments and takes the new origin and scale as they
        are.
        """
        unseen = np.isnan(self.basis.origin)
        ratio = np.where(unseen, 1.0, self.basis.scale / basis.scale)
        shift = np.where(unseen, 0.0, (self.basis.origin - basis.origin) / basis.scale)
        mean = np.where(self.seen > 0, self.mean * ratio + shift, 0.0)
        return replace(
            self, basis=basis, mean=mean, scatter=self.shape_of_scatter.stretch(self.scatter, ratio)
        )

    def grown(self, d: int) -> Moments:
        """The same moments with features up to d of which nothing was seen yet."""
        return replace(
            self,
            basis=self.basis.grown(d),
            seen=widened(self.seen, d),
            mean=widened(self.mean, d),
            scatter=self.shape_of_scatter.grown(self.scatter, self.k, d),
        )

    def __getstate__(self) -> dict[str, Any]:
        # Without what can be made again.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _same_kin(self, other: Moments) -> None:
        if self.kind != other.kind:
            raise MomentsMismatch(f"add: scatter of shape {other.kind!r}, expected {self.kind!r}")
        if self.lineage != other.lineage:
            raise MomentsMismatch(f"add: moments of lineage {other.lineage!r}, expected {self.lineage!r}")
        if self.basis is not other.basis and not self.basis.same(other.basis):
            raise MomentsMismatch("add: moments of another basis; rebase them first")
