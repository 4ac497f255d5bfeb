"""What the machine can do, measured in the same run, and how it is set up."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import AbstractContextManager
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from .timing import seconds


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(count: int) -> AbstractContextManager[Any]:
    """Matrix products and OpenMP loops, ours and the peers', use so many threads inside the context."""
    return threadpool_limits(limits=count)


def counted(threads: int) -> str:
    """A number of threads in words."""
    return f"{threads} thread{'s' * (threads != 1)}"


def blas_threads() -> int:
    """Threads that a matrix product uses now."""
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def matrix_rate(size: int = 1024, repetitions: int = 5) -> float:
    """GFLOP/s of a float64 matrix product."""
    rng = np.random.default_rng(0)
    a, b = rng.random((size, size)), rng.random((size, size))
    out = np.empty((size, size))
    np.matmul(a, b, out=out)
    return 2.0 * size**3 / median(seconds(lambda: np.matmul(a, b, out=out)) for _ in range(repetitions)) / 1e9


def bandwidth(numbers: int = 1 << 24, repetitions: int = 5) -> float:
    """GB/s that one core reads and writes while it copies an array larger than any cache."""
    source, target = np.ones(numbers), np.empty(numbers)
    np.copyto(target, source)
    return (
        16.0 * numbers / median(seconds(lambda: np.copyto(target, source)) for _ in range(repetitions)) / 1e9
    )


def resident(pid: int | None = None) -> int:
    """Bytes of memory that a process holds now."""
    pid = pid or os.getpid()
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) * 1024


def load() -> float | None:
    """Processes that wanted to run over the last minute, on average, ours among them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def described() -> str:
    """Processor, Python and NumPy, in one line."""
    return f"{processor()}, {cores()} cores, Python {platform.python_version()}, NumPy {np.__version__}"


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
