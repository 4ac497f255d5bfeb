"""`stream-mix watch`: what an engine publishes, as a live table or as JSON lines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .options import PUBLISH, Json, KeysFile, ModelName, Timeout
from .show import plain, print_json


def watch(
    endpoint: Annotated[
        str, typer.Argument(metavar="[ENDPOINT]", help="Publish endpoint of the engine.")
    ] = PUBLISH,
    model: ModelName = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so long; by default at Ctrl-C.")
    ] = None,
    timeout: Timeout = 10.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Watch an engine: components, weights, rows per second, log density, strangest rows.

    With --json, every message as one line.
    """
    if json:
        return _lines(endpoint, model, seconds, timeout, keys)
    from stream_mix.workers import watch as worker

    worker.run(endpoint=endpoint, model=model, seconds=seconds, timeout=timeout, keys=keys)
    return 0


def _lines(
    endpoint: str, model: str | None, seconds: float | None, timeout: float, keys: Path | None
) -> int:
    from stream_mix.client import KINDS, ClientError, Subscriber

    until = None if seconds is None else time.monotonic() + seconds
    with Subscriber(endpoint, model=model, kinds=(*KINDS, "heartbeat"), keys=keys) as subscriber:
        if not subscriber.connected(timeout):
            raise ClientError(
                f"{endpoint}: nobody publishes there (waited {timeout:g} s); is an engine running?"
            )
        if model is not None:
            from stream_mix.workers.watch import expect

            expect(endpoint, model, keys=keys)
        while until is None or time.monotonic() < until:
            message = subscriber.receive(0.1)
            if message is not None:
                print_json({"kind": type(message).__name__.lower(), **plain(message)})
    return 0
