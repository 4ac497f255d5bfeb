"""Promise 7: memory is bounded, however many push however much."""

from __future__ import annotations

import json
import sys
import threading
import time
from statistics import median

from .promise import Figures, Promise, Trial, at_least, at_most
from .running import Running, child, engine

PEERS = 50
ROWS, D = 1024, 8
BUDGET_MIB = 512
SAMPLE_SECONDS = 0.05
MODEL = f"""
[limits]
memory_bytes = {BUDGET_MIB << 20}
[[models]]
name = "m"
family = "full"
n_components = 32
"""
"""Far slower than frames come in: several hundred MB a second against a few tens."""


def _watched(running: Running, seconds: float, trial: Trial) -> list[float]:
    """Its memory in MiB, many times a second."""
    samples, begun, said = [], time.monotonic(), 0.0
    pause = threading.Event()
    while (at := time.monotonic() - begun) < seconds:
        samples.append(running.memory)
        if at > said + 30.0:
            said = at
            trial.say(f"{at:.0f} s, {samples[-1]:.0f} MiB, at most {max(samples):.0f} MiB")
        pause.wait(SAMPLE_SECONDS)
    return samples


def trial(trial: Trial) -> Figures:
    """Fifty producers push 64 KiB frames without end into an engine that cannot keep up."""
    with engine(trial.folder, MODEL) as running:
        told = {"endpoint": running.endpoints["push"], "peers": PEERS, "rows": ROWS, "d": D}
        begun = running.memory
        with child([sys.executable, "-m", "_soak.flood", json.dumps(told)], trial.folder) as flood:
            samples = _watched(running, trial.size, trial)
            metrics = running.metrics()
            out, _ = flood.communicate("", timeout=60)
            sent = json.loads(out)["sent"]
    half, quarter = samples[len(samples) // 2 :], max(len(samples) // 4, 1)
    return {
        "seconds": trial.size, "peers": PEERS, "sent_mb": sent * ROWS * D * 8 / 2**20,
        "frames": metrics["stream_mix_frames_total"], "dropped": metrics["stream_mix_dropped_total"],
        "begun_mb": begun, "peak_mb": max(samples), "budget_mb": BUDGET_MIB,
        "growth_mb": median(half[-quarter:]) - median(half[:quarter]),
    }  # fmt: skip


def broken(figures: Figures) -> list[str]:
    """What was not kept."""
    most = {"peak_mb": figures["budget_mb"], "growth_mb": 0.1 * figures["budget_mb"]}
    return at_most(figures, most) + at_least(figures, {"sent_mb": 2 * figures["begun_mb"]})


PROMISE = Promise(7, "memory", "memory is bounded", "seconds of overload", 600, 6, trial, broken)
