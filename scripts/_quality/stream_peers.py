"""Peers on streams whose order counts: each row is judged, then learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from river import anomaly, cluster, preprocessing
from sklearn.mixture import GaussianMixture

from . import peers


def labels(model: Any, x: np.ndarray) -> np.ndarray:
    """The cluster (n,) that a River clusterer gives each row before it learns it; 0 before its first."""
    said = np.zeros(len(x), dtype=np.int64)
    for i, row in enumerate(x.tolist()):
        features = dict(enumerate(row))
        if i:
            said[i] = model.predict_one(features)
        model.learn_one(features)
    return said


def scores(model: Any, x: np.ndarray) -> np.ndarray:
    """How strange (n,) a River detector finds each row before it learns it."""
    said = np.zeros(len(x))
    for i, row in enumerate(x.tolist()):
        features = dict(enumerate(row))
        said[i] = model.score_one(features)
        model.learn_one(features)
    return said


def river_kmeans(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """River's KMeans with the half-life that served it best here, of .1, .3 and .5."""
    return labels(cluster.KMeans(k, halflife=0.1, mu=0, sigma=0.5, seed=seed), x)


def river_clustream(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """River's CluStream that looks back one window and clusters anew four times in it."""
    return labels(
        cluster.CluStream(
            n_macro_clusters=k, max_micro_clusters=max(100, 5 * k), time_window=window, time_gap=window // 4,
            seed=seed, halflife=0.4,
        ),
        x,
    )  # fmt: skip


def half_space_trees(x: np.ndarray, seed: int) -> np.ndarray:
    """River's HalfSpaceTrees behind the scaling to [0, 1] that it asks for."""
    return scores(preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=seed), x)


def one_class_svm(x: np.ndarray, seed: int) -> np.ndarray:
    """River's OneClassSVM behind standard scaling."""
    return scores(preprocessing.StandardScaler() | anomaly.OneClassSVM(), x)


def batch_mixture(x: np.ndarray, seed: int, k: int = 10, most: int = 20_000) -> np.ndarray:
    """scikit-learn's mixture fitted to the rows, outliers and all, before it judges them: a yardstick."""
    z = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    return -peers.em(z[:most], k, seed).score_samples(z)


Asked = Callable[[GaussianMixture, np.ndarray], np.ndarray]


def _label(mixture: GaussianMixture, x: np.ndarray) -> np.ndarray:
    return mixture.predict(x)


def _density(mixture: GaussianMixture, x: np.ndarray) -> np.ndarray:
    return mixture.score_samples(x)


def _by_window(x: np.ndarray, k: int, seed: int, window: int, ask: Asked, lag: int) -> np.ndarray:
    """What a mixture fitted to the window `lag` windows before says of each window."""
    said = []
    for start in range(0, len(x) - window + 1, window):
        first = max(0, start - lag * window)
        said.append(ask(peers.em(x[first : first + window], k, seed), x[start : start + window]))
    return np.concatenate(said)


def labels_of_previous(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By a mixture fitted to the window before."""
    return _by_window(x, k, seed, window, _label, 1)


def density_of_previous(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By a mixture fitted to the window before."""
    return _by_window(x, k, seed, window, _density, 1)


def labels_of_own(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By a mixture fitted to the window itself."""
    return _by_window(x, k, seed, window, _label, 0)


def density_of_own(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By a mixture fitted to the window itself."""
    return _by_window(x, k, seed, window, _density, 0)


def labels_of_all(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By one mixture fitted to all rows."""
    return _label(peers.em(x, k, seed), x)


def density_of_all(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    """By one mixture fitted to all rows."""
    return _density(peers.em(x, k, seed), x)
