"""What a learner is to a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """A learner of static data, by name.

    Attributes:
        passes: over the rows, as shown.
        fit: (rows x (n, d), number of clusters, seed) -> Fit.
        most_rows: it gets only so many rows, the first ones, because each takes it too long.
        most_seeds: it is tried with so many seeds at most, for the same reason.
        slow: left out of a quick run.
        ours: the figures are about it.
    """

    name: str
    passes: str
    fit: Callable[[np.ndarray, int, int], Fit]
    most_rows: int | None = None
    most_seeds: int = 20
    slow: bool = False
    ours: bool = False


def by_name(learners: Sequence[Learner], name: str) -> Learner:
    """The one of that name: a task in another process takes names."""
    return next(learner for learner in learners if learner.name == name)
