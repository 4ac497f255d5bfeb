"""The engine process: `python -m stream_mix.workers.engine CONFIG`."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from stream_mix.config import Settings, load
from stream_mix.ports.heap import keep_memory
from stream_mix.ports.log import Log
from stream_mix.ports.service import Service

from .ending import ended

SWITCH_SECONDS = 0.0005
"""How long the metrics thread may hold up the loop."""


def run(
    settings: Settings,
    *,
    say: Callable[[str], None] | None = None,
    again: Callable[[], Settings] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then keep the state and end with 0. Raises ValueError, one line, where
    it cannot start.

    `say` is given the lines of the log; `again` reads the configuration once more, which SIGHUP asks for.
    """
    engine = settings.engine
    log = Log(engine.log, engine.log_level) if say is None else Log(engine.log, engine.log_level, say)
    stopping: list[int] = []
    rereading: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    def reread(number: int, _: FrameType | None) -> None:
        rereading.append(number)

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if again is not None and hasattr(signal, "SIGHUP"):
        handlers[signal.SIGHUP] = reread
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_memory()
    raise_files()
    try:
        with Service(settings, log=log) as service:
            # What was imported stays: the collector need not walk it again, in pauses that a subscriber sees.
            gc.collect()
            gc.freeze()
            for line in service.lines():
                log.say(line)

            def stopped() -> bool:
                if rereading and again is not None:
                    rereading.clear()
                    _reread(service, again)
                return bool(stopping)

            service.run(stopped)
            offset = service.state.offset
        log.say(f"stopped at offset {offset}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _reread(service: Service, again: Callable[[], Settings]) -> None:
    """Take the changed configuration; one that is none changes nothing, and is said."""
    try:
        lines = service.reread(again())
    except ValueError as error:
        service.log.warn(f"configuration not taken: {error}")
        return
    for line in lines:
        service.log.say(line)


def raise_files() -> None:
    """Let this process open as many files as the system allows: each peer takes one."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        with suppress(OSError, ValueError):  # some systems allow fewer than they say; then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: Sequence[str] | None = None) -> int:
    """Read the configuration and run; 0 after a clean stop, 2 where it cannot start or go on."""
    parser = argparse.ArgumentParser(prog="python -m stream_mix.workers.engine", description="Run an engine.")
    parser.add_argument("config", type=Path, help="TOML configuration")
    arguments = parser.parse_args(argv)
    return ended("engine", lambda: run(load(arguments.config), again=lambda: load(arguments.config)))


if __name__ == "__main__":
    sys.exit(main())
