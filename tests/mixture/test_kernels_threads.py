"""Threads that wait for work: as many callers and processes as there are, the same bits for all."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from stream_mix.mixture.arrays import Array
from stream_mix.mixture.kernels import Kernels, Natural, available, named, threads

pytestmark = pytest.mark.skipif(len(available()) < 2, reason="the reference has no threads of its own")
ROWS, K, D = 20_000, 16, 12
"""Enough that more than one thread is worth while."""


def problem() -> tuple[Kernels, Array, Natural]:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(K, D))
    natural = Natural.of("diag", np.full(K, -np.log(K)), means, np.ones((K, D)))
    return named(available()[0]), 2.0 * rng.normal(size=(ROWS, D)), natural


def bits() -> bytes:
    kernels, x, natural = problem()
    sums = kernels.accumulate(x, None, natural)
    assert sums is not None
    return b"".join(part.tobytes() for part in (sums.mass, sums.first, sums.second, sums.log_density))


def bits_of(count: int) -> bytes:
    with threads.limit(count):
        return bits()


def test_any_number_of_threads_gives_the_same_bits() -> None:
    alone = bits_of(1)
    assert all(bits_of(count) == alone for count in (2, 3, 8, 2, 64))


def test_callers_share_the_threads() -> None:
    expected = bits_of(1)
    with threads.limit(3), ThreadPoolExecutor(4) as callers:
        assert {call.result() for call in [callers.submit(bits) for _ in range(40)]} == {expected}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_gets_threads_of_its_own() -> None:
    before = bits_of(2)
    child = os.fork()
    if not child:
        os._exit(0 if bits_of(2) == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert bits_of(2) == before


@pytest.mark.skipif(sys.platform != "linux", reason="only there a process tells of its threads in files")
def test_signals_are_left_to_the_threads_of_python() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    bits_of(4)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    blocked = [
        int(line.split()[1], 16)
        for status in Path("/proc/self/task").glob("*/status")
        for line in status.read_text().splitlines()
        if line.startswith("SigBlk:")
    ]
    # A fault is its own thread's: blocked, it would end the process unseen by any handler.
    faults = sum(bit(fault) for fault in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL))
    assert sum(bool(mask & bit(signal.SIGTERM)) and not mask & faults for mask in blocked) >= 3


def bit(number: signal.Signals) -> int:
    """Of a signal, in a mask."""
    return 1 << (number - 1)
