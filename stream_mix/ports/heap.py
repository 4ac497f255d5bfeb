"""How the C library treats memory that is given back: a service that takes and gives the same pieces over and
over keeps them."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Numbers of the two options in glibc's malloc.h."""
KEPT_BYTES = 64 << 20
LARGEST_BYTES = 32 << 20
"""The most that glibc allows."""


def keep_memory() -> bool:
    """Keep up to 64 MiB that are free for what comes next, in this whole process; False where the C library
    has no such option.

    Without it every group of frames gets memory from the system anew, page by page: 18 to 26 pages for a
    frame of 1024 x 8, next to none with it.
    """
    try:
        option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(option(_TRIM_THRESHOLD, KEPT_BYTES) and option(_MMAP_THRESHOLD, LARGEST_BYTES))


def give_back() -> bool:
    """Give memory that is free back to the system; False where the C library has no such call."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    return bool(trim(0))
