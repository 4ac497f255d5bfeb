"""Other clusterers on the same stream, in a process of their own: `python -m stream_mix.demo.peers`.

All learn the rows once, in their order, scaled as River's StandardScaler scales a row at that moment (k-means
needs that, a full mixture does not); then each labels every row, under the scale as it is at the end. Seconds
are processor time of the learning alone, on one thread. Settings are those that served a method best in a
search: River's KMeans with halflife 0.5, 0.1 and 0.02 and sigma 0.5, 1 and 3, DBSTREAM with
clustering_threshold 0.5, 1 and 2. scikit-learn's is fed `partial_fit` of 256 rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt

from .stream import BATCH, COARSE, FINE, Stream, rand_index, shuttle

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the comparison; `log_likelihood` is a row's mean, in units of the data as it came."""

    name: str
    k: int | None
    rand_index: float
    log_likelihood: float | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """Rows by name and as an array: raw, scaled as they came, and (final) as at the end; log |dz/dx|."""

    raw_rows: list[dict[Any, float]]
    raw: Rows
    rows: list[dict[Any, float]]
    x: Rows
    final_rows: list[dict[Any, float]]
    final: Rows
    log_jacobian: float


def scaled(stream: Stream) -> Scaled:
    """The stream behind River's StandardScaler."""
    from river import preprocessing

    scaler: Any = preprocessing.StandardScaler()
    named: list[dict[Any, float]] = [
        dict(zip(stream.features, row, strict=True)) for row in stream.x.tolist()
    ]
    rows = []
    for row in named:
        scaler.learn_one(row)
        rows.append(scaler.transform_one(row))
    final = [scaler.transform_one(row) for row in named]
    arrays = [np.array([list(row.values()) for row in table]) for table in (rows, final)]
    scale = np.array([scaler.vars[name] for name in stream.features]) ** 0.5
    return Scaled(named, stream.x, rows, arrays[0], final, arrays[1], -float(np.log(scale).sum()))


Learned = tuple[npt.NDArray[Any], float | None, float]
Learn = Callable[[Scaled, int], Learned]
"""(data, seed) -> labels (n,), mean log density or None, seconds."""


def _ours(k: int, raw: bool = False) -> Learn:
    def learn(data: Scaled, seed: int) -> Learned:
        from stream_mix.mixture import posterior
        from stream_mix.river import KMeans

        model = KMeans(n_clusters=k, seed=seed)
        rows: list[dict[Any, float]] = data.raw_rows if raw else data.rows
        start = process_time()
        for row in rows:
            model.learn_one(row)
        seconds = process_time() - start
        found = posterior(model.model, data.raw if raw else data.final)
        jacobian = 0.0 if raw else data.log_jacobian
        return found.label, float(found.log_density.mean()) + jacobian, seconds

    return learn


def _dbstream(data: Scaled, seed: int) -> Learned:
    from river import cluster

    model: Any = cluster.DBSTREAM(clustering_threshold=2.0, cleanup_interval=100)
    start = process_time()
    for row in data.rows:
        model.learn_one(row)
    seconds = process_time() - start
    return np.array([model.predict_one(row) for row in data.final_rows]), None, seconds


def _mini_batch(k: int) -> Learn:
    def learn(data: Scaled, seed: int) -> Learned:
        from sklearn.cluster import MiniBatchKMeans

        model = MiniBatchKMeans(n_clusters=k, random_state=seed)
        start = process_time()
        for first in range(0, len(data.x), BATCH):
            model.partial_fit(data.x[first : first + BATCH])
        seconds = process_time() - start
        return model.predict(data.final), None, seconds

    return learn


def _river_k_means(k: int) -> Learn:
    def learn(data: Scaled, seed: int) -> Learned:
        from river import cluster

        model: Any = cluster.KMeans(n_clusters=k, halflife=0.02, sigma=1, seed=seed)
        start = process_time()
        for row in data.rows:
            model.learn_one(row)
        seconds = process_time() - start
        # The nearest centre, as `predict_one` has it, for all rows at once: this is not timed, and quicker.
        centers = np.array([[model.centers[i][name] for name in data.rows[0]] for i in range(k)])
        apart = ((data.final[:, None] - centers) ** 2).sum(axis=2)
        return apart.argmin(axis=1), None, seconds

    return learn


# Name, clusters, seeds of which the one with the median index is told, and how to learn. Ours has the same
# index with every seed, DBSTREAM has no seed.
METHODS: tuple[tuple[str, int | None, int, Learn], ...] = (
    ("stream_mix KMeans", FINE, 1, _ours(FINE)),
    ("stream_mix KMeans", COARSE, 1, _ours(COARSE)),
    ("stream_mix KMeans, not scaled", COARSE, 1, _ours(COARSE, raw=True)),
    ("stream_mix KMeans, not scaled", FINE, 1, _ours(FINE, raw=True)),
    ("scikit-learn MiniBatchKMeans", COARSE, 3, _mini_batch(COARSE)),
    ("scikit-learn MiniBatchKMeans", FINE, 3, _mini_batch(FINE)),
    ("River KMeans", COARSE, 3, _river_k_means(COARSE)),
    ("River KMeans", FINE, 3, _river_k_means(FINE)),
    ("River DBSTREAM", None, 1, _dbstream),
)


def main() -> int:
    """Write one line of JSON for each method as it is done; the first has its labels too, for the picture."""
    stream = shuttle()
    data = scaled(stream)
    for place, (name, k, seeds, learn) in enumerate(METHODS):
        runs = [learn(data, seed) for seed in range(seeds)]
        results = [
            Result(name, k, rand_index(stream.anomaly, labels), log_likelihood, seconds)
            for labels, log_likelihood, seconds in runs
        ]
        result = sorted(results, key=lambda result: result.rand_index)[seeds // 2]
        labels = runs[0][0].tolist() if not place else None
        print(json.dumps({**asdict(result), "labels": labels}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
