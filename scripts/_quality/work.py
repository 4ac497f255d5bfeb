"""Who does the work: this process, or two others beside each other where nothing is timed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from threadpoolctl import threadpool_limits

from stream_mix.mixture.kernels.threads import limit


@dataclass(frozen=True)
class Crew:
    """Does tasks, in other processes if there are any, and says which one is being waited for."""

    executor: Executor | None
    say: Callable[[str], None]

    def each(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
        """What `function` comes to for each task, its arguments, in their order."""
        if self.executor is None:
            for task in tasks:
                self._say(function, task)
                yield alone(function, task)
            return
        waiting = [self.executor.submit(alone, function, task) for task in tasks]
        for task, future in zip(tasks, waiting, strict=True):
            self._say(function, task)
            yield future.result()

    def _say(self, function: Callable[..., Any], task: tuple[Any, ...]) -> None:
        words = " ".join(str(argument) for argument in task if isinstance(argument, str | int))
        self.say(f"{function.__module__.rpartition('.')[2]}: {words}")


def alone(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    """One task in one thread: two processes with as many threads each would only get in the way."""
    with threadpool_limits(limits=1), limit(1):
        return function(*task)


@contextmanager
def crew(jobs: int, say: Callable[[str], None]) -> Iterator[Crew]:
    """So many processes; with one job all is done in this process."""
    if jobs == 1:
        yield Crew(None, say)
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for those that are spawned
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as executor:
        try:
            yield Crew(executor, say)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
