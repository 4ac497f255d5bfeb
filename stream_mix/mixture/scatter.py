"""The three shapes that second moments come in, and what each can do.

A family keeps its scatter as `diag` (k, d), one variance per component and feature; `tied` (d, d), one matrix
pooled over the components; or `full` (k, d, d), one matrix per component. All that differs between them
stands in this table, so that moments, priors and kernels never ask which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from .arrays import Array


@dataclass(frozen=True)
class Scatter:
    """One shape of second moments.

    Attributes:
        name: `diag`, `tied` or `full`.
        shape: (k, d) -> the shape of the array.
        between: deltas (k, d) -> the scatter of one unit of mass displaced by each delta, delta delta'.
        stretch: (scatter, ratio (d,)) -> the scatter after feature j is multiplied by ratio j.
        pair: values (k, d) -> for each entry (j, l) of the scatter sqrt(v_j v_l), the divisor that makes it a
            covariance.
        pooled: scatter -> the sum over components, (d,) or (d, d).
        variances: (scatter, k) -> the diagonal entries, (k, d).
        identity: (k, d) -> unit covariances of k components.
    """

    name: str
    shape: Callable[[int, int], tuple[int, ...]]
    between: Callable[[Array], Array]
    stretch: Callable[[Array, Array], Array]
    pair: Callable[[Array], Array]
    pooled: Callable[[Array], Array]
    variances: Callable[[Array, int], Array]
    identity: Callable[[int, int], Array]

    def zeros(self, k: int, d: int) -> Array:
        """The scatter of nothing."""
        return np.zeros(self.shape(k, d))

    def grown(self, scatter: Array, k: int, d: int) -> Array:
        """The scatter with features up to d that nothing is known of."""
        out = self.zeros(k, d)
        out[tuple(slice(0, length) for length in scatter.shape)] = scatter
        return out


def _root_outer(values: Array) -> Array:
    root = np.sqrt(values)
    return root[..., :, None] * root[..., None, :]


SCATTERS: Mapping[str, Scatter] = MappingProxyType(
    {
        "diag": Scatter(
            "diag",
            shape=lambda k, d: (k, d),
            between=np.square,
            stretch=lambda scatter, ratio: scatter * np.square(ratio),
            pair=lambda values: values,
            pooled=lambda scatter: scatter.sum(axis=0),
            variances=lambda scatter, k: scatter,
            identity=lambda k, d: np.ones((k, d)),
        ),
        "tied": Scatter(
            "tied",
            shape=lambda k, d: (d, d),
            between=lambda delta: delta.T @ delta,
            stretch=lambda scatter, ratio: scatter * (ratio[:, None] * ratio),
            pair=lambda values: _root_outer(values.sum(axis=0)),
            pooled=lambda scatter: scatter,
            variances=lambda scatter, k: np.broadcast_to(np.diagonal(scatter), (k, scatter.shape[0])),
            identity=lambda k, d: np.eye(d),
        ),
        "full": Scatter(
            "full",
            shape=lambda k, d: (k, d, d),
            between=lambda delta: delta[:, :, None] * delta[:, None, :],
            stretch=lambda scatter, ratio: scatter * (ratio[:, None] * ratio),
            pair=_root_outer,
            pooled=lambda scatter: scatter.sum(axis=0),
            variances=lambda scatter, k: np.diagonal(scatter, axis1=1, axis2=2),
            identity=lambda k, d: np.tile(np.eye(d), (k, 1, 1)),
        ),
    }
)
