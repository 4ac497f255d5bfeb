"""Engines for trials: in a thread of this process, or in one of their own that can be killed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stream_mix.config import Settings
from stream_mix.ports.log import Log
from stream_mix.ports.service import Service

from .promise import BrokenError

PATIENCE = 30.0


@contextmanager
def serving(config: Settings, **how: Any) -> Iterator[Service]:
    """An engine in a thread; what it raised is raised here."""
    stop, failed = threading.Event(), []
    # What a trial says on standard output is its figures.
    with Service(config, log=Log(level="error"), **how) as service:

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


class Engine:
    """An engine in a process of its own, by a configuration file; `ready` is the seconds that it took to
    listen and to have recovered, `endpoints` are where."""

    def __init__(self, config: Path) -> None:
        began = time.monotonic()
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "stream_mix.workers.engine", str(config)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=config.parent,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        assert self.popen.stdout is not None
        self.lines: list[str] = []
        while not self.lines or not self.lines[-1].startswith("journal"):
            line = self.popen.stdout.readline()
            if not line:
                raise BrokenError(f"the engine did not start: {self.popen.communicate()[1]}")
            self.lines.append(line.strip())
        self.ready = time.monotonic() - began
        self.endpoints = dict(re.findall(r"(push|publish|query|metrics) (\S+?)(?:,|$)", self.lines[0]))

    @property
    def resumed(self) -> int:
        """The offset that it resumed from."""
        found = re.search(r"resumed at offset (\d+)", self.lines[-1])
        return int(found[1]) if found else 0

    def kill(self) -> None:
        """kill -9."""
        self.popen.kill()
        self.popen.communicate()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.kill()
