"""How near a clustering comes to the truth."""

from __future__ import annotations

import numpy as np

from stream_mix.mixture import agreement
from stream_mix.mixture.agreement import centroid_index

__all__ = ["centroid_index", "class_means", "rand_index"]


def class_means(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The mean of each class (classes, d); rows of label -1 are noise."""
    return np.stack([x[label == c].mean(axis=0) for c in np.unique(label[label >= 0])])


def rand_index(truth: np.ndarray, label: np.ndarray) -> float:
    """Adjusted Rand index over the rows that are not noise."""
    kept = truth >= 0
    return agreement.rand_index(agreement.tabled(truth[kept], label[kept]))
