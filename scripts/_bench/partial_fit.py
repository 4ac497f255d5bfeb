"""scikit-learn's `partial_fit`: ours beside MiniBatchKMeans, in calls of 1024 rows.

Theirs labels the rows in every call, unless it is told not to; ours when its labels are read. So that both do
the same work ours are read after every call, and there are rows in which neither labels anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from stream_mix.sklearn import KMeans

from . import machine
from .em_pass import overlapping
from .record import ALL, ONE, SHAPES, Name, Options, Record, Target, at
from .timing import alternate, ratio

GROUP = "partial-fit"
PEER = "sklearn MiniBatchKMeans"
BATCH = 1024
CALLS, QUICK_CALLS = 32, 8
"""In one repetition. After so many rows a start is settled."""
LEAST = {2: 20.0, 8: 20.0, 32: 8.0}


@dataclass(frozen=True)
class Case:
    """A workload."""

    d: int
    k: int
    cores: str = ALL
    dtype: str = "float64"
    labels: bool = True

    @property
    def judged(self) -> bool:
        """The plain case; the others are shown beside it."""
        return self.cores == ALL and self.dtype == "float64" and self.labels

    @property
    def name(self) -> Name:
        """The row of the table."""
        rows = "" if self.dtype == "float64" else f" {self.dtype}"
        told = "with labels" if self.labels else "no labels"
        work = f"partial_fit({BATCH}{rows} rows), KMeans, {told}, {self.cores}"
        return Name(GROUP, work, PEER, at(self.d, self.k))


CASES = (
    *(Case(d, k, cores) for cores in (ALL, ONE) for d, k in SHAPES),
    *(Case(d, k, dtype="float32") for d, k in SHAPES),
    *(Case(d, k, cores, labels=False) for cores in (ALL, ONE) for d, k in SHAPES),
)


def names() -> list[Name]:
    """Every row of this group."""
    return [case.name for case in CASES]


def records(options: Options) -> Iterator[Record]:
    """Each shape, both sides past their start, which is not what is measured."""
    for d, k in SHAPES:
        options.say(f"partial_fit, {at(d, k)}, start")
        x = overlapping(d, k, CALLS * BATCH)
        ours = KMeans(n_clusters=k, random_state=0, batch_size=BATCH)
        _pass(ours, x)
        x = x[: QUICK_CALLS * BATCH] if options.quick else x
        for case in (case for case in CASES if (case.d, case.k) == (d, k)):
            options.say(f"{case.name.work}, {at(d, k)}")
            with machine.threads(machine.counts()[case.cores]):
                yield _record(case, ours, x.astype(case.dtype), options)


def _record(case: Case, ours: KMeans, x: np.ndarray, options: Options) -> Record:
    d, k = case.d, case.k
    # Theirs keeps its first call's number of threads and type of numbers.
    theirs = MiniBatchKMeans(n_clusters=k, random_state=0, batch_size=BATCH, compute_labels=case.labels)
    _pass(theirs, x)
    taken = alternate(
        {"theirs": partial(_pass, theirs, x), "ours": partial(_pass, ours, x, case.labels)},
        options.repetitions,
    )
    seconds, limits = median(taken["ours"]), options.limits[case.cores]
    return Record(
        case.name,
        len(x) / seconds,
        "rows/s",
        len(x) / median(taken["theirs"]),
        ratio(taken["theirs"], taken["ours"]),
        # Distances to learn, and once more for the labels under the centres after it.
        share=limits.share((4.0 if case.labels else 2.0) * len(x) * k * d, seconds),
        traffic=limits.traffic(x.nbytes, seconds),
        target=Target("ratio", ">=", LEAST[d]) if case.judged else None,
    )


def _pass(learner: Any, x: np.ndarray, labels: bool = False) -> None:
    """Learns all of x, and reads the labels of each part where they are wanted."""
    for start in range(0, len(x), BATCH):
        learner.partial_fit(x[start : start + BATCH])
        if labels:
            assert len(learner.labels_) == BATCH
