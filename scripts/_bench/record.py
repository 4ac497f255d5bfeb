"""A row of the table: a workload, our figure, a peer's in the same run, and what was wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Record:
    """A measured figure.

    Attributes:
        group: what it belongs to; `--only` chooses by it.
        work: what was measured.
        ours: our figure, in `unit`.
        peer, theirs, ratio: the other side of the same run, how it did, and how many times better ours is.
        share: our figure as a share of what the machine can do, where there is such a limit.
        target: (what is judged, `>=` or `<=` or `<`, limit); what is judged is `ours` or `ratio`.
        note: what a reader must know beside it.
    """

    group: str
    work: str
    ours: float | None
    unit: str
    peer: str | None = None
    theirs: float | None = None
    ratio: float | None = None
    share: float | None = None
    target: tuple[str, str, float] | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        what, relation, limit = self.target
        value = self.ratio if what == "ratio" else self.ours
        if value is None:
            return False
        return value >= limit if relation == ">=" else value <= limit if relation == "<=" else value < limit

    @property
    def wanted(self) -> str | None:
        """The target as a person reads it."""
        if self.target is None:
            return None
        what, relation, limit = self.target
        return f"{relation} {limit:,g}{'x' if what == 'ratio' else ''}"

    @property
    def verdict(self) -> str:
        """Met, missed, or nothing where there is no target."""
        return {None: "", True: "met", False: "MISSED"}[self.met]


@dataclass(frozen=True)
class Options:
    """What the person asked for, and where to say what is going on."""

    quick: bool
    repetitions: int
    say: Callable[[str], None] = field(default=lambda line: None)
