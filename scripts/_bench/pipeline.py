"""Real processes on loopback: a producer, something in between, a consumer; and rounds that are measured."""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stream_mix.keys import new_client

from . import machine

D, K = 8, 16
PATIENCE = 120.0
"""Seconds after which a process that says nothing is given up."""
ENGINE = "engine"
"""What may stand in between; else one of those of `between`, by name."""

CONFIG = """
[ingest]
push = "tcp://127.0.0.1:0"
acked = "tcp://127.0.0.1:0"
[publish]
bind = "tcp://127.0.0.1:0"
heartbeat_seconds = 0.2
high_water_mark = 100000
[query]
bind = ""
[metrics]
bind = ""
[journal]
path = "{journal}"
durability = "{durability}"
[security]
server_key = "{server_key}"
[[models]]
name = "mixture"
family = "diag"
n_components = {k}
"""
PEERS_NAME = "bench"
"""The name of the key, where keys are asked for: it may send as the source of this name."""


class PipelineError(RuntimeError):
    """A process of the pipeline ended early or said nothing; one line."""


@dataclass(frozen=True)
class Load:
    """What is sent: `warm` frames of n rows until the model stands, then rounds of `count` more, which are
    measured; rate in frames/s, 0 = as fast as it goes."""

    n: int
    count: int
    warm: int
    rounds: int = 1
    rate: float = 0.0


@dataclass(eq=False)
class Stream:
    """Processes that stand ready. Each `round` returns rows/s from the first send to the last receipt."""

    load: Load
    folder: Path
    producer: subprocess.Popen[str]
    consumer: subprocess.Popen[str]
    watched: int
    between: str
    memory: list[float] = field(default_factory=list)
    rows: int = 0
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def processes(self) -> dict[str, int]:
        """Their ids by what they do; one that only reads is the consumer too."""
        found = {"producer": self.producer.pid, self.between: self.watched}
        return found if self.consumer.pid == self.watched else {**found, "consumer": self.consumer.pid}

    def round(self) -> float:
        """One round. Raises PipelineError where nothing comes back."""
        assert self.producer.stdin is not None
        before = {name: machine.spent(pid) for name, pid in self.processes.items()}
        self.producer.stdin.write("go\n")
        self.producer.stdin.flush()
        self._watch()
        came, went = json.loads(_line(self.consumer)), json.loads(_line(self.producer))
        if not came["rows"]:
            raise PipelineError("no assignment came back")
        self.rows += came["rows"]
        came["last"] = max(came["last"], went["safe"] or 0.0)
        for name, pid in self.processes.items():
            if (then := before[name]) is not None and (now := machine.spent(pid)) is not None:
                self.spent[name] = self.spent.get(name, 0.0) + now - then
        return float(came["rows"] / (came["last"] - went["start"]))

    @property
    def shares(self) -> str:
        """How many processes there are, and how many microseconds of a core each frame took of each."""
        frames = self.rows / self.load.n
        each = ", ".join(f"{name} {1e6 * spent / frames:.0f}" for name, spent in self.spent.items())
        return f"{len(self.processes)} processes" + (f" ({each} us a frame)" if each else "")

    @property
    def lost(self) -> int:
        """Rows of the rounds so far that did not come back, if all rounds are through."""
        return self.load.rounds * self.load.count * self.load.n - self.rows

    def latency(self) -> np.ndarray:
        """Seconds from send to receipt of each frame that came back."""
        got, sent = np.load(self.folder / "got.npy"), np.load(self.folder / "sent.npy")
        return (got - sent)[~np.isnan(got)]

    def _watch(self) -> None:
        """Memory (MiB) of what is in between, ten times a second, until the consumer has said all."""
        while not select.select([self.consumer.stdout], [], [], 0.1)[0]:
            self.memory.append(machine.resident(self.watched) / 2**20)
        self.memory.append(machine.resident(self.watched) / 2**20)


@contextmanager
def stream(
    folder: Path,
    load: Load,
    between: str = ENGINE,
    durability: str | None = None,
    acked: bool = False,
    keys: bool = False,
) -> Iterator[Stream]:
    """The processes, past the model's start, ended with the block; a round with acks ends with the last.

    With `keys` the engine lets in only who has one, and all that is said is encrypted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    secret = str(new_client(folder / "keys", PEERS_NAME)[0]) if keys else None
    a: dict[str, Any] = {**vars(load), "d": D, "k": K, "acked": acked, "keys": secret}
    with ExitStack() as stack:
        if between == ENGINE:
            middle, line = stack.enter_context(_engine(folder, durability, keys))
        else:
            middle = stack.enter_context(_process("between", folder, {**a, "how": between}))
            line = _line(middle)
        endpoints = dict(re.findall(r"(push|acked|publish) (tcp://[^\s,]+)", line))
        consumer = middle
        if "publish" in endpoints:
            b = {**a, "endpoint": endpoints["publish"], "out": str(folder / "got.npy")}
            consumer = stack.enter_context(_process("consumer", folder, b))
            _line(consumer, "ready")
        c = {**a, "endpoint": endpoints["acked" if acked else "push"], "out": str(folder / "sent.npy")}
        producer = stack.enter_context(_process("producer", folder, c))
        _line(producer, "warm")
        _line(consumer, "warm")
        yield Stream(load, folder, producer, consumer, middle.pid, between)


@contextmanager
def _engine(folder: Path, durability: str | None, keys: bool) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running engine, and the line that names its endpoints."""
    config = folder / "bench.toml"
    journal = str(folder / "bench.journal") if durability else ""
    server_key = str(folder / "keys" / "server.secret") if keys else ""
    config.write_text(
        CONFIG.format(journal=journal, durability=durability or "off", k=K, server_key=server_key)
    )
    command = [sys.executable, "-m", "stream_mix.workers.engine", str(config)]
    with _running(command, folder / "engine.log") as process:
        yield process, _line(process)


def _process(name: str, folder: Path, arguments: dict[str, Any]) -> Any:
    command = [sys.executable, "-m", f"_bench.{name}", json.dumps(arguments)]
    return _running(command, folder / f"{name}.log")


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """A process with pipes, ended with the block: asked first, killed if it does not listen."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1
        )
        process.log = log  # type: ignore[attr-defined]  # for the message when it fails
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def _line(process: subprocess.Popen[str], expected: str | None = None) -> str:
    """The next line of a process's output, or the one that is expected."""
    assert process.stdout is not None
    deadline = time.monotonic() + PATIENCE
    while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
        line = process.stdout.readline()
        if not line:
            break
        if expected is None or line.strip() == expected:
            return line.strip()
    said = process.log.read_text().strip().splitlines()  # type: ignore[attr-defined]  # set in _running
    name = " ".join(process.args[1:3])  # type: ignore[index]  # a list of arguments
    raise PipelineError(
        f"{name}: ended or silent, expected {expected or 'a line'}: {said[-1] if said else 'no message'}"
    )
