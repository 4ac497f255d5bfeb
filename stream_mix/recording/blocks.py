"""Rows read from a table, before and after they were judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_mix.protocol import VALUE_MAX, show

Floats = NDArray[np.float64]
RowId = str | int | None

MISSING: Final = frozenset(("", "nan", "na", "n/a", "null", "none"))
"""Cells that hold no value, in lower case."""


class RecordingError(ValueError):
    """A file of rows cannot be read or written; the message is one line that names the file."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that was left out: where it is (line, or row of a Parquet file, counted from 1) and why."""

    file: str
    line: int
    column: str | None
    value: str | None
    reason: str

    def __str__(self) -> str:
        column = "" if self.column is None else f", column {show(self.column)}"
        value = "" if self.value is None else f", got {show(self.value)}"
        return f"{self.file}, line {self.line}{column}: {self.reason}{value}"


OnRefused = Callable[[Refusal], None]


class Block(NamedTuple):
    """Rows of a table: x (n, d) float64, NaN = missing; t (n,), w (n,), id (n) or None without any."""

    features: tuple[str, ...]
    x: Floats
    t: Floats | None
    w: Floats | None
    id: tuple[str | int, ...] | None


class Chunk(NamedTuple):
    """Rows whose cells are numbers but which were not judged; NaN and None stand for what a row has not."""

    features: tuple[str, ...]
    x: Floats
    t: Floats
    w: Floats
    id: Sequence[RowId]
    lines: Sequence[int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column of a table is what."""

    features: tuple[str, ...]
    time: str | None
    weight: str | None
    id: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller said about the columns; None for time, weight, id is "t", "w", "id" if present."""

    time: str | None = None
    weight: str | None = None
    id: str | None = None
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()

    def layout(self, file: str, names: Collection[str]) -> Layout:
        """The layout of a table with these column names; RecordingError where a named one is not there."""
        asked = [
            name for name in (self.time, self.weight, self.id, *(self.columns or ()), *self.drop) if name
        ]
        for name in asked:
            if name not in names:
                raise RecordingError(
                    f"{file}: no column {show(name)}, expected one of {show(', '.join(names))}"
                )
        time, weight, id = self.special(names)
        taken = {time, weight, id, *self.drop}
        features = tuple(self.columns or [name for name in names if name not in taken])
        if not features:
            raise RecordingError(f"{file}: no feature is left of the columns {show(', '.join(names))}")
        return Layout(features, time, weight, id)

    def special(self, names: Collection[str]) -> tuple[str | None, str | None, str | None]:
        """The columns of time, weight and id in a table with these column names."""
        time, weight, id = (
            name if given or name in names else None
            for name, given in zip(self.own, (self.time, self.weight, self.id), strict=True)
        )
        return time, weight, id

    @property
    def own(self) -> tuple[str | None, str | None, str | None]:
        """The columns of time, weight and id where there are any of that name; "" said that there is none."""
        chosen = set(self.columns or ()) | set(self.drop)
        time, weight, id = (
            (None if default in chosen else default) if given is None else given or None
            for given, default in ((self.time, "t"), (self.weight, "w"), (self.id, "id"))
        )
        return time, weight, id


def number(text: str) -> float:
    """The number in a cell, NaN where it is empty; ValueError where it is neither.

    >>> number(" 1e3 "), number("NA")
    (1000.0, nan)
    """
    text = text.strip()
    if text.lower() in MISSING:
        return math.nan
    if "_" in text:
        raise ValueError(text)
    return float(text)


def seconds(text: str) -> float:
    """Unix seconds of a cell that holds them or an ISO 8601 time (UTC where it names no zone).

    >>> seconds("1.5"), seconds("1970-01-01T01:00:00+01:00"), seconds("1970-01-02")
    (1.5, 0.0, 86400.0)
    """
    try:
        return number(text)
    except ValueError:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def row_id(text: str) -> RowId:
    """The id in a cell: an integer where it is written as one, None where it is empty."""
    if text == "":
        return None
    return int(text) if text.isdecimal() and text.isascii() and (text[0] != "0" or text == "0") else text


def check_numeric(file: str, columns: Iterable[tuple[str, Sequence[Any], Callable[[Any], Any]]]) -> None:
    """RecordingError naming each column of two or more cells, empty ones apart, and none of them a number."""
    bad = []
    for name, cells, parse in columns:
        seen = 0
        for cell in cells:
            try:
                if not math.isnan(parse(cell)):
                    break
            except ValueError:
                seen += 1
        else:
            if seen >= 2:
                first = next(cell for cell in cells if not _parses(parse, cell))
                bad.append(f"{show(name)} (such as {show(first)})")
    if bad:
        raise RecordingError(f"{file}: not numbers: {', '.join(bad)}; leave them out, or choose the columns")


def _parses(parse: Callable[[Any], Any], cell: Any) -> bool:
    try:
        parse(cell)
    except ValueError:
        return False
    return True


def judge(file: str, chunk: Chunk, on_refused: OnRefused | None) -> Iterator[Block]:
    """The chunk's good rows, in blocks whose rows all have, or all lack, a time, a weight, an id."""
    missing = np.isnan(chunk.x)
    with np.errstate(invalid="ignore"):
        bad = ~((np.abs(chunk.x) <= VALUE_MAX) | missing).all(axis=1) | missing.all(axis=1)
        bad |= (np.abs(chunk.t) > VALUE_MAX) | (chunk.w <= 0) | (chunk.w > VALUE_MAX)
    if bad.any():
        if on_refused is not None:
            for row in np.flatnonzero(bad).tolist():
                on_refused(_refusal(file, chunk, row))
        keep = np.flatnonzero(~bad)
        kept = keep.tolist()
        id, lines = [chunk.id[k] for k in kept], [chunk.lines[k] for k in kept]
        chunk = Chunk(chunk.features, chunk.x[keep], chunk.t[keep], chunk.w[keep], id, lines)
    yield from _runs(chunk)


def _runs(chunk: Chunk) -> Iterator[Block]:
    no_id = np.fromiter((one is None for one in chunk.id), bool, len(chunk.id))
    lacks = np.isnan(chunk.t) * 4 + np.isnan(chunk.w) * 2 + no_id
    cuts = [0, *(np.flatnonzero(np.diff(lacks)) + 1).tolist(), len(lacks)]
    for start, stop in pairwise(cuts):
        if start == stop:
            continue
        lack = int(lacks[start])
        yield Block(
            chunk.features,
            chunk.x[start:stop],
            None if lack & 4 else chunk.t[start:stop],
            None if lack & 2 else chunk.w[start:stop],
            None if lack & 1 else tuple(one for one in chunk.id[start:stop] if one is not None),
        )


def _refusal(file: str, chunk: Chunk, row: int) -> Refusal:
    line = chunk.lines[row]
    if not abs(chunk.t[row]) <= VALUE_MAX and not math.isnan(chunk.t[row]):
        return Refusal(file, line, None, repr(float(chunk.t[row])), "expected a time within 1e100 seconds")
    if chunk.w[row] <= 0 or chunk.w[row] > VALUE_MAX:
        return Refusal(
            file, line, None, repr(float(chunk.w[row])), "expected a weight above 0, at most 1e100"
        )
    for name, value in zip(chunk.features, chunk.x[row].tolist(), strict=True):
        if abs(value) > VALUE_MAX:
            return Refusal(file, line, name, repr(value), "expected a number of magnitude at most 1e100")
    return Refusal(file, line, None, None, "no value in any column")
