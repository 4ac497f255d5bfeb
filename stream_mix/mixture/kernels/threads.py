"""How many threads a kernel may use: all cores, unless STREAM_MIX_THREADS or `limit` says otherwise.

No result depends on it: rows are cut into groups by their number alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def _wanted() -> int:
    said = os.environ.get("STREAM_MIX_THREADS", "")
    if not said:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not said.isdecimal() or int(said) < 1:
        raise ValueError(f"STREAM_MIX_THREADS is {said!r}, expected an integer >= 1")
    return int(said)


_count = _wanted()


def count() -> int:
    """The number of threads in force."""
    return _count


@contextmanager
def limit(threads: int) -> Iterator[None]:
    """So many threads inside the context, for all of the process.

    >>> with limit(1):
    ...     count()
    1
    """
    global _count
    if threads < 1:
        raise ValueError(f"threads: limit is {threads}, expected an integer >= 1")
    before, _count = _count, threads
    try:
        yield
    finally:
        _count = before
