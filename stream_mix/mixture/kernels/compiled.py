"""The kernels in C++: the reference's answers, at the machine's speed.

Responsibilities below e^-37 of a row's likeliest are 0 here, and such a row does not touch the component: no
answer differs from the reference's by more than k e^-37 < k 1e-16 of the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array, Ints
from ..basis import Basis
from . import _native, shortlist, threads
from .answers import Sums, Told
from .natural import Natural

_NONE = np.empty(0)


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
        lists = self._lists(x, natural, basis)
        said = self._packed(natural, basis).posterior(x, lists, threads.count())
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
        lists = self._lists(x, natural, basis)
        found = self._packed(natural, basis).accumulate(x, w, hard, tell, lists, threads.count())
        if found is None:
            return None
        mass, first, second, log_density, said = found
        told = None if said is None else Told(said[0], said[1], log_density, said[2])
        return Sums(natural.origin, mass, first, second, log_density, told)

    def _lists(self, x: Array, natural: Natural, basis: Basis | None) -> _native.Lists | None:
        """Short lists of components for the rows, where there are so many that lists are worth while and
        cost next to nothing in log-likelihood; None: all components for all rows."""
        few = natural.k < shortlist.LEAST_COMPONENTS or len(x) < shortlist.ROWS_A_COMPONENT * natural.k
        if few or not shortlist.allowed():
            return None
        sample = np.ascontiguousarray(x[:: -(-len(x) // shortlist.SAMPLE)])
        packed = self._packed(natural, basis)
        reach = shortlist.plausible(natural.d)
        dense = packed.accumulate(sample, None, False, False, None, threads.count())
        if dense is None:
            return None
        centres = shortlist.centres_of(natural, self._nearest)
        leaves = self._packed(*shortlist.leaf_mixture(natural, centres, basis))
        leaf = leaves.label(sample, threads.count())
        for found in shortlist.shortlists(natural, centres):
            short = packed.accumulate(
                sample, None, False, False, (leaf, found.offset, found.members, reach), threads.count()
            )
            assert short is not None
            loss = float(np.abs(dense[3] - short[3]).sum() / np.abs(dense[3]).sum())
            if loss <= shortlist.MOST_LOST:
                of_all = leaves.label(x, threads.count())
                if of_all is None:
                    return None
                shortlist.record(shortlist.Truncation(found.share, loss))
                return of_all, found.offset, found.members, reach
        return None

    def _nearest(self, leaves: Natural, basis: Basis, points: Array) -> Ints:
        label = self._packed(leaves, basis).label(points, threads.count())
        assert label is not None
        return label

    def first_beyond(self, x: Array, most: float) -> int:
        """As `reference.first_beyond`."""
        return _native.first_beyond(x, most)

    def folder(self, **choices: Any) -> _native.Folder:
        """The fold over batches, compiled, for a family and memory that it knows."""
        return _native.Folder(isa=self.name, **choices)

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
    d = natural.d
    origin, inverse = (np.zeros(d), np.ones(d)) if basis is None else (basis.origin, 1.0 / basis.scale)
    scores: dict[str, Any] = {"precision": 0.0, "whiten": _NONE}
    if natural.kind == "full":
        triangle = np.tril_indices(d)
        whitened_means = np.matmul(natural.whiten, natural.means[:, :, None])[:, :, 0]
        scores |= {
            "scores": "full",
            "theta": np.column_stack([natural.peak, whitened_means]),
            "whiten": natural.whiten[:, *triangle],
        }
    elif natural.kind == "tied":
        scores |= {"scores": "linear", "theta": natural.theta, "whiten": natural.whiten[*np.tril_indices(d)]}
    elif not (natural.round and d):
        scores |= {"scores": "diag", "theta": natural.theta}
    elif (natural.whiten == natural.whiten[0]).all():
        precision = float(natural.precision[0, 0])
        scores |= {"scores": "linear", "theta": natural.theta[:, : 1 + d], "precision": precision}
    else:
        scores |= {"scores": "round", "theta": natural.theta[:, : 2 + d]}
    scores["theta"], scores["whiten"] = map(np.ascontiguousarray, (scores["theta"], scores["whiten"]))
    return _native.Mixture(
        isa=isa,
        second=natural.kind,
        origin=origin,
        inverse_scale=inverse,
        centre=natural.origin,
        peak=natural.peak,
        **scores,
    )
