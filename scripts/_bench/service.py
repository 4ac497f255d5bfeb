"""The service end to end: rows in at one socket, assignments out at another, with and without a journal.

A peer takes the same frames from the same kind of socket, on the same cores. What only reads them is two
processes; the engine is three, with who reads what it says, and so is the relay, which shows what is left
where three share the cores and the model costs nothing. Their notes say what a frame takes of each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import numpy as np

from .machine import cores
from .memory import growth_record
from .pipeline import ENGINE, D, K, Load, Stream, stream
from .record import Name, Options, Record, Target

GROUP = "service"
FRAME_ROWS = 1024
LEAST_RATIO = 0.8
LEAST_ROWS = 500_000.0
LEAST_EVENTS = 30_000.0
LATENCY_RATE = 5_000.0
MOST_P99_MS = 10.0
WARM_ROWS = 16 * FRAME_ROWS
"""Past the model's start."""
MEMORY_ROWS = 10_000_000
"""Rows that pass through the engine while its memory is watched; a quick run has fewer."""
JOURNALS = {None: "no journal", "os": "journal os", "fsync": "journal fsync"}
PEERS = {
    "decode": "a consumer that only decodes",
    "check": "a consumer that decodes with every check",
    "relay": "a relay that decodes and publishes, no model",
}
_MANY = f"engine, frames of {FRAME_ROWS} x {D}, diag K={K}"


def _large(durability: str | None, peer: str = "") -> Name:
    return Name(GROUP, f"{_MANY}, {JOURNALS[durability]}", peer)


def _single(durability: str | None) -> Name:
    return Name(GROUP, f"engine, single-event frames, diag K={K}, {JOURNALS[durability]}")


def _paced(durability: str | None) -> Name:
    return Name(GROUP, f"p99 from send to assignment, {LATENCY_RATE:,.0f} events/s, {JOURNALS[durability]}")


GROWTH = Name(GROUP, f"memory growth, {_MANY}")


def names() -> list[Name]:
    """Every row of this group."""
    return [
        *(_large(None, peer) for peer in PEERS.values()),
        GROWTH,
        *(_large(durability) for durability in JOURNALS if durability),
        *(_single(durability) for durability in JOURNALS),
        *(_paced(durability) for durability in JOURNALS),
    ]


def records(options: Options) -> Iterator[Record]:
    """Throughput in large frames, beside peers, and in single events, and latency at a given pace."""
    with tempfile.TemporaryDirectory(prefix="stream_mix_bench_") as folder:
        yield from _beside(Path(folder) / "beside", options)
        for durability in JOURNALS:
            if durability:
                yield _throughput(_large(durability), FRAME_ROWS, Path(folder), durability, options)
        for durability in JOURNALS:
            yield _throughput(_single(durability), 1, Path(folder), durability, options)
        for durability in JOURNALS:
            yield _latency(Path(folder) / f"paced-{durability}", durability, options)


def _beside(folder: Path, options: Options) -> Iterator[Record]:
    """The engine without a journal, and its peers, in turn; then the engine's memory."""
    rows = 1_000_000 if options.quick else MEMORY_ROWS
    load = _load(FRAME_ROWS, rows // options.repetitions, options.repetitions)
    with ExitStack() as stack:
        streams: dict[str, Stream] = {}
        for between in (ENGINE, *PEERS):
            options.say(f"service: {between}, starting")
            streams[between] = stack.enter_context(stream(folder / between, load, between))
        rates: dict[str, list[float]] = {name: [] for name in streams}
        for repetition in range(options.repetitions):
            options.say(f"service: {_MANY}, round {repetition + 1} of {options.repetitions}")
            for name in streams if repetition % 2 == 0 else reversed(streams):
                rates[name].append(streams[name].round())
    engine = streams[ENGINE]
    ours = rates[ENGINE]
    for between, peer in PEERS.items():
        yield Record(
            _large(None, peer),
            median(ours),
            "rows/s",
            median(rates[between]),
            median(a / b for a, b in zip(ours, rates[between], strict=True)),
            target=Target("ratio", ">=", LEAST_RATIO) if between == "decode" else None,
            note=f"{_note(engine)}; {engine.shares} share {cores()} cores, beside {streams[between].shares}",
        )
    # From the middle on: until then ZeroMQ's queues, which are bounded, may still fill.
    half = len(engine.memory) // 2
    yield growth_record(GROWTH, engine.memory[half:], engine.rows // 2, engine.rows)


def _load(n: int, rows: int, rounds: int, rate: float = 0.0) -> Load:
    return Load(n, -(-rows // n), -(-WARM_ROWS // n), rounds, rate)


def _throughput(name: Name, n: int, folder: Path, durability: str | None, options: Options) -> Record:
    options.say(f"service: {name.work}")
    rows = 60_000 if n == 1 else 1_000_000
    load = _load(n, rows // 6 if options.quick else rows, options.repetitions)
    with stream(folder / f"{n}-{durability}", load, durability=durability) as engine:
        rate = median(engine.round() for _ in range(options.repetitions))
    unit, least = ("events/s", LEAST_EVENTS) if n == 1 else ("rows/s", LEAST_ROWS)
    return Record(name, rate, unit, target=Target("ours", ">=", least), note=_note(engine))


def _note(engine: Stream) -> str:
    return f"{engine.rows:,} rows" + (f", {engine.lost:,} LOST" if engine.lost else "")


def _latency(folder: Path, durability: str | None, options: Options) -> Record:
    options.say(f"service: {_paced(durability).work}")
    load = _load(1, 5_000 if options.quick else 50_000, 1, LATENCY_RATE)
    with stream(folder, load, durability=durability) as engine:
        engine.round()
        milliseconds = 1e3 * engine.latency()
    p50, p99, worst = np.percentile(milliseconds, (50, 99, 100))
    lost = f", {engine.lost} LOST" if engine.lost else ""
    return Record(
        _paced(durability), float(p99), "ms", target=Target("ours", "<", MOST_P99_MS),
        note=f"p50 {p50:.2f} ms, worst {worst:.1f} ms{lost}",
    )  # fmt: skip
