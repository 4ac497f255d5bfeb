"""k-means as a River clusterer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from ..mixture import Prior
from .checks import whole
from .clusterer import Clusterer


class KMeans(Clusterer):
    """Hard clustering of a stream by k-means, learned in one pass.

    A row moves the nearest centre only, by 1/n where every row counts the same, so that a centre is the mean
    of its rows. Start, memories, batches, weights, times and missing values are those of `GaussianMixture`.
    Distances are Euclidean: scale features that have different units. `predict_proba_one` is the mixture's
    answer where all clusters have one round covariance and equal weights.

    Parameters
    ----------
    n_clusters
        Number of clusters, k.
    half_life
        Rows after which a row counts half; `auto`: found out from how well several foretell the stream.
    time_half_life
        Seconds of event time after which a row counts half.
    window
        Rows that are remembered, and none before them.
    step_exponent
        Steps fall as rows^-step_exponent, > 0.5 and <= 1, so that memory amounts to about
        rows^step_exponent rows: the first ones are forgotten, slowly.
    averaged
        Whether what is said is the average over the second half of the stream of what such steps left; the
        exponent is then 0.6 unless given.
    batch_size
        Rows that are learned at once. With 1 what was learned shows in the next prediction; with more, rows
        wait until their batch is full, however they come in.
    time_feature
        Name of a feature that is the event time: Unix seconds, or a datetime (read as UTC if it has no time
        zone).
    weight_feature
        Name of a feature that is the weight, > 0.
    lateness
        Seconds of event time by which a row may be older than the newest before it; one that is older still
        is not learned but counted, in `late_rows`.
    seed
        Seed of the start. None draws another one for each instance.

    Examples
    --------
    >>> from stream_mix.river import KMeans

    >>> model = KMeans(n_clusters=2, seed=42)
    >>> for i in range(10):
    ...     model.learn_one({"x": i % 2 * 100 + i})
    >>> sorted(round(center["x"], 6) for center in model.centers.values())
    [4.0, 105.0]
    """

    def __init__(
        self,
        n_clusters: int = 5,
        *,
        half_life: float | str | None = None,
        time_half_life: float | None = None,
        window: int | None = None,
        step_exponent: float | None = None,
        averaged: bool = False,
        batch_size: int = 1,
        time_feature: Hashable | None = None,
        weight_feature: Hashable | None = None,
        lateness: float | None = None,
        seed: int | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.half_life = half_life
        self.time_half_life = time_half_life
        self.window = window
        self.step_exponent = step_exponent
        self.averaged = averaged
        self.batch_size = batch_size
        self.time_feature = time_feature
        self.weight_feature = weight_feature
        self.lateness = lateness
        self.seed = seed
        self._begin(whole("n_clusters", n_clusters, 1), "kmeans", Prior())

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"n_clusters": 3}
        yield {"n_clusters": 2, "window": 100}
