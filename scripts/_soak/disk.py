"""Promise 9: a full or failing disk loses nothing that was acknowledged, and is seen at once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from stream_mix.client import Producer, Query, Subscriber
from stream_mix.config import Settings
from stream_mix.engine import state_hash
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model
from stream_mix.ports.service import Service
from stream_mix.protocol import Assignment

from .promise import Figures, Promise, Trial, at_least, at_most
from .serving import PATIENCE, serving
from .simulated import Disk, in_silence

FRAMES = 60
PER_N = 2
"""Frames sent for n, at least, and for each unit of n: in groups of four a frame makes some two writes, so
that each n comes up, and is not waited for longer than it takes."""
ROUNDS = 50
"""Values of n between restarts, at which the journal is read and folded anew."""
KINDS = {
    "full": lambda kind: apsw.FullError("no space") if kind == "write" else None,
    "write": lambda kind: apsw.IOError("write") if kind == "write" else None,
    "sync": lambda kind: apsw.IOError("sync") if kind == "sync" else None,
    "either": lambda kind: apsw.IOError(kind),
}


def settings(path: Path) -> Settings:
    """A small engine whose commits are many."""
    local = "tcp://127.0.0.1:*"
    return Settings(
        ingest={"push": local, "acked": ""}, publish={"bind": local},
        query={"bind": local}, metrics={"bind": ""},
        journal={"path": str(path), "commit_frames": 4, "checkpoint_every_rows": 300},
        models=[{"name": "m", "n_components": 3, "family": "diag", "batch_size": 64}],
    )  # fmt: skip


def until(true: Callable[[], bool], what: str, ears: Ears | None = None) -> None:
    """Wait for a condition, listening meanwhile; fails where it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        if ears is not None:
            ears.listen()
        else:
            threading.Event().wait(0.002)


class Ears:
    """What was said, by the rows it was said of."""

    def __init__(self, subscriber: Subscriber) -> None:
        self.subscriber, self.said = subscriber, 0
        self.again = 0

    def listen(self) -> None:
        message = self.subscriber.receive(0.005)
        while message is not None:
            if isinstance(message, Assignment):
                self.again += message.offset < self.said
                self.said = message.offset + len(message.label)
            message = self.subscriber.receive(0.0)


def _one(service: Service, disk: Disk, n: int, kind: str, sent: int, figures: Figures, hears: Any) -> int:
    """Send frames while every n-th operation fails, heal the disk when that was seen, and wait for all."""
    producer, query, ears = hears
    tried = KINDS[kind]
    disk.healed()
    disk.trouble = lambda what, count: tried(what) if count % n == 0 else None
    seen: float | None = None
    rng = np.random.default_rng(n)
    for i in range(max(FRAMES, PER_N * n)):
        producer.send(rng.normal(size=(3, 3)))
        if i % 8 == 7:
            ears.listen()
            if service.loop.holding.group is not None:
                break
    until(
        lambda: service.state.offset == 3 * (sent + i + 1) or service.loop.holding.group is not None,
        "neither taken nor held", ears,
    )  # fmt: skip
    if service.loop.holding.group is not None:
        deadline = time.monotonic() + PATIENCE
        while query.health().status != "degraded" and time.monotonic() < deadline:
            pass
        seen = time.monotonic()
        figures["degraded"] += 1
        if disk.failed_at is not None:
            figures["slowest word"] = max(figures["slowest word"], seen - disk.failed_at)
        if n % 4 == 1:
            _tries(service, 2)
    disk.healed()
    sent += i + 1
    healed = time.monotonic()
    until(lambda: service.state.offset == 3 * sent, "not all was taken once the disk was well", ears)
    if seen is not None:
        figures["slowest resumption"] = max(figures["slowest resumption"], time.monotonic() - healed)
        figures["still degraded"] += query.health().status == "degraded"
    return sent


def _tries(service: Service, count: int) -> None:
    """Wait until the engine has tried so many times to write again, or has succeeded."""
    holding = service.loop.holding
    for _ in range(count):
        due = holding.due
        until(lambda: holding.due > due or holding.group is None, "no further attempt")  # noqa: B023  # called in this round


def _read_back(path: Path, sent: int, said: int, service: Service) -> tuple[int, int]:
    """Frames lost or kept twice, and whether the state is another than the journal's."""
    with JournalReader.open(path) as reader:
        seqs = [frame.seq for frame in reader.frames()]
        sound = reader.verify().ok and reader.end().rows >= said
    wrong = len(set(range(sent)) ^ set(seqs)) + len(seqs) - len(set(seqs)) + (not sound)
    return wrong, state_hash(replay_into_model(path)) != state_hash(service.state)


def trial(trial: Trial) -> Figures:
    """Every n from 1 on, kinds of trouble in turn; the engine is started anew after some."""
    rng = random.Random(trial.seed)
    names = (
        "n", "degraded", "failures", "lost", "other states", "said twice", "still degraded", "slowest word",
        "slowest resumption",
    )  # fmt: skip
    figures = dict.fromkeys(names, 0.0)
    disk = Disk("failing", rng)
    path = trial.folder / "a.journal"
    sent = 0
    with in_silence():
        for first in range(1, trial.size + 1, ROUNDS):
            last = min(first + ROUNDS, trial.size + 1)
            with serving(settings(path), connect=disk.connect) as service:
                ends = service.sockets.endpoints
                with (
                    Producer(ends["push"], source="s", start_seq=sent) as producer,
                    Query(ends["query"]) as query,
                    Subscriber(ends["publish"], kinds=("assignment",)) as subscriber,
                ):
                    ears = Ears(subscriber)
                    for n in range(first, last):
                        kind = list(KINDS)[(n + trial.seed) % len(KINDS)]
                        sent = _one(service, disk, n, kind, sent, figures, (producer, query, ears))
                        figures["n"] += 1
                    until(lambda: ears.said == 3 * sent, "not all was said", ears)  # noqa: B023  # called in this round
                    figures["said twice"] += ears.again
            lost, other = _read_back(path, sent, ears.said, service)
            figures["lost"] += lost
            figures["other states"] += other
            trial.say(f"n up to {last - 1}: {sent} frames, {figures['degraded']:g} times degraded")
    figures["failures"] = disk.failed
    disk.close()
    return figures


def broken(figures: Figures) -> list[str]:
    limits = {"lost": 0, "other states": 0, "said twice": 0, "still degraded": 0, "slowest word": 1.0}
    return at_most(figures, limits) + at_least(figures, {"degraded": figures["n"] / 3})


PROMISE = Promise(
    9, "disk", "a full or failing disk loses nothing and is seen within a second",
    "values of n: every n-th write or sync fails", 500, 12, trial, broken,
)  # fmt: skip
