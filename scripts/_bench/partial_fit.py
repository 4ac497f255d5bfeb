"""scikit-learn's `partial_fit`: ours beside MiniBatchKMeans, in batches of 1024."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from stream_mix.sklearn import KMeans

from . import machine
from .em_pass import overlapping
from .record import Options, Record
from .timing import alternate, ratio

GROUP = "partial-fit"
BATCH = 1024
SHAPES = ((2, 5), (8, 16), (32, 64))


def records(options: Options) -> Iterator[Record]:
    """Each shape, both past their start, which is not what is measured; one thread, and all cores."""
    for count in [1] if options.quick else sorted({1, machine.cores()}):
        with machine.threads(count):
            yield from _shapes(options, count)


def _shapes(options: Options, count: int) -> Iterator[Record]:
    for d, k in SHAPES:
        options.say(f"partial_fit: D={d} K={k}, {machine.counted(count)}")
        x = overlapping(d, k, 16 * BATCH)
        ours = KMeans(n_clusters=k, random_state=0, batch_size=BATCH)
        theirs = MiniBatchKMeans(n_clusters=k, random_state=0, batch_size=BATCH)
        taken = alternate({"theirs": _passes(theirs, x), "ours": _passes(ours, x)}, options.repetitions)
        yield Record(
            GROUP,
            f"partial_fit({BATCH}), KMeans, D={d} K={k}, {machine.counted(count)}",
            len(x) / median(taken["ours"]),
            "rows/s",
            "sklearn MiniBatchKMeans",
            len(x) / median(taken["theirs"]),
            ratio(taken["theirs"], taken["ours"]),
        )


def _passes(learner: Any, x: np.ndarray) -> Callable[[], None]:
    def work() -> None:
        for start in range(0, len(x), BATCH):
            learner.partial_fit(x[start : start + BATCH])

    work()  # past the start
    return work
