"""The engine process: `python -m stream_mix.workers.engine CONFIG`."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from stream_mix.config import Settings, load
from stream_mix.ports.heap import keep_memory
from stream_mix.ports.service import Service

from .ending import ended

SWITCH_SECONDS = 0.0005
"""How long the metrics thread may hold up the loop."""


def run(settings: Settings, *, say: Callable[[str], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then keep the state and end with 0. Raises ValueError, one line, where
    it cannot start.

    `say` is given the lines of the start, and one at the end.
    """
    say = say or _say
    stopping: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopping.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    sys.setswitchinterval(SWITCH_SECONDS)
    keep_memory()
    try:
        with Service(settings) as service:
            # What was imported stays: the collector need not walk it again, in pauses that a subscriber sees.
            gc.collect()
            gc.freeze()
            for line in service.lines():
                say(line)
            service.run(lambda: bool(stopping))
            offset = service.state.offset
        say(f"stopped at offset {offset}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the configuration and run; 0 after a clean stop, 2 where it cannot start or go on."""
    parser = argparse.ArgumentParser(prog="python -m stream_mix.workers.engine", description="Run an engine.")
    parser.add_argument("config", type=Path, help="TOML configuration")
    arguments = parser.parse_args(argv)
    return ended("engine", lambda: run(load(arguments.config)))


if __name__ == "__main__":
    sys.exit(main())
