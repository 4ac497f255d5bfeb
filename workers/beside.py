"""Engines beside a program, for trials: in a thread, or in a process of their own that can be killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
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
START_SECONDS = 120.0
"""Seconds that it may take to start, and to recover from its journal."""


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
    took to listen and to have recovered. Raises EngineError, with what it said, where it does not start
    within `seconds`; it is gone then.
    """

    def __init__(self, config: Path, seconds: float = START_SECONDS) -> None:
        began = time.monotonic()
        # A file and no pipe: nobody reads it while the engine runs, and a full pipe would stop it.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # lives as long as the child
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "stream_mix.workers.engine", str(config)],
            stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=config.parent,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        self.lines: list[str] = []
        late = threading.Timer(seconds, self.popen.kill)
        late.start()
        try:
            started = self._starts()
        finally:
            late.cancel()
        self.ready = time.monotonic() - began
        if not started:
            why = f" within {seconds:g} s" if self.ready >= seconds else ""
            said = self._said()
            self._close()
            raise EngineError(f"the engine did not start{why}: {said}")
        self.endpoints = dict(re.findall(r"(push|acked|publish|query|metrics) (\S+?)(?:,|$)", self.lines[0]))

    def _starts(self) -> bool:
        """Read what it says until it is ready; False where it ends before that."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            self.lines.append(line.strip())
            if line.startswith("journal"):
                return True
        self.popen.wait()
        return False

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
        try:
            self.popen.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise EngineError(f"the engine did not stop within {PATIENCE:g} s") from None
        return self.popen.returncode, time.monotonic() - start, self._said()

    def _said(self) -> str:
        """What it said on the error output; it has ended."""
        self._errors.seek(0)
        return self._errors.read()

    def _close(self) -> None:
        if self.popen.stdout is not None:
            self.popen.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.kill()
        self._close()
