"""Kill -9 at random moments under load, over and over: what two of the promises have in common."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from stream_mix.client import ClientError, Producer

from .acked_engine import PATIENCE, Engine, Reckoning, Rows, until
from .promise import Figures, Trial

FRAME_ROWS = 64
LONGEST_LIFE = 0.3
"""Seconds after its first ack at which an engine is killed at the latest."""
TIMEOUT = 0.05


@dataclass
class Cycle:
    """One life of an engine: rows that its producer knew to be safe at its death, rows in its journal then,
    and seconds from its start to the first ack that covered something new."""

    safe: int
    kept: int
    first_ack: float


def cycles(trial: Trial, engine: Engine, reckoning: Reckoning) -> Iterator[Cycle]:
    """So many lives, and then a last one in which everything becomes safe."""
    rng = random.Random(trial.seed)
    rows = reckoning.rows
    sent = 0
    with engine, Producer(
        engine.to, acked=True, source="soak", timeout=TIMEOUT, linger=PATIENCE
    ) as producer:
        for number in range(trial.size + 1):
            engine.start()
            first = _first_ack(producer, engine)
            if number == trial.size:
                break
            killer = threading.Timer(rng.uniform(0.0, LONGEST_LIFE), engine.kill)
            killer.start()
            # Once more when it is dead: its successor then always has something to acknowledge.
            while killer.is_alive() or not producer.unsafe.frames:
                x, t = rows.block(sent, FRAME_ROWS)
                # No room in time is what happens when an engine is dead: nothing of it was taken.
                with suppress(ClientError):
                    producer.send(x, t=t)
                    sent += FRAME_ROWS
            killer.join()
            yield Cycle(sent - producer.unsafe.rows, reckoning.go_on(), first)
        producer.wait(PATIENCE)
        engine.kill()
        yield Cycle(sent, reckoning.go_on(), first)


def _first_ack(producer: Producer, engine: Engine) -> float:
    """Seconds from the engine's start until something that was held is acknowledged, or until it answers."""
    held = producer.unsafe.frames

    def answered() -> bool:
        producer.poll(0.02)
        return producer.unsafe.frames < held if held else producer.durability is not None

    until(answered, "an ack after a restart")
    return time.monotonic() - engine.begun


def counted(trial: Trial, *, compare: bool) -> Figures:
    """The figures of so many kills; `compare` recovers after each and looks whether the state is the same."""
    engine = Engine(trial.folder, every=20_000)
    reckoning = Reckoning(engine, Rows(trial.seed))
    lost = unequal = 0
    firsts = []
    cycle = Cycle(0, 0, 0.0)
    for number, cycle in enumerate(cycles(trial, engine, reckoning), 1):
        lost += max(0, cycle.safe - cycle.kept)
        unequal += reckoning.unequal() if compare else 0
        firsts.append(cycle.first_ack)
        if number % 50 == 0:
            trial.say(f"{number} kills, {cycle.kept:,} rows, {lost} lost, {unequal} unequal")
    return {
        "kills": len(firsts), "rows": cycle.kept, "lost": lost + cycle.safe - cycle.kept + reckoning.missing,
        "twice": reckoning.twice, "other": reckoning.other, "unequal": unequal,
        "first_ack_p50": float(np.median(firsts)), "first_ack_p99": float(np.percentile(firsts, 99)),
    }  # fmt: skip
