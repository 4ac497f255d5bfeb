"""What a learner is to the comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CHUNK = 256
"""Rows that a learner in one pass gets at a time, ours and theirs."""


@dataclass(frozen=True, eq=False)
class Fit:
    """What a learner ended with: centres (k', d), labels of rows, and log densities of rows if it has any."""

    centres: np.ndarray
    label: Callable[[np.ndarray], np.ndarray]
    log_density: Callable[[np.ndarray], np.ndarray] | None = None


@dataclass(frozen=True)
class Learner:
    """A learner by name.

    Attributes:
        passes: over the rows, as shown.
        fit: (rows x (n, d), number of clusters, seed) -> Fit.
        most_rows: it gets only so many rows, the first ones, because each takes it too long.
        slow: left out of a quick run.
        judged: its centroid index is one of the figures.
    """

    name: str
    passes: str
    fit: Callable[[np.ndarray, int, int], Fit]
    most_rows: int | None = None
    slow: bool = False
    ours: bool = False
    judged: bool = False
