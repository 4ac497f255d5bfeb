"""The demonstration from its first line to its last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import IO, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from stream_mix.client import Producer, Query, Subscriber
from stream_mix.ports.replaying import recorded_settings
from stream_mix.protocol import Snapshot
from stream_mix.workers import replay

from .engine import DemoError, configure, running
from .live import Screen, Seen
from .stream import COARSE, FINE, Stream, rand_index, shuttle
from .words import NOTES, closing, opening

FRAME_ROWS = 128
WAIT_SECONDS = 20.0
ASK_ROWS = 8192
NAMES = {COARSE: "coarse", FINE: "fine"}

Line: TypeAlias = dict[str, Any]
"""A line of the comparison, as `peers.Result` has it."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A model at the end of the stream, and what it says of every row (n,), (n, k)."""

    snapshot: Snapshot
    label: npt.NDArray[np.int64]
    p: npt.NDArray[np.float64]
    log_density: npt.NDArray[np.float64]


def run(out: Path, *, seconds: float = 8.0, picture: bool = True, compare: bool = True) -> int:
    """Show everything, write into the folder `out`, return 0. Raises ValueError, one line, if it cannot."""
    began = time.monotonic()
    console = Console() if sys.stdout.isatty() else Console(width=110)
    if picture:
        import matplotlib.figure  # noqa: F401  # a missing one is said before anything else
    config, journal = configure(out)
    with _peers() if compare else nullcontext() as peers:
        stream = shuttle()
        print(opening(stream))
        with running(config) as endpoints:
            print(f"engine: stream-mix run {config}, listening at {endpoints['push']}", flush=True)
            seen = _streamed(stream, endpoints, seconds, console)
            judged = [_judged(stream, endpoints["query"], name) for name in (NAMES[COARSE], NAMES[FINE])]
        results, kmeans = ([], None) if peers is None else peers.results()
    _table(
        console, [_ours(journal, stream, k, found) for k, found in zip(NAMES, judged, strict=True)] + results
    )
    _remarks(seen, *judged)
    if picture:
        from .picture import Fitted, draw

        fine = judged[-1]
        found = fine.snapshot
        fitted = Fitted(found.weights, found.means, found.covariances, fine.p, seen.strangest(20))
        features = draw(out / "shuttle.png", stream, fitted, kmeans)
        told = f"sensors {' and '.join(features)}, in which the components are told apart best"
        print(f"\npicture: {out / 'shuttle.png'} ({told})")
    again = replay.run(journal)
    print(closing(out, journal, again.rows, again.state_hash or ""))
    print(f"\n{time.monotonic() - began:.1f} s in all")
    return 0


def _streamed(stream: Stream, endpoints: dict[str, str], seconds: float, console: Console) -> Seen:
    """Send all rows at an even pace and hear what is said of them."""
    n = len(stream.x)
    with (
        Subscriber(endpoints["publish"], model=NAMES[FINE], kinds=("assignment", "snapshot")) as subscriber,
        Producer(endpoints["push"], source="shuttle", features=stream.features) as producer,
    ):
        if not subscriber.connected(WAIT_SECONDS):
            raise DemoError("the engine started and does not publish")
        start = time.monotonic()
        seen = Seen(stream, start)
        with Screen(seen, console) as screen:
            sent = 0
            while seen.rows < n:
                now = time.monotonic()
                if now > start + seconds + WAIT_SECONDS:
                    raise DemoError(f"the engine answered for {seen.rows} of {n} rows in time")
                due = round((now - start) / seconds * n)
                while sent < min(n, due):
                    producer.send(stream.x[sent : sent + FRAME_ROWS])
                    sent = min(n, sent + FRAME_ROWS)
                message = subscriber.receive(0.005)
                while message is not None:
                    seen.hear(message, time.monotonic())
                    message = subscriber.receive(0.0)
                screen.show(now)
            screen.show(time.monotonic(), last=True)
    return seen


