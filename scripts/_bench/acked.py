"""Acknowledged ingest end to end: rows in at one socket, each durable before its ack, assignments out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from .pipeline import D, K, Load, Stream, stream
from .record import Name, Options, Record, Target

GROUP = "acked"
FRAME_ROWS = 1024
WARM_FRAMES = 16
LEAST_ROWS = 1e6
LEAST_WITH_KEYS = 0.7
"""Of the rows that go through without keys: these may cost 30 %."""
MOST_P99_MS = 5.0
_WHAT = f"acknowledged, frames of {FRAME_ROWS} x {D}, diag K={K}, journal fsync"
THROUGHPUT = Name(GROUP, f"engine, {_WHAT}")
LOCKED = Name(GROUP, f"the same with keys (CURVE), {_WHAT}", "the same without keys")
LATENCY = Name(GROUP, f"p99 from send to assignment, {LEAST_ROWS / 2:,.0f} rows/s, {_WHAT}")


def names() -> list[Name]:
    """Every row of this group."""
    return [THROUGHPUT, LOCKED, LATENCY]


def records(options: Options) -> Iterator[Record]:
    """Rows/s from the first send to the last ack and receipt, and latency at half the wanted load."""
    with tempfile.TemporaryDirectory(prefix="stream_mix_bench_") as folder:
        yield from _throughput(Path(folder), options)
        options.say(f"acked: {LATENCY.work}")
        rate = LEAST_ROWS / 2 / FRAME_ROWS
        load = Load(FRAME_ROWS, round(rate * (2 if options.quick else 10)), WARM_FRAMES, rate=rate)
        with stream(Path(folder) / "paced", load, durability="fsync", acked=True) as engine:
            engine.round()
            milliseconds = 1e3 * engine.latency()
        p50, p99, worst = np.percentile(milliseconds, (50, 99, 100))
        yield Record(
            LATENCY, float(p99), "ms", target=Target("ours", "<", MOST_P99_MS),
            note=f"p50 {p50:.2f} ms, worst {worst:.1f} ms",
        )  # fmt: skip


def _throughput(folder: Path, options: Options) -> Iterator[Record]:
    """With and without keys, in turn."""
    options.say(f"acked: {THROUGHPUT.work}")
    load = Load(FRAME_ROWS, 160 if options.quick else 1000, WARM_FRAMES, options.repetitions)
    rates: dict[bool, list[float]] = {False: [], True: []}
    with ExitStack() as stack:
        engines = {
            keys: stack.enter_context(
                stream(folder / f"fast-{keys}", load, durability="fsync", acked=True, keys=keys)
            )
            for keys in rates
        }
        for repetition in range(options.repetitions):
            for keys in (False, True) if repetition % 2 == 0 else (True, False):
                rates[keys].append(engines[keys].round())
    open_, locked = median(rates[False]), median(rates[True])
    yield Record(
        THROUGHPUT, open_, "rows/s", target=Target("ours", ">=", LEAST_ROWS), note=_note(engines[False])
    )
    ratio = median(a / b for a, b in zip(rates[True], rates[False], strict=True))
    yield Record(
        LOCKED, locked, "rows/s", open_, ratio, target=Target("ratio", ">=", LEAST_WITH_KEYS),
        note=_note(engines[True]),
    )  # fmt: skip


def _note(engine: Stream) -> str:
    return f"{engine.rows:,} rows{f', {engine.lost:,} LOST' if engine.lost else ''}; {engine.shares}"
