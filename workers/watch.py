"""A live table of what an engine publishes: `python -m stream_mix.workers.watch`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from stream_mix.client import PUBLISH, ClientError, KeysLike, Subscriber
from stream_mix.client.base import REFUSED_KEY
from stream_mix.protocol import Assignment, Change, Heartbeat, Published, Snapshot

from .ending import OK, ended

STRANGEST = 5
RATE_SECONDS = 5.0
SILENT_SECONDS = 5.0
"""Heartbeats come each second: after so long without any the engine is not there."""
ASK_SECONDS = 1.0
"""How long an engine has to show a model, where one is asked for by name."""
KINDS = ("assignment", "snapshot", "change", "heartbeat")


@dataclass(frozen=True, slots=True)
class Strange:
    """A row far from every component."""

    offset: int
    id: str | int | None
    outlier: float
    log_density: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What was heard of one model so far; `rates` holds (time heard, rows heard) for the last seconds."""

    rows: int = 0
    offset: int = 0
    generation: int = 0
    log_density: float | None = None
    counts: Mapping[int, int] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    changes: tuple[Change, ...] = ()
    strangest: tuple[Strange, ...] = ()
    rates: tuple[tuple[float, int], ...] = ()

    def rate(self, now: float) -> float:
        """Rows per second of late."""
        recent = [(at, rows) for at, rows in self.rates if at > now - RATE_SECONDS]
        return sum(rows for _, rows in recent) / max(now - recent[0][0], 0.25) if recent else 0.0


def heard(seen: Seen, message: Published, now: float) -> Seen:
    """What is known after a further message of this model."""
    match message:
        case Assignment() if message.n:
            return _assigned(seen, message, now)
        case Snapshot():
            offset, generation = max(seen.offset, message.offset), max(seen.generation, message.generation)
            return replace(seen, snapshot=message, offset=offset, generation=generation)
        case Change():
            return replace(seen, changes=(*seen.changes, message)[-STRANGEST:])
        case _:
            return seen


def _assigned(seen: Seen, message: Assignment, now: float) -> Seen:
    n = message.n
    labels, counts = np.unique(message.label, return_counts=True)
    total = dict(seen.counts)
    for label, count in zip(labels.tolist(), counts.tolist(), strict=True):
        total[label] = total.get(label, 0) + count
    mean = float(message.log_density.mean())
    share = min(1.0, n / 1000)
    density = mean if seen.log_density is None else (1 - share) * seen.log_density + share * mean
    warm = bool((message.label >= 0).any())
    rates = (*(item for item in seen.rates if item[0] > now - RATE_SECONDS), (now, n))
    if len(rates) > 200:
        rates = ((rates[0][0], rates[0][1] + rates[1][1]), *rates[2:])
    return replace(
        seen, rows=seen.rows + n, offset=message.offset + n, generation=message.generation,
        counts=total, rates=rates, log_density=density if warm else None,
        strangest=_strangest(seen, message) if warm else (),
    )  # fmt: skip


def _strangest(seen: Seen, message: Assignment) -> tuple[Strange, ...]:
    """The rows least likely under the model, of those heard in the last stretch."""
    order = np.argsort(message.log_density)[:STRANGEST].tolist()
    ids = message.id
    rows = [
        Strange(
            message.offset + i,
            ids[i] if ids else None,
            float(message.outlier[i]),
            float(message.log_density[i]),
        )
        for i in order
    ]
    recent = [row for row in seen.strangest if row.offset > message.offset - 100_000]
    return tuple(sorted((*recent, *rows), key=lambda row: row.log_density)[:STRANGEST])


def table(
    models: Mapping[str, Seen], now: float, beat: Heartbeat | None = None, silence: float = 0.0
) -> RenderableType:
    """The table for all models heard of; `beat` is the engine's latest, `silence` the seconds since."""
    if beat is None and not models:
        return "nothing heard yet" if silence < SILENT_SECONDS else f"nothing heard for {silence:.0f} s"
    parts = [_model(name, seen, now) for name, seen in sorted(models.items())]
    if silence >= SILENT_SECONDS:
        parts.append(f"nothing heard for {silence:.0f} s: the engine is stopped, or cannot be reached")
    elif beat is not None:
        parts.append(f"the engine lives, offset {beat.offset:,}{idle(models, now)}")
    return Group(*parts)


