"""How near a clustering comes to the truth."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import adjusted_rand_score


def orphans(of: np.ndarray, among: np.ndarray) -> int:
    """How many of the centres `among` are nearest to none of the centres `of`."""
    distances = np.square(of[:, None, :] - among[None, :, :]).sum(axis=2)
    return len(among) - len(np.unique(distances.argmin(axis=1)))


def centroid_index(found: np.ndarray, truth: np.ndarray) -> int:
    """Centres in the wrong place: the larger number of orphans of the two ways of asking (Fränti, Rezaei &
    Zhao 2014). 0 = as many centres as clusters, one in each.

    >>> truth = np.array([[0.0], [10.0], [20.0]])
    >>> centroid_index(truth + 1, truth), centroid_index(np.array([[0.0], [1.0], [15.1]]), truth)
    (0, 1)
    """
    return max(orphans(found, truth), orphans(truth, found)) if len(found) else len(truth)


def class_means(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """The mean of each class (classes, d); rows of label -1 are noise."""
    return np.stack([x[label == c].mean(axis=0) for c in np.unique(label[label >= 0])])


def rand_index(truth: np.ndarray, label: np.ndarray) -> float:
    """Adjusted Rand index over the rows that are not noise."""
    kept = truth >= 0
    return float(adjusted_rand_score(truth[kept], label[kept]))
