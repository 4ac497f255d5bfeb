"""Three real processes on loopback: producer, engine, consumer; and what was measured between them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import machine

D, K = 8, 16
PATIENCE = 120.0
"""Seconds after which a process that says nothing is given up."""

CONFIG = """
[ingest]
push = "tcp://127.0.0.1:0"
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
[[models]]
name = "mixture"
family = "diag"
n_components = {k}
"""


class PipelineError(RuntimeError):
    """A process of the pipeline ended early or said nothing; one line."""


@dataclass(frozen=True, eq=False)
class Run:
    """One measured run: rows that came back, frames lost, seconds from the first send to the last receipt,
    the latency of each frame that came back (s), and the engine's memory (MiB) at each tenth of that time."""

    rows: int
    lost: int
    seconds: float
    latency: np.ndarray
    memory: list[float]


def run(folder: Path, *, n: int, count: int, warm: int, rate: float = 0.0, durability: str | None) -> Run:
    """Sends `warm` frames of n rows until the model stands, then `count` more, which are measured."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        engine, endpoints = stack.enter_context(_engine(folder, durability))
        shape = {"n": n, "d": D, "k": K, "warm": warm, "count": count, "rate": rate}
        consumer = stack.enter_context(
            _process("consumer", {**shape, "endpoint": endpoints["publish"], "out": str(folder / "got.npy")})
        )
        _line(consumer, "ready")
        producer = stack.enter_context(
            _process("producer", {**shape, "endpoint": endpoints["push"], "out": str(folder / "sent.npy")})
        )
        _line(producer, "warm")
        _line(consumer, "warm")
        assert producer.stdin is not None
        producer.stdin.write("go\n")
        producer.stdin.flush()
        sizes = _watched(engine.pid, consumer)
        came, went = json.loads(_line(consumer)), json.loads(_line(producer))
    got, sent = np.load(folder / "got.npy"), np.load(folder / "sent.npy")
    back = ~np.isnan(got)
    if not back.any():
        raise PipelineError("no assignment came back")
    tenths = np.linspace(0, len(sizes) - 1, 11).round().astype(int)[1:]
    return Run(
        came["rows"],
        int((~back).sum()),
        came["last"] - went["start"],
        (got - sent)[back],
        [sizes[i] for i in tenths],
    )


def _watched(pid: int, consumer: subprocess.Popen[str]) -> list[float]:
    """The engine's memory in MiB, ten times a second, until the consumer has said all."""
    import select

    sizes = [machine.resident(pid) / 2**20]
    while not select.select([consumer.stdout], [], [], 0.1)[0]:
        sizes.append(machine.resident(pid) / 2**20)
    return sizes


@contextmanager
def _engine(folder: Path, durability: str | None) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    config = folder / "bench.toml"
    journal = str(folder / "bench.journal") if durability else ""
    config.write_text(CONFIG.format(journal=journal, durability=durability or "off", k=K))
    with _running(
        [sys.executable, "-m", "stream_mix.workers.engine", str(config)], folder / "engine.log"
    ) as process:
        line = _line(process)
        yield process, dict(re.findall(r"(push|publish) (tcp://[^\s,]+)", line))


def _process(name: str, arguments: dict[str, Any]) -> Any:
    command = [sys.executable, "-m", f"_bench.{name}", json.dumps(arguments)]
    return _running(command, Path(arguments["out"]).with_suffix(".log"))


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
    import select

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
