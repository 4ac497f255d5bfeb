"""The kernels in C++: the reference's answers, at the machine's speed.

Responsibilities below 2^-60 are 0 here, and such a row does not touch the component: no answer differs from
the reference's by more than k 2^-60 of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, Floats, Ints
from ..basis import Basis
from . import _native, shortlist, threads
from .answers import Sums, Told
from .marginals import Marginals
from .natural import Natural
from .reference import Reference

_NONE = np.empty(0)

_REFERENCE = Reference()
"""Does what is not compiled: heavy tails."""


class Compiled:
    """The kernels compiled for one instruction set.

    >>> implementations()[-1]
    'baseline'
    """

    def __init__(self, isa: str) -> None:
        self.name = isa
        self.described = f"{isa} (C++)"

    def posterior(self, x: Array, natural: Natural, basis: Basis | None = None) -> Told | None:
        """As `reference.posterior`."""
        if natural.student is not None:
            return _REFERENCE.posterior(x, natural, basis)
        said = self._packed(natural, basis).posterior(x, threads.count())
        if said is None and natural.kind == "diag":
            said = self._holes(natural, basis).posterior(x, threads.count())
            assert said is not None
            return Told.of_holes(said[0], said[1], said[2], x, natural)
        return None if said is None else Told(*said)

    def accumulate(
        self,
        x: Array,
        w: Array | None,
        natural: Natural,
        hard: bool = False,
        tell: bool = False,
        basis: Basis | None = None,
    ) -> Sums | None:
        """As `reference.accumulate`."""
        if natural.student is not None:
            return _REFERENCE.accumulate(x, w, natural, hard, tell, basis)
        # What is said of a row must not depend on the rows beside it, as lists do.
        if not tell and (short := self._short(x, w, natural, hard, basis)) is not None:
            return short
        found = self._packed(natural, basis).accumulate(x, w, hard, tell, threads.count())
        if found is None and natural.kind == "diag":
            found = self._holes(natural, basis).accumulate(x, w, hard, tell, threads.count())
        if found is None:
            return None
        mass, first, second, log_density, said, seen = found
        told = None
        if said is not None:
            p, label, distance = said
            told = Told(p, label, log_density, distance)
            if seen is not None:
                told = Told.of_holes(p, label, log_density, x, natural)
        return Sums(natural.origin, mass, first, second, log_density, told, seen)

    def _holes(self, natural: Natural, basis: Basis | None) -> _native.Mixture:
        return _mixture(
            self.name, natural, basis, scores="diag", theta=natural.theta_of_holes, holes=True
        )

    def _short(
        self, x: Array, w: Array | None, natural: Natural, hard: bool, basis: Basis | None
    ) -> Sums | None:
        """The sums by short lists of components, where there are so many that lists are worth while and cost
        next to nothing in log-likelihood; None: all components for all rows."""
        if not shortlist.applies(natural.k, len(x)) or not natural.d:
            return None
        shortlist.record(None)
        packed, leaves = self._packed(natural, basis), shortlist.leaves(self.name, natural, basis)
        chosen = shortlist.chosen(leaves, packed, natural, x)
        if chosen is None:
            return None
        reach = shortlist.plausible(natural.d)
        found = leaves.accumulate(chosen.lists, x, w, hard, reach, chosen.pairs, threads.count())
        if found is None:
            return None
        shortlist.record(chosen.truncation)
        mass, first, second, log_density, wild = found
        if len(wild):
            some = packed.accumulate(x[wild], None if w is None else w[wild], hard, False, threads.count())
            if some is None:
                return None
            mass, first, second = mass + some[0], first + some[1], second + some[2]
            log_density[wild] = some[3]
        return Sums(natural.origin, mass, first, second, log_density)

    def nearest_two(self, x: Array, centres: Array) -> tuple[Ints, Array, Array]:
        """As `reference.nearest_two`."""
        k, d = centres.shape
        if not d:
            return Reference().nearest_two(x, centres)
        even, round_ = np.full(k, 1.0 / k), np.ones((k, d))
        means = Natural("diag", np.zeros(d), centres, round_, even, np.zeros(k), round=True)
        return self._packed(means, None).nearest_two(x, threads.count())

    def first_beyond(self, x: Array, most: float) -> int:
        """As `reference.first_beyond`."""
        return _native.first_beyond(self.name, x, most)

    def marginals(self, kind: str, weights: Array, means: Array, covariances: Array) -> Marginals:
        """As `choice.Kernels.marginals`."""
        return Marginals(self.name, kind, weights, means, covariances)

    def folder(self, **choices: Any) -> _native.Folder:
        """The fold over batches, compiled, for a family and memory that it knows."""
        return _native.Folder(isa=self.name, **choices)

    def crc32(self, data: bytes, before: int = 0) -> int:
        """As `zlib.crc32`, three times as fast where the processor multiplies without carries."""
        return _native.crc32(data, before)

    def read_points(
        self, message: bytes, rows: int, features: int, cells: int, string: int, seq: int, value: float
    ) -> tuple[Any, ...] | None:
        """A frame of points as it usually is, in one visit of its bytes."""
        return _native.read_points(message, rows, features, cells, string, seq, value)

    def columns(self, label: Ints, p: Floats | None, log_density: Array, outlier: Floats) -> _native.Columns:
        """What a model says of n rows, to be cut into messages."""
        return _native.Columns(label, p, log_density, outlier)

    def _packed(self, natural: Natural, basis: Basis | None) -> _native.Mixture:
        """The mixture as the loops read it, kept with it for the basis that was asked for last."""
        kept = natural.packed.get(self.name)
        if kept is None or kept[0] is not basis:
            kept = natural.packed[self.name] = (basis, _pack(self.name, natural, basis))
        packed: _native.Mixture = kept[1]
        return packed


def implementations() -> list[str]:
    """The instruction sets that this processor can run, the best first."""
    return _native.implementations()


def _pack(isa: str, natural: Natural, basis: Basis | None) -> _native.Mixture:
    d, theta = natural.d, natural.theta if natural.kind != "full" else _NONE
    if natural.kind == "full":
        means = np.matmul(natural.whiten, natural.means[:, :, None])[:, :, 0]
        whiten, theta = natural.whiten[:, *np.tril_indices(d)], np.column_stack([natural.peak, means])
        return _mixture(isa, natural, basis, scores="full", theta=theta, whiten=whiten)
    if natural.kind == "tied":
        whiten = natural.whiten[*np.tril_indices(d)]
        return _mixture(isa, natural, basis, scores="linear", theta=theta, whiten=whiten)
    if not (natural.round and d):
        return _mixture(isa, natural, basis, scores="diag", theta=theta)
    if not (natural.whiten == natural.whiten[0]).all():
        return _mixture(isa, natural, basis, scores="round", theta=theta[:, : 2 + d])
    precision = float(natural.precision[0, 0])
    return _mixture(isa, natural, basis, scores="linear", theta=theta[:, : 1 + d], precision=precision)


def _mixture(
    isa: str,
    natural: Natural,
    basis: Basis | None,
    *,
    scores: str,
    theta: Array,
    whiten: Array = _NONE,
    precision: float = 0.0,
    holes: bool = False,
) -> _native.Mixture:
    d = natural.d
    origin, inverse = (np.zeros(d), np.ones(d)) if basis is None else (basis.origin, 1.0 / basis.scale)
    return _native.Mixture(
        isa=isa,
        scores=scores,
        second=natural.kind,
        origin=origin,
        inverse_scale=inverse,
        centre=natural.origin,
        theta=np.ascontiguousarray(theta),
        whiten=np.ascontiguousarray(whiten),
        precision=precision,
        peak=natural.peak,
        holes=holes,
    )
