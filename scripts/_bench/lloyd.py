"""One pass of k-means over rows in memory, beside one iteration of faiss where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from statistics import median

import numpy as np

from stream_mix.mixture import FAMILIES, MAXIMUM_LIKELIHOOD, Basis, Parameters, estimate
from stream_mix.mixture.em import sweep

from . import machine
from .em_pass import ROWS, overlapping
from .record import ALL, SHAPES, Name, Options, Record, at
from .timing import alternate, ratio

GROUP = "k-means"
PEER = "faiss Kmeans, one iteration"
DTYPES = ("float32", "float64")
"""Of the rows; faiss computes in float32 and always gets such rows."""


def _name(dtype: str, d: int, k: int) -> Name:
    return Name(GROUP, f"one k-means pass, {dtype} rows, {ALL}", PEER, at(d, k))


def names() -> list[Name]:
    """Every row of this group."""
    return [_name(dtype, d, k) for dtype in DTYPES for d, k in SHAPES]


def records(options: Options) -> Iterator[Record]:
    """Each shape, from the same centres."""
    for dtype in DTYPES:
        for d, k in SHAPES:
            options.say(f"one k-means pass, {at(d, k)}")
            with machine.threads(machine.cores()):
                yield _record(dtype, d, k, options)


def _record(dtype: str, d: int, k: int, options: Options) -> Record:
    n = ROWS[d] // (8 if options.quick else 1)
    x = overlapping(d, k, n).astype(dtype)
    centres = x[:: n // k][:k].astype(np.float64)
    basis, known = Basis(np.zeros(d), np.ones(d)), np.ones((k, d))

    def ours() -> Parameters:
        before = Parameters(FAMILIES["kmeans"], np.full(k, 1.0 / k), centres, np.ones(k))
        moments, _ = sweep(before, x, None, basis, known, hard=True)
        return estimate(before.family, moments, MAXIMUM_LIKELIHOOD)

    theirs = _faiss(x, centres)
    sides: dict[str, Callable[[], object]] = {"ours": ours}
    if theirs is not None:
        sides["theirs"] = theirs
        found = theirs()
        worst = float(np.abs(found - ours().means).max())
        if worst > 0.05:
            raise AssertionError(f"one k-means pass: centres differ from faiss's by {worst:.1e}")
    taken = alternate(sides, options.repetitions)
    seconds, limits = median(taken["ours"]), options.limits[ALL]
    beside = taken.get("theirs")
    return Record(
        _name(dtype, d, k),
        n / seconds,
        "rows/s",
        n / median(beside) if beside else None,
        ratio(beside, taken["ours"]) if beside else None,
        share=limits.share(2.0 * n * k * d, seconds),
        traffic=limits.traffic(x.nbytes, seconds),
        note=f"{n:,} rows" if beside else f"{n:,} rows; faiss-cpu is not installed",
    )


def _faiss(x: np.ndarray, centres: np.ndarray) -> Callable[[], np.ndarray] | None:
    """A call that does one iteration from these centres and returns the next; None without faiss."""
    if find_spec("faiss") is None:
        return None
    import faiss

    rows, first = x.astype(np.float32), centres.astype(np.float32)
    kmeans = faiss.Kmeans(
        x.shape[1], len(centres), niter=1, max_points_per_centroid=len(x), min_points_per_centroid=1
    )
    faiss.omp_set_num_threads(machine.cores())

    def work() -> np.ndarray:
        kmeans.train(rows, init_centroids=first)
        return kmeans.centroids

    return work
