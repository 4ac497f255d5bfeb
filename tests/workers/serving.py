"""Engines for tests: in a thread of this process, or in one of their own that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_mix.client import Subscriber
from stream_mix.config import Settings
from stream_mix.ports.service import Service
from stream_mix.protocol import Assignment, Published

LOCAL = "tcp://127.0.0.1:*"
PATIENCE = 20.0
CENTRES = np.array([[0.0, 0.0, 0.0], [12.0, 0.0, 3.0], [0.0, 12.0, -3.0]])


def rows(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows (n, 3) of three round clusters."""
    rng = np.random.default_rng(seed)
    return CENTRES[rng.integers(0, 3, n)] + rng.normal(size=(n, 3))


def settings(**sections: Mapping[str, Any]) -> Settings:
    """Settings of a small engine on ports that the system chooses; no journal and no metrics unless asked
    for."""
    some: dict[str, Any] = {
        "ingest": {"push": LOCAL, "acked": ""},
        "publish": {"bind": LOCAL, "heartbeat_seconds": 0.05, "snapshot_every_seconds": 0.2},
        "query": {"bind": LOCAL},
        "metrics": {"bind": ""},
        "models": [{"name": "m", "n_components": 3, "family": "diag", "batch_size": 64}],
    }
    for key, section in sections.items():
        some[key] = {**some.get(key, {}), **section} if isinstance(section, Mapping) else section
    return Settings(**some)


def toml(config: Settings) -> str:
    """The settings as a configuration file."""
    lines: list[str] = []
    for name, section in config.model_dump(exclude_none=True).items():
        for table in section if isinstance(section, list | tuple) else [section]:
            lines.append(f"[[{name}]]" if isinstance(section, list | tuple) else f"[{name}]")
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


@contextmanager
def serving(config: Settings) -> Iterator[Service]:
    """An engine in a thread; stopped cleanly at the end, and what it raised is raised here."""
    stop = threading.Event()
    failed: list[BaseException] = []
    with Service(config) as service:

        def work() -> None:
            try:
                service.run(stop.is_set)
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield service
        finally:
            stop.set()
            thread.join(PATIENCE)
    if failed:
        raise failed[0]


class Process:
    """An engine in a process of its own; `endpoints` are those it says it listens on."""

    def __init__(self, config: Settings, folder: Path) -> None:
        path = folder / "engine.toml"
        path.write_text(toml(config))
        command = [sys.executable, "-m", "stream_mix.workers.engine", str(path)]
        environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ, cwd=folder
        )
        assert self.popen.stdout is not None
        self.lines: list[str] = []
        while not self.lines or not self.lines[-1].startswith("journal"):
            line = self.popen.stdout.readline()
            if not line:
                raise RuntimeError(f"the engine did not start: {self.popen.communicate()[1]}")
            self.lines.append(line.strip())
        self.endpoints = dict(re.findall(r"(push|acked|publish|query|metrics) (\S+?)(?:,|$)", self.lines[0]))

    @property
    def resumed(self) -> int:
        """The offset that it resumed from."""
        found = re.search(r"resumed at offset (\d+)", self.lines[-1])
        return int(found[1]) if found else 0

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.communicate()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Exit code after a signal, seconds that it took, and what was said on the error output."""
        start = time.monotonic()
        self.popen.send_signal(number)
        _, said = self.popen.communicate(timeout=PATIENCE)
        return self.popen.returncode, time.monotonic() - start, said

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.kill()
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()


def heard(subscriber: Subscriber, enough: Callable[[list[Published]], bool]) -> list[Published]:
    """Messages until there are enough of them; fails when they do not come."""
    messages: list[Published] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(messages):
        assert time.monotonic() < deadline, f"{len(messages)} messages, and no more came"
        message = subscriber.receive(0.5)
        if message is not None:
            messages.append(message)
    return messages


def assigned(messages: list[Published]) -> list[Assignment]:
    """The assignments among messages."""
    return [message for message in messages if isinstance(message, Assignment)]


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition, and fail where it does not come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)
