"""The data of the demonstration, and how well labels agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_mix.mixture import agreement

COARSE, FINE = 2, 4
"""Components of the two models: as many as the labels have kinds, and as many as the rows have habits."""
BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows x (n, d) in the order of the recording, names of features, and which rows are anomalies (n,)."""

    x: npt.NDArray[np.float64]
    features: tuple[str, ...]
    anomaly: npt.NDArray[np.bool_]


def shuttle() -> Stream:
    """All of the shuttle data."""
    from river import datasets

    rows = list(datasets.Shuttle())
    features = tuple(rows[0][0])
    x = np.array([[row[name] for name in features] for row, _ in rows], dtype=np.float64)
    return Stream(x, features, np.array([bool(label) for _, label in rows]))


def rand_index(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Adjusted Rand index of two labellings of n rows: 1 where they agree, about 0 where they do by chance.

    >>> rand_index([0, 0, 1, 1], [7, 7, 3, 3]), round(rand_index([0, 0, 1, 1], [0, 1, 0, 1]), 9)
    (1.0, -0.5)
    """
    return agreement.rand_index(agreement.tabled(a, b))