def _judged(stream: Stream, endpoint: str, model: str) -> Judged:
    """Ask the engine for a model, and what it says of all rows now."""
    x, features = stream.x, stream.features
    with Query(endpoint) as query:
        starts = range(0, len(x), ASK_ROWS)
        parts = [query.predict(x[at : at + ASK_ROWS], features=features, model=model) for at in starts]
        snapshot = query.snapshot(model)
    p = np.concatenate([np.asarray(part.p, dtype=np.float64) for part in parts])
    label = np.concatenate([part.label for part in parts])
    return Judged(snapshot, label, p, np.concatenate([part.log_density for part in parts]))


def _ours(journal: Path, stream: Stream, k: int, found: Judged) -> Line:
    """The engine's model in the comparison; its seconds are those of a replay into that model alone."""
    spec = next(model.spec() for model in recorded_settings(journal).models if model.name == NAMES[k])
    start = process_time()
    replay.run(journal, how=spec)
    seconds = process_time() - start
    index = rand_index(stream.anomaly, found.label)
    mean = float(found.log_density.mean())
    name = "stream_mix mixture, not scaled"
    return {"name": name, "k": k, "rand_index": index, "log_likelihood": mean, "seconds": seconds}


@dataclass(frozen=True, slots=True)
class Peers:
    """The other methods at work; their output goes to a file, as a pipe that nobody reads stops them."""

    process: subprocess.Popen[bytes]
    out: IO[bytes]

    def results(self) -> tuple[list[Line], npt.NDArray[np.int64]]:
        """What they came to, and the labels of our k-means. Waits until they are done; raises DemoError."""
        if self.process.poll() is None:
            print("the other libraries are still learning ...", flush=True)
        code = self.process.wait()
        self.out.seek(0)
        lines = self.out.read().decode().strip().splitlines() or ["it said nothing"]
        if code and "No module named 'sklearn'" in lines[-1]:
            raise DemoError(
                "the comparison needs scikit-learn: pip install 'stream_mix[demo]', or --no-compare"
            )
        if code:
            raise DemoError(f"the comparison failed: {lines[-1]}")
        results = [json.loads(line) for line in lines]
        return results, np.array(results[0]["labels"], dtype=np.int64)


@contextmanager
def _peers() -> Iterator[Peers]:
    """The other methods beside the stream, in a process of their own, on one thread."""
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    one["PYTHONHASHSEED"] = "0"  # River's KMeans draws its centres in the order of a set of names
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_mix.demo.peers"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **one},
            start_new_session=True,
        )  # fmt: skip
        try:
            yield Peers(process, out)
        finally:
            process.kill()
            process.wait()


def _table(console: Console, lines: list[Line]) -> None:
    grid = Table(title="one pass over the same rows", title_justify="left", title_style="bold")
    grid.add_column("method")
    for name in ("K", "adjusted Rand index", "log-likelihood per row", "seconds"):
        grid.add_column(name, justify="right")
    for line in sorted(lines, key=lambda line: line["k"] or 99):
        mean = line["log_likelihood"]
        grid.add_row(
            line["name"], str(line["k"] or "own"), f"{line['rand_index']:.3f}",
            "-" if mean is None else f"{mean:.2f}", f"{line['seconds']:.2f}",
            style="bold" if "mixture" in line["name"] else None,
        )  # fmt: skip
    console.print(grid)
    print(NOTES)


def _remarks(seen: Seen, coarse: Judged, fine: Judged) -> None:
    anomaly = seen.stream.anomaly
    for judged in (coarse, fine):
        parts = []
        for i in np.argsort(-judged.snapshot.weights).tolist():
            own = judged.label == judged.snapshot.components[i]
            parts.append(f"{int(own.sum()):,} rows with {int(anomaly[own].sum()):,} anomalies")
        print(f"\nK = {len(parts)}, its components: {'; '.join(parts)}.", end="")
    strange = seen.strangest(20)
    print(
        f"\nOf the 20 strangest rows {int(anomaly[strange].sum())} are labelled anomalies, against "
        f"{anomaly.mean():.0%} of all: the labels do not know of sensors that jump."
    )
