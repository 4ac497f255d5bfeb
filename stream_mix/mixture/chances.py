"""Random choices of rows and components."""

from __future__ import annotations

import numpy as np

from .arrays import Array, Ints


def draw(chances: Array, count: int, rng: np.random.Generator) -> Ints:
    """Indices (count,) drawn with chances (n,) >= 0, not necessarily summing to 1; evenly where all are 0.

    >>> draw(np.array([0.0, 3.0, 0.0]), 2, np.random.default_rng(0))
    array([1, 1])
    """
    edges = np.cumsum(chances)
    u = rng.random(count)
    if not 0.0 < edges[-1] < np.inf:
        return np.minimum((u * len(chances)).astype(np.int64), len(chances) - 1)
    drawn: Ints = np.searchsorted(edges, u * edges[-1], side="right").astype(np.int64)
    return np.minimum(drawn, len(chances) - 1)
