"""The service end to end: rows in at one socket, assignments out at another, with and without a journal."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .memory import FULL, growth_record
from .pipeline import D, K, Run, run
from .record import Options, Record

GROUP = "service"
FRAME_ROWS = 1024
LEAST_ROWS = 500_000.0
LEAST_EVENTS = 30_000.0
LATENCY_RATE = 5_000.0
MOST_P99_MS = 10.0
WARM_ROWS = 16 * FRAME_ROWS
"""Past the model's start."""
JOURNALS = (None, "os", "fsync")


def records(options: Options) -> Iterator[Record]:
    """Throughput in large frames and in single events, and latency at half load, for each kind of journal."""
    with tempfile.TemporaryDirectory(prefix="stream_mix_bench_") as folder:
        scratch = Path(folder)
        for durability in JOURNALS:
            journal = f"journal {durability or 'none'}"
            options.say(f"service: frames of {FRAME_ROWS} x {D}, {journal}")
            # The longest run is without a journal: it also shows the engine's memory over all its rows.
            rows = 1_000_000 if options.quick or durability else FULL
            through = _large(scratch / f"large-{durability}", rows, durability)
            yield _throughput(f"frames of {FRAME_ROWS} x {D}, {journal}", through, "rows/s", LEAST_ROWS)
            if durability is None:
                # From the middle on: until then ZeroMQ's queues, which are bounded, may still fill.
                work = f"second half, engine, frames of {FRAME_ROWS} x {D}, diag K={K}"
                yield growth_record(work, through.memory, rows, since=4)
            options.say(f"service: single events, {journal}")
            single = _single(
                scratch / f"single-{durability}", 30_000 if options.quick else 300_000, 0.0, durability
            )
            yield _throughput(f"single-event frames, {journal}", single, "events/s", LEAST_EVENTS)
            options.say(f"service: latency, {journal}")
            paced = _single(
                scratch / f"paced-{durability}", 10_000 if options.quick else 50_000, LATENCY_RATE, durability
            )
            yield from _latency(paced, journal)


def _large(folder: Path, rows: int, durability: str | None) -> Run:
    warm = WARM_ROWS // FRAME_ROWS
    return run(folder, n=FRAME_ROWS, count=-(-rows // FRAME_ROWS), warm=warm, durability=durability)


def _single(folder: Path, count: int, rate: float, durability: str | None) -> Run:
    return run(folder, n=1, count=count, warm=WARM_ROWS, rate=rate, durability=durability)


def _throughput(what: str, through: Run, unit: str, least: float) -> Record:
    note = f"{through.rows:,} rows" + (f", {through.lost} frames LOST" if through.lost else "")
    return Record(
        GROUP,
        f"{what}, diag K={K}",
        through.rows / through.seconds,
        unit,
        target=("ours", ">=", least),
        note=note,
    )


def _latency(paced: Run, journal: str) -> Iterator[Record]:
    milliseconds = 1e3 * paced.latency
    p50, p99, worst = np.percentile(milliseconds, (50, 99, 100))
    what = f"send to assignment at {LATENCY_RATE:,.0f} events/s, {journal}"
    lost = f", {paced.lost} LOST" if paced.lost else ""
    yield Record(
        GROUP, f"p99 {what}", float(p99), "ms", target=("ours", "<", MOST_P99_MS),
        note=f"p50 {p50:.2f} ms, worst {worst:.1f} ms{lost}",
    )  # fmt: skip
