"""Engines beside a program, for trials: in a thread, or in a process of their own that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from stream_mix.config import Settings
from stream_mix.ports.service import Service

PATIENCE = 30.0
"""Seconds that an engine may take to stop."""


class EngineError(RuntimeError):
    """An engine beside this program did not start, or did not stop."""


@contextmanager
def serving(config: Settings, **how: Any) -> Iterator[Service]:
    """An engine in a thread of this process, `how` being what else a Service takes; stopped cleanly at the
    end, and what it raised is raised here.

    >>> with serving(Settings(ingest={"push": "tcp://127.0.0.1:*", "acked": ""}, publish={"bind": ""},
    ...              query={"bind": ""}, metrics={"bind": ""})) as service:
    ...     sorted(service.sockets.endpoints)
    ['push']
    """
    stop = threading.Event()
    failed: list[BaseException] = []
    service = Service(config, **how)

    def work() -> None:
        try:
            service.run(stop.is_set)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        stop.set()
        thread.join(PATIENCE)
        if thread.is_alive():
            # Nothing is closed under it: libzmq ends the process for that.
            raise EngineError(f"the engine did not stop within {PATIENCE:g} s")
        service.close()
    if failed:
        raise failed[0]


class Child:
    """An engine in a process of its own, by a configuration file.

    `endpoints` are those it says it listens on, `lines` what it said until then, `ready` the seconds that it
    took to listen and to have recovered. Raises EngineError, with what it said, where it does not start.
    """

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
                raise EngineError(f"the engine did not start: {self.popen.communicate()[1]}")
            self.lines.append(line.strip())
        self.ready = time.monotonic() - began
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.kill()
        for stream in (self.popen.stdout, self.popen.stderr):
            if stream is not None:
                stream.close()
