"""The kernels in C++: the reference's answers, at the machine's speed.

Responsibilities below e^-37 of a row's likeliest are 0 here, and such a row does not touch the component: no
answer differs from the reference's by more than k e^-37 < k 1e-16 of the row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import Array
from ..basis import Basis
from . import _native, threads
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
        said = self._packed(natural, basis).posterior(x, threads.count())
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
        found = self._packed(natural, basis).accumulate(x, w, hard, tell, threads.count())
        if found is None:
            return None
        mass, first, second, log_density, said = found
        told = None if said is None else Told(said[0], said[1], log_density, said[2])
        return Sums(natural.origin, mass, first, second, log_density, told)

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
