"""What the machine can do, measured in the same run, and how it is set up."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

import numpy as np
import river
import sklearn
from threadpoolctl import threadpool_limits

from stream_mix.mixture import kernels
from stream_mix.mixture.kernels.threads import limit

from .record import ALL, ONE, Limits
from .timing import seconds

SIZE = 1024
"""Rows and columns of the matrices whose product is timed."""
OPERATIONS = 2.0 * SIZE**3


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def counts() -> dict[str, int]:
    """Number of threads behind each word for it."""
    return {ONE: 1, ALL: cores()}


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Our kernels, matrix products and the peers' loops use so many threads inside the context."""
    with threadpool_limits(limits=count), limit(count):
        yield


def limits(repetitions: int = 5) -> dict[str, Limits]:
    """What one thread and what all cores can do."""
    found = {}
    for word, count in counts().items():
        with threads(count):
            found[word] = Limits(count, matrix_rate(repetitions), bandwidth(count, repetitions=repetitions))
    return found


def matrix_product() -> Callable[[], object]:
    """A call that multiplies two matrices, `OPERATIONS` in all."""
    rng = np.random.default_rng(0)
    a, b, out = rng.random((SIZE, SIZE)), rng.random((SIZE, SIZE)), np.empty((SIZE, SIZE))
    return lambda: np.matmul(a, b, out=out)


def matrix_rate(repetitions: int = 5) -> float:
    """GFLOP/s of a float64 matrix product."""
    product = matrix_product()
    product()
    return OPERATIONS / median(seconds(product) for _ in range(repetitions)) / 1e9


def bandwidth(count: int, numbers: int = 1 << 24, repetitions: int = 5) -> float:
    """GB/s that so many threads read and write while they copy an array larger than any cache."""
    source, target = np.ones(numbers), np.zeros(numbers)
    parts = list(zip(np.array_split(target, count), np.array_split(source, count), strict=True))
    with ThreadPoolExecutor(count) as pool:
        taken = [
            seconds(lambda: list(pool.map(lambda part: np.copyto(*part), parts))) for _ in range(repetitions)
        ]
    return 16.0 * numbers / median(taken) / 1e9


def resident(pid: int | None = None) -> int:
    """Bytes of memory that a process holds now."""
    pid = pid or os.getpid()
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except FileNotFoundError:
        return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) * 1024


def spent(pid: int) -> float | None:
    """Seconds of processor time that a process has had, in steps of a hundredth; None where the system does
    not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load() -> float | None:
    """Processes that wanted to run over the last minute, on average, ours among them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def described() -> str:
    """Processor, cores, Python, libraries and kernels, in one line."""
    return (
        f"{processor()}, {cores()} core{'s' * (cores() != 1)}, Python {platform.python_version()},"
        f" NumPy {np.__version__}, scikit-learn {sklearn.__version__}, River {river.__version__},"
        f" kernels {kernels.IMPLEMENTATION}"
    )


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except FileNotFoundError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
