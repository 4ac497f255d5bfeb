"""What the trials of acknowledged ingest share: an engine in a process of its own, rows that can be told
apart, and what its journal holds of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stream_mix.config import Settings, load
from stream_mix.engine import Done, EngineState, new, state_hash
from stream_mix.ports.folding import folded, plan_of, recover
from stream_mix.ports.journal import JournalFrame, JournalReader
from stream_mix.protocol import decode_frame

from .promise import BrokenError

PATIENCE = 60.0
"""Seconds after which what does not come about counts as broken."""
POOL = 4096
"""Different rows; each also carries its number, as its event time."""
CONFIG = """
[ingest]
push = ""
acked = "{to}"
[publish]
bind = ""
[query]
bind = ""
[metrics]
bind = ""
[journal]
path = "{journal}"
checkpoint_every_rows = {every}
record_outputs = false
[[models]]
name = "mixture"
family = "diag"
n_components = 4
"""


def free() -> str:
    """An endpoint that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{taken.getsockname()[1]}"


class Rows:
    """Row i is always the same; `at` is its event time, by which it is found again."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        centres = rng.normal(0.0, 10.0, (4, 8))
        self._pool = centres[rng.integers(0, 4, POOL)] + rng.normal(size=(POOL, 8))

    def block(self, first: int, n: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """(x, t) of n rows from `first` on."""
        at = np.arange(first, first + n)
        return self._pool[at % POOL], at.astype(np.float64)


@dataclass
class Engine:
    """An engine that is started, killed and stopped again and again, always at the same endpoint."""

    folder: Path
    every: int = 50_000
    to: str = field(default_factory=free)
    process: subprocess.Popen[str] | None = None
    begun: float = 0.0

    def __post_init__(self) -> None:
        self.journal = self.folder / "soak.journal"
        self.config = self.folder / "soak.toml"
        self.config.write_text(CONFIG.format(to=self.to, journal=self.journal, every=self.every))

    @property
    def settings(self) -> Settings:
        return load(self.config, {})

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it, and do not wait for it."""
        command = [sys.executable, "-m", "stream_mix.workers.engine", str(self.config)]
        environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self.begun = time.monotonic()
        with (self.folder / "engine.log").open("a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, text=True, env=environ)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> tuple[int, float]:
        """SIGTERM: its exit code, and the seconds that it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.terminate()
        return self.process.wait(PATIENCE), time.monotonic() - begun

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()


def until(true: Callable[[], object], what: str) -> None:
    """Call until it is true. Raises BrokenError when that does not come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise BrokenError(f"{what}: not within {PATIENCE:g} s")


@dataclass
class Reckoning:
    """A clean replay of a journal that goes on as the journal grows, and what was found wrong on the way."""

    engine: Engine
    rows: Rows
    state: EngineState = field(init=False)
    done: dict[str, Done] = field(default_factory=dict)
    twice: int = 0
    missing: int = 0
    other: int = 0

    def __post_init__(self) -> None:
        self.state = new(plan_of(self.engine.settings))

    def go_on(self) -> int:
        """Read and fold what is new; the rows in the journal."""
        with JournalReader.open(self.engine.journal) as reader:
            if reader.end().rows > self.state.offset:
                for group in _groups(reader.frames(self.state.offset)):
                    self._look(group)
                    self.state, _ = folded(self.state, group, str(self.engine.journal))
            self.done = reader.sources()
        return self.state.offset

    def unequal(self) -> int:
        """1 where recovery leads elsewhere than the clean replay: another state, or other marks, or sources
        that are elsewhere than their frames."""
        found = recover(str(self.engine.journal), plan_of(self.engine.settings)).state
        last = {name: Done(mark.seq) for name, mark in self.state.marks.items()}
        equal = (
            state_hash(found) == state_hash(self.state)
            and dict(found.marks) == dict(self.state.marks)
            and self.done == last
        )
        return int(not equal)

    def _look(self, group: list[JournalFrame]) -> None:
        """Whether each frame holds the rows that come next, each once."""
        for frame in group:
            rows = decode_frame(frame.raw)
            expected, at = self.rows.block(frame.offset, frame.n)
            if rows.t is None or not np.array_equal(rows.t, at):
                t = at if rows.t is None else rows.t
                self.twice += int((t < at).sum())
                self.missing += int((t > at).sum())
            elif not np.array_equal(rows.x, expected):
                self.other += frame.n


def _groups(frames: Iterator[JournalFrame], size: int = 256) -> Iterator[list[JournalFrame]]:
    group: list[JournalFrame] = []
    for frame in frames:
        group.append(frame)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
