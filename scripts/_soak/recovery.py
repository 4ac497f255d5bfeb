"""Promise 11: recovery is quick, however long the journal."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from stream_mix.client import Producer, Subscriber
from stream_mix.ports.journal import JournalReader
from stream_mix.protocol import Assignment, encode_points

from .promise import Figures, Promise, Trial, at_least, at_most
from .serving import PATIENCE, Child

N, D = 1024, 8
INTERVAL = 100_000
KILLS = 40
CONFIG = f"""
[ingest]
push = "tcp://127.0.0.1:*"
acked = ""
[publish]
bind = "tcp://127.0.0.1:*"
responsibilities = false
[query]
bind = ""
[metrics]
bind = ""
[journal]
path = "long.journal"
checkpoint_every_rows = {INTERVAL}
[[models]]
name = "m"
family = "diag"
n_components = 16
"""


def _frame(rng: np.random.Generator, seq: int) -> bytes:
    x = rng.normal(size=(N, D)) + 20.0 * rng.integers(0, 8, (N, 1))
    return encode_points(x.astype(np.float32), source="s", seq=seq)


@contextmanager
def _talking(config: Path) -> Iterator[tuple[Child, Producer, Subscriber]]:
    """An engine, and both who send to it and who hear it."""
    with (
        Child(config) as engine,
        Producer(engine.endpoints["push"], timeout=PATIENCE) as producer,
        Subscriber(engine.endpoints["publish"], kinds=("assignment",)) as ears,
    ):
        ears.connected()
        yield engine, producer, ears


def _fill(config: Path, rows: int, rng: np.random.Generator) -> float:
    """An engine's journal of so many rows; returns the rows a second that it took."""
    frames = [_frame(rng, seq) for seq in range(64)]
    with _talking(config) as (_, producer, ears):
        began, sent, said = time.monotonic(), 0, 0
        while said < rows:
            # No more under way than a subscriber may fall behind by, or it would miss the last word.
            while sent < rows and sent - said < 500 * N:
                producer.send_raw(frames[sent // N % 64])
                sent += N
            message = ears.receive(PATIENCE)
            if not isinstance(message, Assignment):
                raise TimeoutError("the engine does not answer")
            said = message.offset + len(message.label)
        return sent / (time.monotonic() - began)


def _killed(config: Path, rng: np.random.Generator, kill: random.Random) -> tuple[float, float, int]:
    """Seconds from the start to ready and to the first answer, and frames under way at the kill that
    follows."""
    began = time.monotonic()
    with _talking(config) as (engine, producer, ears):
        # Again, should the engine have heard the rows before the subscription.
        producer.send_raw(_frame(rng, 0))
        while not isinstance(ears.receive(1.0), Assignment):
            if time.monotonic() > began + PATIENCE:
                raise TimeoutError("no answer")
            producer.send_raw(_frame(rng, 0))
        answered = time.monotonic() - began
        # Somewhere in the interval between two checkpoints, so that there are frames to fold.
        count = kill.randrange(INTERVAL // N)
        frame = _frame(rng, 1)
        for _ in range(count):
            producer.send_raw(frame)
        for _ in range(count):
            ears.receive(PATIENCE)
        engine.kill()
    return engine.ready, answered, count


def trial(trial: Trial) -> Figures:
    """A long journal, then kills under load and starts."""
    rng, kill = np.random.default_rng(trial.seed), random.Random(trial.seed)
    config = trial.folder / "engine.toml"
    config.write_text(CONFIG)
    rate = _fill(config, trial.size, rng)
    path = trial.folder / "long.journal"
    with JournalReader.open(path) as reader:
        info = reader.info()
    trial.say(f"{info.rows:,} rows journalled at {rate:,.0f} a second, {info.bytes / 1e9:.2f} GB")
    ready, answered = [], []
    for _ in range(KILLS if trial.size > 1_000_000 else 4):
        seconds, first, _ = _killed(config, rng, kill)
        ready.append(seconds)
        answered.append(first)
    answered.sort()
    with JournalReader.open(path) as reader:
        newest = reader.last_checkpoint()
        left = reader.end().rows - (newest.offset if newest else 0)
    return {
        "rows": float(info.rows), "starts": float(len(ready)), "slowest ready": max(ready),
        "quickest ready": min(ready), "first answer p99": answered[math.ceil(0.99 * len(answered)) - 1],
        "interval": INTERVAL / rate, "rows after the last checkpoint": float(left),
    }  # fmt: skip


def broken(figures: Figures) -> list[str]:
    limits = {"slowest ready": 5.0 + figures["interval"], "first answer p99": 5.0 + figures["interval"]}
    limits["rows after the last checkpoint"] = INTERVAL + 512 * N
    return at_most(figures, limits) + at_least(figures, {"starts": 1})


PROMISE = Promise(
    11, "recovery", "recovery is quick, however long the journal", "rows journalled", 10_000_000, 200_000,
    trial, broken,
)  # fmt: skip
