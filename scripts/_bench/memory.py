"""Memory while a stream goes by: it must not grow with the rows."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np

from stream_mix.mixture import Model, Rows, Spec, learn, posterior

from . import machine
from .record import Options, Record

GROUP = "memory"
MOST_MIB = 4.0
"""Growth in MiB that counts as flat: the allocator's own movements."""
ROWS = 1024
FULL = 10_000_000


def records(options: Options) -> Iterator[Record]:
    """A process of its own learns and judges rows; its memory is read at every tenth of them."""
    total = 1_000_000 if options.quick else FULL
    options.say(f"memory: {total:,} rows")
    output = subprocess.check_output([sys.executable, "-m", "_bench.memory", str(total)], text=True)
    sizes = json.loads(output)
    yield growth_record("learning in one process, diag D=8 K=16", sizes, total)


def growth_record(work: str, sizes: list[float], total: int, since: int = 0) -> Record:
    """Growth from the reading number `since`, of ten, to the largest later one."""
    steps = ", ".join(f"{size:.0f}" for size in sizes)
    return Record(
        GROUP,
        f"memory growth over {total:,} rows, {work}",
        max(max(sizes[since + 1 :]) - sizes[since], 0.0),
        "MiB",
        # Over fewer rows the first reading falls into the time when queues and caches still fill.
        target=("ours", "<=", MOST_MIB) if total >= FULL else None,
        note=f"MiB held at every tenth of the rows: {steps}",
    )


def sizes(total: int) -> list[float]:
    """MiB held after every tenth of the rows."""
    rng = np.random.default_rng(0)
    centres = 5.0 * rng.normal(size=(16, 8))
    model = Model.new(Spec(n_components=16, family="diag"), 8)
    read: list[float] = []
    done = 0
    while done < total:
        x = centres[rng.integers(0, 16, ROWS)] + rng.normal(size=(ROWS, 8))
        posterior(model, x)
        model, _ = learn(model, Rows.of(x))
        before, done = done, done + ROWS
        if done * 10 // total > before * 10 // total:
            read.append(machine.resident() / 2**20)
    return read


if __name__ == "__main__":
    print(json.dumps(sizes(int(sys.argv[1]))))
