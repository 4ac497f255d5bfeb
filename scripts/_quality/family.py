"""A row family: one question, asked of several data sets, answered by a table and a plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np

from .source import Source
from .work import Crew

Record = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What the person asked for: how many seeds (None: the family's own number), whether quick, whether
    without peers that no figure needs; and who works on it."""

    seeds: int | None
    quick: bool
    ours: bool
    crew: Crew

    def count(self, usual: int, quick: int = 2) -> int:
        """How many seeds to try where a family usually tries `usual`."""
        return self.seeds or (quick if self.quick else usual)

    def some(self, most: int, usual: int, quick: int = 2) -> range:
        """The seeds, no more than `most` of them: for those that take long."""
        return range(min(most, self.count(usual, quick)))


@dataclass(frozen=True)
class Family:
    """A name, a title and notes for the reader, the columns shown, and how the records come about.

    `columns` are (key of the record, heading), beside set, learner and figure, which all have. `axis` is what
    the plot shows of each record: its `value`, and `low` to `high`.
    """

    name: str
    title: str
    notes: Sequence[str]
    columns: Sequence[tuple[str, str]]
    axis: str
    run: Callable[[Source, Options], Sequence[Record]]
    scale: str = "linear"


def record(data: str, learner: str, values: Sequence[float], **more: Any) -> Record:
    """A row of the table: what a learner reached on a set, with each seed."""
    known = [value for value in values if value is not None and np.isfinite(value)]
    return {
        "set": data,
        "learner": learner,
        "value": mean(known) if known else None,
        "low": min(known, default=None),
        "high": max(known, default=None),
        "values": list(values),
        "goal": None,
        "reach": None,
        "met": None,
        **more,
    }


def judged(row: Record, met: bool, reach: str, goal: float | None = None) -> Record:
    """The row with the figure it was to reach, in words and on the plot's axis, and whether it did."""
    return {**row, "met": bool(met), "reach": reach, "goal": goal}


def missed(row: Record) -> str:
    """The line for a person of a row that missed its figure."""
    found = row.get("said", "nothing")
    if "said" not in row and row["value"] is not None:
        found = f"{row['value']:.4g} ({row['low']:.4g} to {row['high']:.4g})"
    return f"{row['set']}: {row['learner']}: {found}, expected {row['reach']}"
