"""The learners of scikit-learn and River, set up as their documentation recommends for the task."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from river import base, cluster
from sklearn.cluster import MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from .learner import CHUNK, Fit, Learner

STARTS = 10
"""Starts of batch EM, of which the best by likelihood counts."""


def _partial_fit(x: np.ndarray, k: int, seed: int) -> Fit:
    kmeans = MiniBatchKMeans(k, batch_size=CHUNK, random_state=seed)
    start = max(CHUNK, k)  # its first call must bring as many rows as there are clusters
    kmeans.partial_fit(x[:start])
    for first in range(start, len(x), CHUNK):
        kmeans.partial_fit(x[first : first + CHUNK])
    return Fit(kmeans.cluster_centers_, kmeans.predict)


def _mini_batches(x: np.ndarray, k: int, seed: int) -> Fit:
    kmeans = MiniBatchKMeans(k, batch_size=CHUNK, max_iter=10, n_init=3, random_state=seed).fit(x)
    return Fit(kmeans.cluster_centers_, kmeans.predict)


def em(
    x: np.ndarray, k: int, seed: int, *, kind: str = "full", starts: int = 1, **more: Any
) -> GaussianMixture:
    """scikit-learn's mixture, fitted; by k-means starts unless told otherwise."""
    mixture = GaussianMixture(
        k, covariance_type=kind, n_init=starts, random_state=seed, **{"max_iter": 200, **more}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what it found by then is what is compared
        return mixture.fit(x)


def em_from_labels(
    x: np.ndarray, label: np.ndarray, kind: str = "full", reg_covar: float = 1e-3
) -> GaussianMixture:
    """60 steps of batch EM from the true classes: what is lost to it is lost to the model, not to the start.

    Noise rows (label -1) count as a class of their own.
    """
    classes = np.unique(label)
    means = np.stack([x[label == c].mean(axis=0) for c in classes])
    weights = np.array([(label == c).mean() for c in classes])
    start = {"weights_init": weights / weights.sum(), "means_init": means, "max_iter": 60}
    precisions = _precisions(x, label, kind)
    return em(
        x, len(classes), 0, kind=kind, reg_covar=reg_covar, **start, precisions_init=precisions
    )


def _precisions(x: np.ndarray, label: np.ndarray, kind: str) -> np.ndarray:
    """Inverse covariances of the classes, as scikit-learn wants them for a kind of covariance."""
    d = x.shape[1]
    classes, counts = np.unique(label, return_counts=True)
    full = np.stack([np.cov(x[label == c].T, bias=True).reshape(d, d) for c in classes]) + 1e-3 * np.eye(d)
    if kind == "full":
        return np.linalg.inv(full)
    if kind == "tied":
        return np.linalg.inv(np.average(full, axis=0, weights=counts))
    variances = np.diagonal(full, axis1=1, axis2=2)
    return 1.0 / (variances if kind == "diag" else variances.mean(axis=1))


def _em(kind: str, starts: int) -> Callable[[np.ndarray, int, int], Fit]:
    def fit(x: np.ndarray, k: int, seed: int) -> Fit:
        mixture = em(x, k, seed, kind=kind, starts=starts)
        return Fit(mixture.means_, mixture.predict, mixture.score_samples)

    return fit


def _river(make: Callable[[np.ndarray, int, int], base.Clusterer]) -> Callable[[np.ndarray, int, int], Fit]:
    def fit(x: np.ndarray, k: int, seed: int) -> Fit:
        model = make(x, k, seed)
        for row in x.tolist():
            model.learn_one(dict(enumerate(row)))

        def label(rows: np.ndarray) -> np.ndarray:
            return np.array([model.predict_one(dict(enumerate(row))) for row in rows.tolist()])

        label(x[:1])  # some cluster only when asked
        centres = [[centre[j] for j in range(x.shape[1])] for centre in model.centers.values()]
        return Fit(np.array(centres).reshape(-1, x.shape[1]), label)

    return fit


def _kmeans(x: np.ndarray, k: int, seed: int) -> base.Clusterer:
    """Its best of half-lives from .05 to .5 and spreads of the random start from .5 to 2."""
    return cluster.KMeans(k, halflife=0.5, mu=0, sigma=0.5, seed=seed)


def _dbstream(x: np.ndarray, k: int, seed: int) -> base.Clusterer:
    """It has to find k itself and depends on its radius, which follows from k here, as if k clusters filled
    the space; of factors from .15 to .6 and intersection factors from .05 to .3 these served it best."""
    d = x.shape[1]
    return cluster.DBSTREAM(
        clustering_threshold=0.6 * math.sqrt(d) * k ** (-1 / d),
        fading_factor=0.001,
        cleanup_interval=100,
        intersection_factor=0.1,
        minimum_weight=2,
    )


def _clustream(x: np.ndarray, k: int, seed: int) -> base.Clusterer:
    rows = len(x)
    return cluster.CluStream(
        n_macro_clusters=k, max_micro_clusters=max(100, 5 * k), time_window=rows, time_gap=rows - 1,
        seed=seed, halflife=0.4,
    )  # fmt: skip


def learners(quick: bool) -> tuple[Learner, ...]:
    """All peers; a quick run leaves out the slow ones and gives batch EM three starts."""
    starts = 3 if quick else STARTS
    every = (
        Learner("sklearn MiniBatchKMeans.partial_fit", "1", _partial_fit),
        Learner("sklearn MiniBatchKMeans.fit", "10", _mini_batches),
        Learner(f"sklearn GaussianMixture, best of {starts}", "many", _em("full", starts), most_seeds=3),
        Learner("River KMeans", "1", _river(_kmeans), most_rows=5000, most_seeds=3),
        Learner("River DBSTREAM", "1", _river(_dbstream), most_rows=2000, most_seeds=2, slow=True),
        Learner("River CluStream", "1", _river(_clustream), most_rows=2000, most_seeds=2, slow=True),
    )
    return tuple(peer for peer in every if not (quick and peer.slow))
