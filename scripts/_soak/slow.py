"""Promise 8: a slow or stopped subscriber hurts nobody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import numpy as np

from stream_mix.client import Producer, Query
from stream_mix.protocol import encode_points

from .promise import Figures, Promise, Trial, at_least, at_most
from .running import Running, child, engine, until

LISTENERS, STOPPED = 20, 3
ROWS, D = 256, 4
ROUND_SECONDS = 2.0
RATE = 100.0
"""Frames a second: so few that twenty listeners share the cores with the engine."""
BURST, TIMES = 200, 3
"""Frames whose time is taken, and how often."""
HURT, HURT_AT_ONCE = 1.05, 3.0
"""What ingest may take of its time: at the least of several rounds, and in a single one."""
MODEL = '[[models]]\nname = "m"\nfamily = "diag"\nn_components = 8\n'


class Ears:
    """A listener in a process of its own, and how far it has heard."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.offset, self.missed = process, -1, 0
        self.stopped = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.offset, self.missed = map(int, line.split())

    def stop(self) -> None:
        """As if its machine stood still."""
        self.stopped = True
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """As if nothing had been."""
        self.stopped = False
        os.kill(self.process.pid, signal.SIGCONT)


def _paced(producer: Producer, query: Query, frame: bytes, seconds: float) -> None:
    """Frames at a pace that everybody keeps up with, for a while."""
    begun, sent = time.monotonic(), 0
    pause = threading.Event()
    while (due := begun + sent / RATE) < begun + seconds:
        pause.wait(max(0.0, due - time.monotonic()))
        producer.send_raw(frame)
        sent += 1
    want = producer.rows_sent = producer.rows_sent + sent * ROWS
    until(lambda: query.health().offset >= want, "the engine has taken all")


def _full(producer: Producer, query: Query, frame: bytes, frames: int) -> float:
    """Seconds that the engine takes for so many frames, sent as fast as it takes them."""
    begun = time.monotonic()
    for _ in range(frames):
        producer.send_raw(frame)
    want = producer.rows_sent = producer.rows_sent + frames * ROWS
    until(lambda: query.health().offset >= want, "the engine has taken all")
    return time.monotonic() - begun


def _trial(trial: Trial, running: Running, ears: list[Ears]) -> Figures:
    rng = np.random.default_rng(trial.seed)
    frame = encode_points(rng.normal(size=(ROWS, D)) + 9.0 * rng.integers(0, 3, (ROWS, 1)))
    ends = running.endpoints
    with Producer(ends["push"], timeout=60.0) as producer, Query(ends["query"], timeout=30.0) as query:
        _paced(producer, query, frame, ROUND_SECONDS)
        until(lambda: all(ear.offset >= ROWS for ear in ears), "all twenty listen")
        ratios, seconds = [], 0.0
        away = ears[:STOPPED]
        begun = time.monotonic()
        while seconds < trial.size:
            # In turn, and the least of each: other programs only ever add to either.
            free = min(_full(producer, query, frame, BURST) for _ in range(TIMES))
            for ear in away:
                ear.stop()
            _paced(producer, query, frame, max(1.0, min(trial.size, 30.0) - 1.0))
            held = min(_full(producer, query, frame, BURST) for _ in range(TIMES))
            ratios.append(held / free)
            grown = running.memory
            at, back = query.health().offset, time.monotonic()
            for ear in away:
                ear.go_on()
            until(lambda at=at: all(ear.offset >= at for ear in away), "the stopped ones catch up")
            caught = time.monotonic() - back
            seconds = time.monotonic() - begun
            trial.say(f"{seconds:.0f} s: {ratios[-1]:.2f} of ingest's time, caught up in {caught:.2f} s")
        metrics = running.metrics()
        until(lambda: all(ear.offset >= at for ear in ears), "all others heard it, too")
    return {
        "seconds": seconds, "rounds": len(ratios), "listeners": len(ears), "stopped": len(away),
        "ingest_ratio": min(ratios),
        "catch_up_seconds": caught, "memory_mb": grown, "published": metrics["stream_mix_published_total"],
        "others_missed_rows": sum(ear.missed for ear in ears[STOPPED:]),
    }  # fmt: skip


def trial(trial: Trial) -> Figures:
    """Twenty subscribers, three of which stand still for a while; what that costs those who send."""
    with engine(trial.folder, MODEL) as running, ExitStack() as stack:
        ends = running.endpoints
        command = [sys.executable, "-m", "_soak.listener", ends["publish"], ends["query"]]
        ears = [Ears(stack.enter_context(child(command, trial.folder))) for _ in range(LISTENERS)]
        return _trial(trial, running, ears)


def broken(figures: Figures) -> list[str]:
    """What was not kept."""
    hurt = HURT if figures["rounds"] > 2 else HURT_AT_ONCE
    most = {"ingest_ratio": hurt, "catch_up_seconds": 2.0, "memory_mb": 1024.0}
    return at_most(figures, most) + at_least(figures, {"listeners": LISTENERS, "published": 1})


PROMISE = Promise(8, "slow", "a slow subscriber hurts nobody", "seconds", 120, 5, trial, broken)
