"""An engine in a process of its own, for trials: what it listens on, what it takes, how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from .promise import BrokenError

PATIENCE = 60.0
SCRIPTS = Path(__file__).resolve().parents[1]
CONFIG = """
[ingest]
push = "tcp://127.0.0.1:*"
acked = ""
[publish]
bind = "tcp://127.0.0.1:*"
heartbeat_seconds = 0.1
snapshot_every_seconds = 0.2
{publish}
[query]
bind = "tcp://127.0.0.1:*"
[metrics]
bind = "127.0.0.1:0"
"""


class Running:
    """A running engine."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        assert process.stdout is not None
        while not self.lines or not self.lines[-1].startswith("journal"):
            line = process.stdout.readline()
            if not line:
                raise BrokenError(f"the engine did not start: {' '.join(self.lines)}")
            self.lines.append(line.strip())
        self.endpoints = dict(re.findall(r"(push|publish|query|metrics) (\S+?)(?:,|$)", self.lines[0]))
        # What it says later is read, so that it never waits for a reader.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.strip() for line in self.process.stdout)

    @property
    def memory(self) -> float:
        """Resident memory in MiB."""
        return psutil.Process(self.process.pid).memory_info().rss / 2**20

    def metrics(self) -> dict[str, float]:
        """All its figures by name and labels, as they are written."""
        with urllib.request.urlopen(self.endpoints["metrics"], timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in (x.rsplit(" ", 1) for x in lines if x[0] != "#")}


@contextmanager
def engine(folder: Path, more: str, publish: str = "") -> Iterator[Running]:
    """An engine with these tables beside those of the sockets; it must end cleanly."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "engine.toml").write_text(CONFIG.format(publish=publish) + more)
    command = [sys.executable, "-m", "stream_mix.workers.engine", "engine.toml"]
    with child(command, folder) as process:
        running = Running(process)
        yield running
        process.terminate()
        if process.wait(PATIENCE):
            raise BrokenError(f"the engine ended with {process.returncode}: {running.lines[-1]}")


@contextmanager
def child(command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of this interpreter's, killed at the end if it is still there."""
    path = os.pathsep.join(filter(None, (str(SCRIPTS), os.environ.get("PYTHONPATH"))))
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
    with (folder / "errors.log").open("a") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder,
            env=environ,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()


def until(true: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait for a condition. Raises BrokenError where it does not come about."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise BrokenError(f"waited {seconds:g} s in vain: {what}")
        threading.Event().wait(0.01)
