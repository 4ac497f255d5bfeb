"""Memory while a stream goes by: it must not grow with the rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np

from stream_mix.mixture import Model, Rows, Spec, learn, posterior

from . import machine
from .record import Name, Options, Record, Target

GROUP = "memory"
MOST_MIB = 4.0
"""Growth in MiB that counts as flat: the allocator's own movements."""
ROWS = 1024
FROM, TO = 1_000_000, 100_000_000
MOST_SECONDS = 110.0
"""A machine that does not get through all rows by then stops, and the note says how far it came."""
QUICK_SECONDS = 2.0
NAME = Name(GROUP, "memory growth, learning in one process, diag D=8 K=16")


def names() -> list[Name]:
    """Every row of this group."""
    return [NAME]


def records(options: Options) -> Iterator[Record]:
    """A process of its own judges and learns rows; its memory is read as it goes."""
    options.say(f"memory: up to {TO:,} rows")
    allowed = QUICK_SECONDS if options.quick else MOST_SECONDS
    output = subprocess.check_output([sys.executable, "-m", "_bench.memory", str(allowed)], text=True)
    read = json.loads(output)
    yield growth_record(NAME, read["sizes"], read["first"], read["rows"])


def growth_record(name: Name, sizes: list[float], first: int, last: int) -> Record:
    """Growth from the first reading, after `first` rows, to the largest later one."""
    growth = max(max(sizes[1:], default=sizes[0]) - sizes[0], 0.0)
    held = f"{min(sizes):.0f} to {max(sizes):.0f} MiB"
    note = f"{held} between {first:,} and {last:,} rows"
    return Record(name, growth, "MiB", target=Target("ours", "<=", MOST_MIB), note=note)


def measured(allowed: float) -> dict[str, object]:
    """MiB held after the first rows and after every further hundredth, until all are in or the time is up."""
    rng = np.random.default_rng(0)
    centres = 5.0 * rng.normal(size=(16, 8))
    blocks = [centres[rng.integers(0, 16, ROWS)] + rng.normal(size=(ROWS, 8)) for _ in range(64)]
    model = Model.new(Spec(n_components=16, family="diag"), 8)
    stop = time.monotonic() + allowed
    sizes: list[float] = []
    first = done = 0
    while done < TO and not (first and time.monotonic() > stop):
        x = blocks[done // ROWS % len(blocks)]
        posterior(model, x)
        model, _ = learn(model, Rows.of(x))
        before, done = done, done + ROWS
        if done // FROM > before // FROM:
            first = first or done
            sizes.append(machine.resident() / 2**20)
    return {"sizes": sizes, "first": first, "rows": done}


if __name__ == "__main__":
    print(json.dumps(measured(float(sys.argv[1]))))
