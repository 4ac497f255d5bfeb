"""What is seen while the stream flows: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stream_mix.protocol import Assignment, Published, Snapshot

from .palette import colour
from .stream import FINE, Stream

STRANGEST = 6
BAR = 32
REDRAW_SECONDS = 0.2
LINE_SECONDS = 2.0


@dataclass(eq=False)
class Seen:
    """What the engine has said of each row (n,) by now: -1 and NaN where nothing, or while it warmed up."""

    stream: Stream
    started: float
    label: npt.NDArray[np.int64] = field(init=False)
    log_density: npt.NDArray[np.float64] = field(init=False)
    outlier: npt.NDArray[np.float64] = field(init=False)
    snapshot: Snapshot | None = None
    rows: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.stream.x)
        self.label = np.full(n, -1, dtype=np.int64)
        self.log_density, self.outlier = np.full(n, np.nan), np.full(n, np.nan)

    def hear(self, message: Published, now: float) -> None:
        """Take note of a message of the model that is shown."""
        if isinstance(message, Snapshot):
            self.snapshot = message
        elif isinstance(message, Assignment):
            which = slice(message.offset, message.offset + message.n)
            warm = message.label >= 0
            self.label[which] = message.label
            self.log_density[which] = np.where(warm, message.log_density, np.nan)
            self.outlier[which] = np.where(warm, message.outlier, np.nan)
            self.rows, self.seconds = message.offset + message.n, now - self.started

    @property
    def log_likelihood(self) -> float:
        """Mean log density of the last rows, each as it was before the row was learned."""
        recent = self.log_density[max(0, self.rows - 5000) : self.rows]
        return float(np.nanmean(recent)) if np.isfinite(recent).any() else float("nan")

    def strangest(self, count: int = STRANGEST) -> list[int]:
        """The rows that were least likely when they came, the least likely first."""
        order = np.argsort(np.where(np.isnan(self.log_density), np.inf, self.log_density))
        return [int(i) for i in order[:count] if np.isfinite(self.log_density[i])]

    def headline(self) -> str:
        """How far, how fast, how well."""
        rate = self.rows / self.seconds if self.seconds else 0.0
        mean = (
            "warming up"
            if np.isnan(self.log_likelihood)
            else f"log-likelihood {self.log_likelihood:.2f} per row"
        )
        return f"{self.rows:,} of {len(self.label):,} rows, {rate:,.0f} rows/s, {mean}"


def table(seen: Seen) -> RenderableType:
    """Components with their weights, and the strangest rows so far."""
    grid = Table(
        title=f"K = {FINE}: {seen.headline()}", title_justify="left", title_style="bold", expand=False
    )
    for name in ("component", "weight", "", "rows", "anomalies among them"):
        grid.add_column(name, justify="left" if name in ("", "component") else "right")
    snapshot = seen.snapshot
    if snapshot is not None:
        for place, i in enumerate(np.argsort(-snapshot.weights).tolist()):
            component, weight = snapshot.components[i], float(snapshot.weights[i])
            own = seen.label[: seen.rows] == component
            bad = int(seen.stream.anomaly[: seen.rows][own].sum())
            share = f"{bad / own.sum():.1%}" if own.any() else "-"
            bar = Text("█" * max(1, round(weight * BAR)), style=colour(place))
            grid.add_row(str(component), f"{weight:.3f}", bar, f"{int(own.sum()):,}", share)
    strange = Table(title="strangest rows so far", title_justify="left", title_style="bold")
    for name in ("row", "log density", "outlier score", "labelled", "sensors"):
        strange.add_column(name, justify="left" if name in ("labelled", "sensors") else "right")
    for row in seen.strangest():
        labelled = (
            Text("anomaly", style="bold red") if seen.stream.anomaly[row] else Text("normal", style="dim")
        )
        values = " ".join(f"{value:g}" for value in seen.stream.x[row])
        strange.add_row(
            f"{row:,}", f"{seen.log_density[row]:,.1f}", f"{seen.outlier[row]:.4f}", labelled, values
        )
    return Group(grid, strange)


class Screen:
    """Shows what was seen, at its own pace."""

    def __init__(self, seen: Seen, console: Console) -> None:
        self._seen, self._console = seen, console
        self._live = Live(table(seen), console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = 0.0

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def show(self, now: float, last: bool = False) -> None:
        """Draw again where it is time to."""
        every = LINE_SECONDS if self._live is None else REDRAW_SECONDS
        if not last and now < self._shown + every:
            return
        self._shown = now
        if self._live is not None:
            self._live.update(table(self._seen), refresh=True)
        elif last:
            self._console.print(table(self._seen))
        else:
            print(self._seen.headline(), flush=True)

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        sys.stdout.flush()
