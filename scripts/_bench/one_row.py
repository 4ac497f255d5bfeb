"""One row at a time, as River's pipelines bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from statistics import median
from typing import Any

from river import cluster

from stream_mix.river import GaussianMixture, KMeans

from .em_pass import overlapping
from .record import Options, Record
from .timing import alternate, seconds

GROUP = "one-row"
SHAPES = ((2, 5), (8, 16), (32, 64))
BUDGET = 0.15
"""Seconds that one repetition may take; a slow learner gets fewer rows."""
WARM_SECONDS = 5.0
"""A peer that is slow to begin with is measured from wherever it is after so long."""


def _ours(k: int) -> dict[str, Any]:
    return {
        "KMeans": KMeans(n_clusters=k, seed=0),
        "GaussianMixture diag": GaussianMixture(n_components=k, covariance_type="diag", seed=0),
        "GaussianMixture full": GaussianMixture(n_components=k, covariance_type="full", seed=0),
    }


def _peers(k: int) -> dict[str, Any]:
    return {
        "River KMeans": cluster.KMeans(n_clusters=k, seed=0),
        "River STREAMKMeans": cluster.STREAMKMeans(n_clusters=k, seed=0),
        "River CluStream": cluster.CluStream(n_macro_clusters=k, seed=0),
        "River DBSTREAM": cluster.DBSTREAM(),
        "River DenStream": cluster.DenStream(),
    }


def records(options: Options) -> Iterator[Record]:
    """Each of ours beside River's KMeans, and River's others beside the same."""
    for d, k in SHAPES[:2] if options.quick else SHAPES:
        rows = [dict(enumerate(row)) for row in overlapping(d, k, 4096).tolist()]
        learners = {**_ours(k), **_peers(k)}
        warm = max(1024, 2 * k * max(100, 4 * d)) + 1
        for name, learner in learners.items():
            options.say(f"one row: {name}, D={d} K={k}, warming up")
            _warm(learner, rows, warm, WARM_SECONDS if name.startswith("River") else 60.0)
        options.say(f"one row: D={d} K={k}")
        for method in ("learn_one", "predict_one"):
            yield from _table(method, learners, rows, d, k, options.repetitions)


def _warm(learner: Any, rows: list[dict], count: int, most: float) -> None:
    """Learns rows until `count` are in, which is past the start of ours, or the time is up."""
    taken = 0.0
    feed = cycle(rows)
    for _ in range(0, count, 64):
        part = list(islice(feed, 64))
        taken += seconds(lambda part=part: [learner.learn_one(row) for row in part])
        if taken > most:
            return


def _table(
    method: str, learners: dict[str, Any], rows: list[dict], d: int, k: int, repetitions: int
) -> Iterator[Record]:
    counts = {name: _affordable(getattr(learner, method), rows) for name, learner in learners.items()}
    sides = {name: _calls(getattr(learner, method), rows, counts[name]) for name, learner in learners.items()}
    micros = {
        name: median(taken) / counts[name] * 1e6 for name, taken in alternate(sides, repetitions).items()
    }
    base = micros["River KMeans"]
    for name, value in micros.items():
        beside = None if name == "River KMeans" else "River KMeans"
        yield Record(
            GROUP,
            f"{method}, {name}, D={d} K={k}",
            value,
            "us/row",
            beside,
            beside and base,
            beside and base / value,
        )


def _calls(call: Callable[[dict], object], rows: list[dict], count: int) -> Callable[[], None]:
    feed = cycle(rows)

    def work() -> None:
        for row in islice(feed, count):
            call(row)

    return work


def _affordable(call: Callable[[dict], object], rows: list[dict]) -> int:
    """Rows that fit into the budget, by the time of a few; at least those."""
    few = 8
    return max(few, min(len(rows), int(BUDGET / (seconds(_calls(call, rows, few)) / few))))
