"""A row family: one question, asked of several data sets, answered by a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .datasets import DataSet


@dataclass(frozen=True)
class Options:
    """What the person asked for: how many seeds, whether quick, and where to say what is going on."""

    seeds: int
    quick: bool
    say: Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """Records, one a row of the table, and one line for each figure that was missed."""

    records: Sequence[dict[str, Any]]
    missed: Sequence[str]


@dataclass(frozen=True)
class Family:
    """A name, a title and notes for the reader, the columns shown, and how the records come about.

    `columns` are (key of the record, heading). `run` takes the data sets as they come: one at a time is in
    memory.
    """

    name: str
    title: str
    notes: Sequence[str]
    columns: Sequence[tuple[str, str]]
    run: Callable[[Iterable[DataSet], Options], Result]