def idle(models: Mapping[str, Seen], now: float) -> str:
    """How long no rows have come, in words; nothing where they do.

    >>> idle({}, 5.0), idle({"m": Seen(rates=((4.0, 10),))}, 5.0), idle({"m": Seen(rates=((4.0, 10),))}, 94.0)
    ('; no rows heard and no model shown yet', '', '; idle, no rows for 90 s')
    """
    if not models:
        return "; no rows heard and no model shown yet"
    last = max((at for seen in models.values() for at, _ in seen.rates), default=None)
    if last is None:
        return "; idle, no rows heard yet"
    return "" if now < last + RATE_SECONDS else f"; idle, no rows for {now - last:.0f} s"


def _model(name: str, seen: Seen, now: float) -> RenderableType:
    density = "-" if seen.log_density is None else f"{seen.log_density:.3f}"
    title = (
        f"{name}: offset {seen.offset:,}, generation {seen.generation:,}, {seen.rate(now):,.0f} rows/s, "
        f"log density {density}"
    )
    grid = Table(title=title, title_justify="left")
    for column in ("component", "weight", "rows"):
        grid.add_column(column, justify="right")
    snapshot = seen.snapshot
    names: Sequence[str] = ()
    if snapshot is not None:
        names = (snapshot.features or [f"f{j}" for j in range(snapshot.means.shape[1])])[:6]
        for feature in names:
            grid.add_column(feature[:16], justify="right")
        for i in np.argsort(-snapshot.weights).tolist():
            component = snapshot.components[i]
            means = [f"{value:.4g}" for value in snapshot.means[i, : len(names)]]
            grid.add_row(
                str(component), f"{snapshot.weights[i]:.3f}", f"{seen.counts.get(component, 0):,}", *means
            )
    strange = Table(title="strangest of late", title_justify="left")
    for column in ("offset", "id", "outlier", "log density"):
        strange.add_column(column, justify="right")
    for row in seen.strangest:
        label = "" if row.id is None else str(row.id)[:32]
        strange.add_row(f"{row.offset:,}", label, f"{row.outlier:.4f}", f"{row.log_density:.2f}")
    return Group(grid, strange) if seen.strangest else grid


def expect(endpoint: str, model: str, seconds: float = ASK_SECONDS, keys: KeysLike = None) -> None:
    """Raise ClientError where a snapshot, which names all models of its engine, says that this is none of
    them; an engine that has nothing to show within `seconds` is believed."""
    with Subscriber(endpoint, kinds=("snapshot",), keys=keys) as subscriber:
        message = subscriber.receive(seconds)
    known = message.engine.get("models") if isinstance(message, Snapshot) else None
    if isinstance(known, list | tuple) and known and model not in known:
        raise ClientError(f"{endpoint}: no model {model!r}, expected one of {', '.join(map(str, known))}")


def run(
    *,
    endpoint: str = PUBLISH,
    model: str | None = None,
    seconds: float | None = None,
    timeout: float | None = 10.0,
    console: Console | None = None,
    keys: KeysLike = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Seen]:
    """Show a live table until `seconds` are over (None: until Ctrl-C) and return what was heard.

    Raises ClientError where nobody publishes at the endpoint within `timeout` seconds, or no such model.
    """
    models: dict[str, Seen] = {}
    beat: Heartbeat | None = None
    console = console or Console()
    start, shown = clock(), -1e9
    with Subscriber(endpoint, model=model, kinds=KINDS, keys=keys) as subscriber:
        if timeout is not None and not subscriber.connected(timeout):
            why = f"nobody publishes there (waited {timeout:g} s); is an engine running?"
            raise ClientError(f"{endpoint}: {REFUSED_KEY if subscriber.refused_key else why}")
        if model is not None:
            expect(endpoint, model, keys=keys)
        with Live(table(models, start), console=console, auto_refresh=False) as live:
            while seconds is None or clock() < start + seconds:
                message = subscriber.receive(0.1)
                now = clock()
                if isinstance(message, Heartbeat):
                    beat = message
                elif message is not None:
                    models[message.model] = heard(models.get(message.model, Seen()), message, now)
                if now >= shown + 0.25:
                    shown = now
                    live.update(table(models, now, beat, subscriber.silence), refresh=True)
            live.update(table(models, clock(), beat), refresh=True)
    if not console.is_terminal:
        console.print()  # there the live display ends without a line's end
    return models


def main(argv: Sequence[str] | None = None) -> int:
    """Watch; 0, 2 where nobody publishes, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m stream_mix.workers.watch", description="Watch an engine."
    )
    parser.add_argument("--endpoint", default=PUBLISH)
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--keys", help="secret file, where the engine asks for keys")
    arguments = parser.parse_args(argv)

    def work() -> int:
        told = {"endpoint": arguments.endpoint, "model": arguments.model, "keys": arguments.keys}
        run(seconds=arguments.seconds, **told)
        return OK

    return ended("watch", work)


if __name__ == "__main__":
    sys.exit(main())
