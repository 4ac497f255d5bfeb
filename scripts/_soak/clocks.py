"""Promise 10: clocks may jump."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np

from stream_mix.client import Producer, Subscriber
from stream_mix.config import Settings
from stream_mix.engine import state_hash
from stream_mix.ports.clock import Clock
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model
from stream_mix.protocol import Assignment, Heartbeat, Snapshot

from .promise import Figures, Promise, Trial, at_least, at_most
from .serving import PATIENCE, serving

HOUR = 3600.0
BEAT = 0.02
LATEST = 1.0
"""Seconds after a jump by which an answer, a snapshot and a heartbeat must have come."""


def _settings(path: Path) -> Settings:
    local = "tcp://127.0.0.1:*"
    return Settings(
        ingest={"push": local, "acked": ""}, query={"bind": local}, metrics={"bind": ""},
        publish={"bind": local, "heartbeat_seconds": BEAT, "snapshot_every_seconds": BEAT},
        journal={"path": str(path), "checkpoint_every_rows": 500, "durability": "os",
                 "segment_bytes": 4000, "keep_seconds": "2h"},
        models=[{"name": "m", "n_components": 3, "family": "diag", "batch_size": 16}],
    )  # fmt: skip


def _waited(ears: Subscriber) -> float:
    """Seconds until there were an answer, a snapshot and a heartbeat."""
    missing: set[type] = {Assignment, Snapshot, Heartbeat}
    began = time.monotonic()
    while missing and time.monotonic() < began + PATIENCE:
        missing.discard(type(ears.receive(0.1)))
    return time.monotonic() - began if not missing else PATIENCE


def trial(trial: Trial) -> Figures:
    """A jump, some rows, and what is said after it; again and again."""
    rng = random.Random(trial.seed)
    offset = 0.0
    clock = Clock(t=lambda: time.time() + offset)
    figures = {"jumps": 0.0, "lost": 0.0, "other states": 0.0, "stuck": 0.0, "slowest word": 0.0}
    path, frames = trial.folder / "a.journal", 0
    rows = np.random.default_rng(trial.seed)
    with serving(_settings(path), clock=clock) as service:
        ends = service.sockets.endpoints
        with (
            Producer(ends["push"], source="s") as producer,
            Subscriber(ends["publish"], kinds=("assignment", "snapshot", "heartbeat")) as ears,
        ):
            ears.connected()
            for _ in range(trial.size):
                to_1970 = -time.time()
                offset = rng.choice((0.0, HOUR, -HOUR, to_1970, to_1970 - HOUR, rng.gauss(0.0, HOUR)))
                producer.send(rows.normal(size=(16, 3)))
                frames += 1
                waited = _waited(ears)
                figures["jumps"] += 1
                figures["stuck"] += waited > LATEST
                figures["slowest word"] = max(figures["slowest word"], waited)
    with JournalReader.open(path) as reader:
        end = reader.end()
        kept = [frame.seq for frame in reader.frames()]
        gaps = kept != list(range(end.first_frame, frames))
        figures["lost"] = float(abs(16 * frames - end.rows) + gaps + (not reader.verify().ok))
    figures["other states"] = float(state_hash(replay_into_model(path)) != state_hash(service.state))
    return figures


def broken(figures: Figures) -> list[str]:
    limits = {"lost": 0, "other states": 0, "stuck": 0, "slowest word": LATEST}
    return at_most(figures, limits) + at_least(figures, {"jumps": 1})


PROMISE = Promise(10, "clocks", "clocks may jump", "jumps", 2000, 20, trial, broken)
