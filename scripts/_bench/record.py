"""A row of the table: a workload, our figure, a peer's in the same run, and what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ONE, ALL = "one thread", "all cores"
"""How many cores both sides of a row may use."""
SHAPES = ((2, 5), (8, 16), (32, 64))
"""Features and components of what is measured at several sizes."""


def at(d: int, k: int) -> str:
    """The name of a shape."""
    return f"D={d} K={k}"


@dataclass(frozen=True)
class Name:
    """What a row is about, known before anything is measured.

    Attributes:
        group: `--only` chooses by it.
        work: what is measured.
        peer: whose figure stands beside ours; "" where there is none.
        shape: at which size, for what is measured at several.
    """

    group: str
    work: str
    peer: str = ""
    shape: str = ""


@dataclass(frozen=True)
class Target:
    """What a figure must reach: `what` is judged, `ours` or `ratio`; `relation` is >=, <= or <."""

    what: str
    relation: str
    limit: float

    def met(self, value: float | None) -> bool:
        """Whether the value reaches it; a figure that could not be taken does not."""
        if value is None:
            return False
        relations = {">=": value >= self.limit, "<=": value <= self.limit, "<": value < self.limit}
        return relations[self.relation]

    def __str__(self) -> str:
        return f"{self.relation} {self.limit:,g}{'x' * (self.what == 'ratio')}"


@dataclass(frozen=True)
class Record:
    """A measured figure.

    Attributes:
        name: which row it is.
        ours: our figure, in `unit`.
        theirs: the peer's, in the same unit.
        ratio: how many times better ours is; from neighbours in time where both were timed.
        share: the arithmetic of the dense computation, as a share of the machine's matrix-product rate.
        traffic: the rows' bytes, read once, as a share of the machine's memory bandwidth.
        target: what was wanted, where something was.
        note: what a reader must know beside it.
    """

    name: Name
    ours: float | None
    unit: str
    theirs: float | None = None
    ratio: float | None = None
    share: float | None = None
    traffic: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met(getattr(self, self.target.what))

    def plain(self, judged: bool) -> dict[str, Any]:
        """The record as JSON has it; `met` only where targets are judged."""
        own = {key: value for key, value in vars(self).items() if key not in ("name", "target")}
        target = None if self.target is None else list(vars(self.target).values())
        return {**vars(self.name), **own, "target": target, "met": self.met if judged else None}


@dataclass(frozen=True)
class Limits:
    """What the machine can do with so many threads."""

    threads: int
    gflops: float
    gbs: float

    def share(self, operations: float, seconds: float) -> float:
        """Floating-point operations in so many seconds, as a share of the matrix-product rate."""
        return operations / seconds / 1e9 / self.gflops

    def traffic(self, size: float, seconds: float) -> float:
        """Bytes in so many seconds, as a share of the memory bandwidth."""
        return size / seconds / 1e9 / self.gbs


@dataclass(frozen=True)
class Options:
    """What the person asked for, what the machine can do, and where to say what is going on."""

    quick: bool
    repetitions: int
    limits: dict[str, Limits]
    say: Callable[[str], None] = field(default=lambda line: None)
