"""Promise 4: duplicates, frames out of order and connections that break do no harm."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import msgpack
import zmq

from .acked_engine import PATIENCE, Engine, Reckoning, Rows, until
from .promise import BrokenError, Figures, Promise, Trial, at_least, at_most
from .proxy import Proxy

FRAMES_A_RESET = 1000
DUPLICATES, SWAPS = 0.1, 0.005
"""Shares of frames that are sent once more, and that are sent before the one before them."""
SILENCE = 0.2
FRAME_BYTES = 230
"""About what a frame of one row takes on the wire."""


class Careless:
    """A producer of plain pyzmq and msgpack that keeps what is not acknowledged, and else takes no care."""

    def __init__(self, endpoint: str, rows: Rows, frames: int, seed: int) -> None:
        self.alive: Callable[[], bool] = lambda: True
        self._rng = random.Random(seed)
        self._rows, self._frames = rows, frames
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.IMMEDIATE, 1)
        self._socket.set(zmq.RECONNECT_IVL, 10)
        self._socket.connect(endpoint)
        self.done, self.next, self.credit = -1, 0, 1
        self.duplicates = self.again = 0
        self._heard = self._again = time.monotonic()

    def run(self, say: Any) -> None:
        """Until every frame is acknowledged."""
        told = 0
        while self.done < self._frames - 1:
            self._listen(0 if self.next <= min(self.done + self.credit, self._frames - 1) else 20)
            for _ in range(16):
                self._speak()
            if self.done - told >= 100_000:
                told = self.done
                say(f"{told:,} frames acknowledged")
        self._socket.close()
        self._context.term()

    def _frame(self, seq: int) -> bytes:
        x, t = self._rows.block(seq, 1)
        body = {
            "kind": "points", "v": 1, "source": "careless", "seq": seq, "n": 1, "d": 8, "dtype": "f8",
            "x": x.tobytes(), "t": t.tobytes(),
        }  # fmt: skip
        data: bytes = msgpack.packb(body)
        return data

    def _speak(self) -> None:
        """The next frame, sometimes with an older one, sometimes after its successor."""
        if self.next > min(self.done + self.credit, self._frames - 1):
            return
        order = [self.next]
        if self._rng.random() < SWAPS:
            order = [self.next + 1, self.next]
        if self._rng.random() < DUPLICATES:
            order.append(max(0, self.next - self._rng.randrange(300)))
            self.duplicates += 1
        try:
            for seq in order:
                self._socket.send(self._frame(seq), zmq.NOBLOCK)
        except zmq.Again:
            return
        self.next += 1

    def _listen(self, wait_ms: int) -> None:
        now = time.monotonic()
        if self._socket.poll(wait_ms):
            self._heard = now
            while self._socket.poll(0):
                said = msgpack.unpackb(self._socket.recv())
                if said["kind"] == "ack":
                    self.done, self.credit = max(self.done, said["seq"]), said["credit"]
                    self.next = max(self.next, self.done + 1)
                elif "expected" in said and said["code"] in ("gap", "credit"):
                    self._back(said["expected"])
                else:
                    raise BrokenError(f"frame {said['seq']} was refused: {said['reason']}")
        elif now > self._heard + PATIENCE:
            raise BrokenError(f"nothing was acknowledged for {PATIENCE:g} s")
        elif not self.alive():
            raise BrokenError("the engine has died")
        elif now > max(self._heard, self._again) + SILENCE:
            self._back(self.done + 1)
            self._again = now

    def _back(self, seq: int) -> None:
        self.again += max(0, self.next - seq)
        self.next = min(self.next, seq)


def trial(trial: Trial) -> Figures:
    """So many frames of one row, with repetitions, through a proxy that resets connections in mid-frame."""
    engine = Engine(trial.folder)
    rows = Rows(trial.seed)
    resets = max(1, trial.size // FRAMES_A_RESET)
    with engine, Proxy(engine.to, FRAMES_A_RESET * FRAME_BYTES, resets, trial.seed) as proxy:
        engine.start()
        until(engine.journal.exists, "the engine's start")
        careless = Careless(proxy.endpoint, rows, trial.size, trial.seed)
        careless.alive = lambda: engine.running
        careless.run(trial.say)
        code, _ = engine.stop()
    reckoning = Reckoning(engine, rows)
    kept = reckoning.go_on()
    return {
        "frames": kept, "resets": proxy.resets, "duplicates": careless.duplicates,
        "sent_again": careless.again, "gaps": trial.size - kept + reckoning.missing,
        "double": reckoning.twice, "other": reckoning.other, "unequal": reckoning.unequal(),
        "exit_code": code, "resets_wanted": 0.8 * resets,
    }  # fmt: skip


def broken(figures: Figures) -> list[str]:
    """Each row once, in order, and the state that a clean replay leads to."""
    return [
        *at_most(figures, dict.fromkeys(("gaps", "double", "other", "unequal", "exit_code"), 0)),
        *at_least(figures, {"resets": figures["resets_wanted"], "duplicates": 0.09 * figures["frames"]}),
    ]


PROMISE = Promise(
    4, "resends", "duplicates, reordering and resets do no harm", "frames", 1_000_000, 5000, trial, broken
)
