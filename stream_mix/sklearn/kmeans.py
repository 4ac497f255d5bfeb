"""k-means."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin

from ..mixture import Spec, parameters
from ..mixture.arrays import Array, Ints
from ..mixture.batch import Fitted
from ..mixture.folders import labels
from ..mixture.memories import memory_of
from . import inputs
from .base import Learner, view

_KEPT_BYTES = 1 << 20
"""Rows of the last call that take no more than this are kept until their labels are asked for."""


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, Learner):  # type: ignore[misc]  # scikit-learn ships no types
    """k-means over d features, learned in one pass by `partial_fit` or to convergence (Lloyd's algorithm) by
    `fit`.

    Distances are Euclidean, over the features that were observed.

    Args:
        n_clusters: number of clusters, k.
        max_iter: most sweeps of `fit`.
        tol: `fit` stops when the squared moves of all centres, added up, are at most this times the mean
            variance of a feature.
        random_state: seed of the start; None draws one from NumPy's global generator.
        batch_size: rows that `partial_fit` learns at once.
        half_life: rows after which a row counts half; None: rows count for ever; `auto`: found out from how
            well several foretell the stream.
        time_half_life: the same in seconds of event time, the `t` of `partial_fit`.
        window: only about the last `window` rows count. At most one of these three can be given, or the next
            two.
        step_exponent: steps fall as rows^-step_exponent, > 0.5 and <= 1, so that memory amounts to about
            rows^step_exponent rows: the first ones are forgotten, slowly.
        averaged: whether what is said is the average over the second half of the stream of what such steps
            left (`stream_mix.mixture.steps`); the exponent is then 0.6 unless given.
        lateness: seconds of event time by which a row of `partial_fit` may be older than the newest before
            it; one that is older still is not learned but counted, in `model_.late`.

    Attributes:
        cluster_centers_: (k, d).
        labels_: index (n,) of the cluster of each row of the last `fit` or `partial_fit`, under the centres
            after it.
        inertia_: sum of squared distances of all remembered rows to the mean of the cluster that each was
            counted for.
        n_iter_: sweeps of the last `fit`; converged_: whether they were enough.
        model_: the model itself.

    >>> kmeans = KMeans(n_clusters=2, random_state=0).partial_fit([[0.0], [2.0], [9.0], [11.0]])
    >>> round(kmeans.inertia_, 9), sorted(kmeans.cluster_centers_.ravel().round(9).tolist())
    (4.0, [1.0, 10.0])
    """

    _unlabelled: Array | None = None
    _labels: Ints | None = None
    _labels_read: bool = False

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: Any = None,
        batch_size: int = 256,
        half_life: float | str | None = None,
        time_half_life: float | None = None,
        window: int | None = None,
        step_exponent: float | None = None,
        averaged: bool = False,
        lateness: float | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.batch_size = batch_size
        self.half_life = half_life
        self.time_half_life = time_half_life
        self.window = window
        self.step_exponent = step_exponent
        self.averaged = averaged
        self.lateness = lateness

    def _spec(self, random_state: int) -> Spec:
        k = inputs.integer("n_clusters", self.n_clusters, 1)
        size = inputs.integer("batch_size", self.batch_size, 1)
        given = self.half_life, self.time_half_life, self.window, self.step_exponent, self.averaged
        return Spec(
            n_components=k,
            family="kmeans",
            memory=memory_of(*given, n_components=k, batch_size=size),
            batch_size=size,
            random_state=random_state,
            watch=False,
            lateness=self.lateness,
        )

    def _too_few(self, n: int, k: int) -> str:
        return f"n_samples={n} should be >= n_clusters={k}."

    def _learned(self, x: Array, fitted: Fitted | None, labels: Ints | None = None) -> None:
        # Few who feed a stream ask for labels: a few rows are kept, and labelled when somebody does.
        few = x.nbytes <= _KEPT_BYTES
        self._unlabelled = x.copy() if labels is None and few else None
        self._labels = self._nearest_centre(x) if labels is None and not few else labels
        self._labels_read = False

    def _label_at_once(self, x: Array) -> bool:
        # Who asked for labels after the last call will after this one, and it saves keeping the rows.
        return self._labels_read or x.nbytes > _KEPT_BYTES

    def merge(self, other: Self) -> Self:
        """See `GaussianMixture.merge`; `labels_` stay those of the last call that learned rows."""
        self._label()
        return super().merge(other)

    @property
    def labels_(self) -> Ints:
        """Index (n,) of the centre nearest to each row of the last `fit` or `partial_fit`."""
        if self._labels is None:
            self._expect_fitted()
            self._label()
        self._labels_read = True
        if self._labels is None:
            raise AttributeError("labels_ was deleted; it comes back with the next fit or partial_fit")
        return self._labels

    @labels_.deleter
    def labels_(self) -> None:
        self._labels = self._unlabelled = None

    def _label(self) -> None:
        """Labels the rows that were kept, if there are any."""
        if self._unlabelled is not None:
            self._labels, self._unlabelled = self._nearest_centre(self._unlabelled), None

    def __getstate__(self) -> dict[str, Any]:
        self._label()
        return super().__getstate__()

    def _nearest_centre(self, x: Array) -> Ints:
        # With equal weights and one round variance the likeliest cluster is the nearest.
        found = labels(self.model_.spec, self.model_.moments, x)
        return self._nearest(x)[0] if found is None else found

    def predict(self, X: Any) -> Ints:
        """Index (n,), from 0, of the nearest centre."""
        self._expect_fitted()
        return self._nearest_centre(inputs.values(self, X, reset=False))

    def transform(self, X: Any) -> Array:
        """Distance (n, k) of each row to each centre, over the features that the row has."""
        self._expect_fitted()
        return np.sqrt(self._squared_distances(inputs.values(self, X, reset=False)))

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the sum of squared distances of the rows to their nearest centres, each times its weight."""
        self._expect_fitted()
        squared = self._nearest(inputs.values(self, X, reset=False))[1]
        w = inputs.weights(sample_weight, len(squared))
        return -float(squared.sum() if w is None else w @ squared)

    def _nearest(self, x: Array) -> tuple[Ints, Array]:
        """Index (n,) of the nearest centre, and the squared distance (n,) to it."""
        squared = self._squared_distances(x)
        label: Ints = squared.argmin(axis=1)
        return label, squared[np.arange(len(x)), label]

    def _squared_distances(self, x: Array) -> Array:
        """(n, k), over the observed features, in the model's basis, where an offset costs no digits."""
        model = self.model_
        z, centres = model.basis.forward(x), model.parameters.means
        observed = ~np.isnan(z)
        z = np.where(observed, z, 0.0)
        lengths = np.square(centres).sum(axis=1) if observed.all() else observed @ np.square(centres).T
        out = np.square(z).sum(axis=1)[:, None] - 2.0 * (z @ centres.T) + lengths
        squared: Array = np.maximum(out, 0.0) * model.basis.scale[0] ** 2
        return squared

    @property
    def _n_features_out(self) -> int:
        return self.model_.k

    @view
    def cluster_centers_(self) -> Array:
        """Centres (k, d)."""
        return parameters(self.model_).means

    @view
    def inertia_(self) -> float:
        """Sum of squared distances of remembered rows to the mean of the cluster that each counted for."""
        model = self.model_
        return float(model.moments.scatter.sum() * model.basis.scale[0] ** 2)
