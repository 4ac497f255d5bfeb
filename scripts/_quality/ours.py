"""Our learners through their public doors, with their defaults: k or the family, and a seed, are given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stream_mix import river
from stream_mix.sklearn import GaussianMixture, KMeans

from .learner import CHUNK, Fit, Learner


def plain(model: Any) -> None:
    """Makes a mixture, of either door, the plain learner from here on: it keeps no sample and is not
    reviewed."""
    door = "model_" if hasattr(model, "model_") else "_model"
    setattr(model, door, replace(getattr(model, door), sample=None))


class NotBuilt(Exception):
    """What a row asks for does not exist in this version."""


def mixture(k: int, seed: int, **more: Any) -> GaussianMixture:
    """The mixture of the scikit-learn door."""
    return GaussianMixture(n_components=k, random_state=seed, **more)


def from_fitted(fitted: Any, rows: int, **more: Any) -> GaussianMixture:
    """The mixture that goes on from a fitted one of scikit-learn, which saw so many rows."""
    return GaussianMixture.from_sklearn(fitted, rows, **more)


def one_pass(model: Any, x: np.ndarray) -> Any:
    """The model after the rows x (n, d) went by once, in batches, as a stream brings them."""
    for start in range(0, len(x), CHUNK):
        model.partial_fit(x[start : start + CHUNK])
    return model


def unknown_k(x: np.ndarray, seed: int) -> int:
    """How many components are found after one pass when none is told; raises NotBuilt."""
    try:
        model = one_pass(GaussianMixture(n_components="auto", random_state=seed), x)
    except (TypeError, ValueError) as error:
        raise NotBuilt(f"n_components='auto' is not built: {error}") from None
    return len(model.weights_)


def _kmeans(x: np.ndarray, k: int, seed: int) -> Fit:
    model = one_pass(KMeans(n_clusters=k, random_state=seed), x)
    return Fit(model.cluster_centers_, model.predict)


def _mixture(x: np.ndarray, k: int, seed: int) -> Fit:
    model = one_pass(mixture(k, seed), x)
    return Fit(model.means_, model.predict, model.score_samples)


KMEANS = Learner("stream_mix KMeans", "1", _kmeans, ours=True)
MIXTURE = Learner("stream_mix GaussianMixture", "1", _mixture, ours=True)


def clusterer(k: int, seed: int) -> river.GaussianMixture:
    """The mixture of the River door: it learns row by row, and finds its half-life by itself."""
    return river.GaussianMixture(k, seed=seed, half_life="auto")


def scorer(k: int, seed: int, **more: Any) -> river.GaussianMixtureScorer:
    """The same as an anomaly detector."""
    return river.GaussianMixtureScorer(k, seed=seed, **more)
