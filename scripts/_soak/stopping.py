"""Promise 12: stopping loses nothing."""

from __future__ import annotations

import random
import threading
from contextlib import suppress

from stream_mix.client import ClientError, Producer
from stream_mix.ports.journal import JournalReader

from .acked_engine import PATIENCE, Engine, Reckoning, Rows
from .cycles import FRAME_ROWS, TIMEOUT, _first_ack
from .promise import Figures, Promise, Trial, at_most

LONGEST_LIFE = 0.3


def trial(trial: Trial) -> Figures:
    """SIGTERM at random moments under load: how long it takes, and whether what was acknowledged was
    learned."""
    engine = Engine(trial.folder)
    reckoning = Reckoning(engine, Rows(trial.seed))
    rng = random.Random(trial.seed)
    sent = unlearned = unclean = 0
    slowest = 0.0
    with engine, Producer(
        engine.to, acked=True, source="soak", timeout=TIMEOUT, linger=PATIENCE
    ) as producer:
        for number in range(1, trial.size + 1):
            engine.start()
            _first_ack(producer, engine)
            ended: list[tuple[int, float]] = []
            after = rng.uniform(0.0, LONGEST_LIFE)
            stopper = threading.Timer(after, lambda ended=ended: ended.append(engine.stop()))
            stopper.start()
            while stopper.is_alive() or not producer.unsafe.frames:
                x, t = reckoning.rows.block(sent, FRAME_ROWS)
                with suppress(ClientError):
                    producer.send(x, t=t)
                    sent += FRAME_ROWS
            stopper.join()
            code, took = ended[0]
            slowest = max(slowest, took)
            unclean += code != 0
            # The last word of a clean stop is a checkpoint: what it covers was learned.
            with JournalReader.open(engine.journal) as reader:
                last = reader.last_checkpoint()
            learned = 0 if last is None else last.offset
            unlearned += max(0, sent - producer.unsafe.rows - learned)
            if number % 20 == 0:
                trial.say(f"{number} stops, {learned:,} rows, slowest {slowest:.2f} s, {unlearned} unlearned")
        engine.start()
        producer.wait(PATIENCE)
        engine.stop()
    kept = reckoning.go_on()
    return {
        "stops": trial.size, "rows": kept, "slowest": slowest, "unclean": unclean, "unlearned": unlearned,
        "lost": sent - kept + reckoning.missing, "twice": reckoning.twice, "other": reckoning.other,
        "unequal": reckoning.unequal(),
    }  # fmt: skip


def broken(figures: Figures) -> list[str]:
    """Each stop is clean and quick, and nothing acknowledged is missing from what was learned."""
    none = ("unclean", "unlearned", "lost", "twice", "other", "unequal")
    return at_most(figures, {"slowest": 2.0, **dict.fromkeys(none, 0)})


PROMISE = Promise(12, "stopping", "stopping loses nothing", "stops", 200, 2, trial, broken)
