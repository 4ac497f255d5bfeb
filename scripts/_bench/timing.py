"""Fair times: both sides in turn, in one process, and medians."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

Work = Callable[[], object]


def seconds(work: Work) -> float:
    """How long one call takes, without the garbage collector."""
    gc.disable()
    try:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    finally:
        gc.enable()


_WATCHED = 0.025
"""Seconds: the system adds up what a thread on another core has had only every few milliseconds."""

_SPREAD = 0.05
"""Seconds: some systems keep the threads of a process that has only just woken together on one core, to let
the others rest, until they have been busy for a while."""


def rested(patience: float = 1.0) -> None:
    """Returns once threads of this process that look for work in a loop, as those of a matrix product do for
    a while, have gone to sleep: at most so many seconds later.

    Else one side would have to share its cores with the other's idle threads.
    """
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(_WATCHED)  # nothing is waited for: it is the time over which they are watched
        if time.process_time() - cpu < 0.1 * (time.perf_counter() - wall):
            return


def _warm(work: Work) -> None:
    """Calls it once, and again for as long as a system may take to give its threads a core each."""
    end = time.perf_counter() + _SPREAD
    work()
    while time.perf_counter() < end:
        work()


def alternate(
    sides: Mapping[str, Work], repetitions: int, *, beforehand: bool = True
) -> dict[str, list[float]]:
    """Seconds of each side, in turn, so that what else the machine does meets all of them alike.

    What is timed is a call in a loop of its own side's, as in use: its data in the cache, its threads awake
    and on cores of their own; a side that learns has learned as long as the other, and so more rows if it is
    faster. Without `beforehand` each call counts, the first too. The order is turned round every other time.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for repetition in range(repetitions):
        names = list(sides)
        for name in names if repetition % 2 == 0 else reversed(names):
            rested()
            if beforehand:
                _warm(sides[name])
            taken[name].append(seconds(sides[name]))
    return taken


def ratio(theirs: list[float], ours: list[float]) -> float:
    """How many times faster ours is: the median of the ratios of neighbours in time."""
    return median(a / b for a, b in zip(theirs, ours, strict=True))
