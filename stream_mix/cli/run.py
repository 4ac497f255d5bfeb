"""`stream-mix run`: an engine, until it is told to stop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def one_thread() -> None:
    """Ask the linear algebra for one thread: the engine's products are small, and a second thread would take
    the core that a producer or a consumer needs. Before NumPy is imported; what the person set, stays."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def run(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="What to listen to and what to learn.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Only read the configuration; 0 if it is sound.")
    ] = False,
) -> int:
    """Run an engine: rows in, soft clusters out, until Ctrl-C or SIGTERM.

    Either ends it cleanly, with its state kept, and with exit code 0. SIGHUP reads the configuration again.

    Every key can also be set in the environment: STREAM_MIX_ENGINE__NAME is engine.name.
    """
    one_thread()
    from stream_mix.config import load

    settings = load(config)
    if check:
        models = ", ".join(model.name for model in settings.models)
        print(f"{config}: sound; engine {settings.engine.name}, models {models}, hash {settings.digest()}")
        return 0
    from stream_mix.workers import engine

    return engine.run(settings, again=lambda: load(config))
