"""One row at a time, as River's pipelines bring them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle, islice
from statistics import median
from typing import Any

import numpy as np
from river import cluster

from stream_mix.mixture import Model, Rows, learn, to_state
from stream_mix.river import GaussianMixture, KMeans

from .em_pass import overlapping
from .record import ONE, SHAPES, Name, Options, Record, Target, at
from .timing import alternate, ratio, seconds

GROUP = "one-row"
LEARNED, ASKED, FIRST = "learn_one", "predict_one", "learn_one, start and all"
BASE = "River KMeans"
LEAST = {2: 20.0, 8: 50.0, 32: 100.0}
LEAST_FULL = 5.0
POOL = 1024
"""Different rows, which come round."""
FIRST_ROWS = 5_000
MOST_CALLS = 200_000
"""Of a learner in one repetition."""


def _ours(k: int) -> dict[str, Callable[[], Any]]:
    return {
        "KMeans": lambda: KMeans(n_clusters=k, seed=0),
        "GaussianMixture diag": lambda: GaussianMixture(n_components=k, covariance_type="diag", seed=0),
        "GaussianMixture full": lambda: GaussianMixture(n_components=k, covariance_type="full", seed=0),
    }


def _peers(k: int) -> dict[str, Callable[[], Any]]:
    return {
        BASE: lambda: cluster.KMeans(n_clusters=k, seed=0),
        "River STREAMKMeans": lambda: cluster.STREAMKMeans(n_clusters=k, seed=0),
        "River CluStream": lambda: cluster.CluStream(n_macro_clusters=k, seed=0),
        "River DBSTREAM": lambda: cluster.DBSTREAM(),
        "River DenStream": lambda: cluster.DenStream(),
    }


def names() -> list[Name]:
    """Every row of this group: each of ours beside River's KMeans, our KMeans beside River's others too."""
    return [
        Name(GROUP, f"{method}, {name}", peer, at(d, k))
        for d, k in SHAPES
        for method in (LEARNED, ASKED, FIRST)
        for name in _ours(1)
        for peer in _beside(method, name)
    ]


def _beside(method: str, name: str) -> list[str]:
    return list(_peers(1)) if name == "KMeans" and method != FIRST else [BASE]


def records(options: Options) -> Iterator[Record]:
    """Each shape: learners past their start, which are then asked; and new learners from their first row.

    A quick run has neither the largest shape nor new learners.
    """
    for d, k in SHAPES[:2] if options.quick else SHAPES:
        features = [f"f{j}" for j in range(d)]
        rows = [dict(zip(features, row, strict=True)) for row in overlapping(d, k, POOL).tolist()]
        # A learner that is slow to begin with is measured from wherever it is after so long.
        allowed = 0.2 if options.quick else 3.0
        learners = {}
        for name, make in {**_ours(k), **_peers(k)}.items():
            options.say(f"one row: {name}, {at(d, k)}, warming up")
            learners[name] = make() if name in _peers(k) else _started(make(), rows, d)
            _warm(learners[name], rows, 10 * POOL, allowed)
        options.say(f"one row: {at(d, k)}")
        for method in (LEARNED, ASKED):
            yield from _steady(method, learners, rows, d, k, options)
        if not options.quick:
            options.say(f"one row: {at(d, k)}, from the first row on")
            yield from _first(rows, d, k, options)


def _started(learner: Any, rows: list[dict], d: int) -> Any:
    """One of ours, past its start, which is made in one go: what is measured here comes after."""
    spec = learner.model.spec
    n = spec.start_rows(d)
    x = np.array([list(row.values()) for row in islice(cycle(rows), n)])
    model, _ = learn(Model.new(replace(spec, batch_size=n), d), Rows.of(x))
    settled = to_state(replace(model, spec=spec))
    learner.__setstate__({**learner.__getstate__(), "_model": settled, "_features": tuple(rows[0])})
    return learner


def _warm(learner: Any, rows: list[dict], count: int, most: float) -> None:
    """Learns rows until `count` are in or the time is up."""
    taken = 0.0
    feed = cycle(rows)
    for _ in range(0, count, 64):
        part = list(islice(feed, 64))
        taken += seconds(lambda part=part: [learner.learn_one(row) for row in part])
        if taken > most:
            return


def _steady(
    method: str, learners: dict[str, Any], rows: list[dict], d: int, k: int, options: Options
) -> Iterator[Record]:
    budget = 0.02 if options.quick else 0.15
    counts = {name: _affordable(getattr(learner, method), rows, budget) for name, learner in learners.items()}
    sides = {name: _calls(getattr(learner, method), rows, counts[name]) for name, learner in learners.items()}
    taken = {
        name: [1e6 * value / counts[name] for value in values]
        for name, values in alternate(sides, options.repetitions).items()
    }
    yield from _records(method, taken, d, k, options)


def _first(rows: list[dict], d: int, k: int, options: Options) -> Iterator[Record]:
    """A new learner each time, from its first row on."""
    feed = list(islice(cycle(rows), FIRST_ROWS))
    makers = {**_ours(k), BASE: _peers(k)[BASE]}
    sides = {name: lambda make=make: _all(make().learn_one, feed) for name, make in makers.items()}
    repetitions = min(options.repetitions, 5)
    taken = {
        name: [1e6 * value / FIRST_ROWS for value in values]
        for name, values in alternate(sides, repetitions, beforehand=False).items()
    }
    yield from _records(FIRST, taken, d, k, options, f"the first {FIRST_ROWS:,} rows of a new learner")


def _records(
    method: str, taken: dict[str, list[float]], d: int, k: int, options: Options, note: str = ""
) -> Iterator[Record]:
    """Microseconds a row of each of ours, beside those of each peer."""
    for name in _ours(k):
        micros = median(taken[name])
        width = {"KMeans": d, "GaussianMixture diag": 1 + 2 * d}.get(name, 1 + d + d * (d + 1) // 2)
        operations = (4.0 if method == LEARNED else 2.0) * k * width
        for peer in _beside(method, name):
            least = LEAST_FULL if name.endswith("full") else LEAST[d]
            yield Record(
                Name(GROUP, f"{method}, {name}", peer, at(d, k)),
                micros,
                "us/row",
                median(taken[peer]),
                ratio(taken[peer], taken[name]),
                share=None if method == FIRST else options.limits[ONE].share(operations, 1e-6 * micros),
                target=Target("ratio", ">=", least) if method == LEARNED and peer == BASE else None,
                note=note,
            )


def _all(call: Callable[[dict], object], rows: list[dict]) -> None:
    for row in rows:
        call(row)


def _calls(call: Callable[[dict], object], rows: list[dict], count: int) -> Callable[[], None]:
    """A call that makes `count` calls; the next one goes on where it ended."""
    feed = cycle([list(part) for part in zip(*[iter(rows)] * 8, strict=True)])

    def work() -> None:
        for part in islice(feed, count // 8):
            for row in part:
                call(row)

    return work


def _affordable(call: Callable[[dict], object], rows: list[dict], budget: float) -> int:
    """Rows, a power of two, for about so many seconds: a learner may do its work every tenth row only."""
    count = 16
    while count < MOST_CALLS and seconds(_calls(call, rows, count)) < budget / 2:
        count *= 2
    return count
