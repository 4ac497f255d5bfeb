"""Acknowledged ingest end to end: rows in at one socket, each durable before its ack, assignments out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np

from .pipeline import D, K, Load, stream
from .record import Name, Options, Record, Target

GROUP = "acked"
FRAME_ROWS = 1024
WARM_FRAMES = 16
LEAST_ROWS = 1e6
MOST_P99_MS = 5.0
_WHAT = f"acknowledged, frames of {FRAME_ROWS} x {D}, diag K={K}, journal fsync"
THROUGHPUT = Name(GROUP, f"engine, {_WHAT}")
LATENCY = Name(GROUP, f"p99 from send to assignment, {LEAST_ROWS / 2:,.0f} rows/s, {_WHAT}")


def names() -> list[Name]:
    """Every row of this group."""
    return [THROUGHPUT, LATENCY]


def records(options: Options) -> Iterator[Record]:
    """Rows/s from the first send to the last ack and receipt, and latency at half the wanted load."""
    with tempfile.TemporaryDirectory(prefix="stream_mix_bench_") as folder:
        options.say(f"acked: {THROUGHPUT.work}")
        frames = 160 if options.quick else 1000
        load = Load(FRAME_ROWS, frames, WARM_FRAMES, options.repetitions)
        with stream(Path(folder) / "fast", load, durability="fsync", acked=True) as engine:
            rate = median(engine.round() for _ in range(options.repetitions))
        lost = f", {engine.lost:,} LOST" if engine.lost else ""
        yield Record(
            THROUGHPUT, rate, "rows/s", target=Target("ours", ">=", LEAST_ROWS),
            note=f"{engine.rows:,} rows{lost}; {engine.shares}",
        )  # fmt: skip
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
