"""CSV: whole chunks of cells at the speed of C loops, one cell at a time only where a chunk has a bad one."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from itertools import chain, islice
from operator import itemgetter
from typing import Any, Final

import numpy as np

from stream_mix.recording.blocks import (
    Chunk,
    Floats,
    Layout,
    OnRefused,
    RecordingError,
    Refusal,
    Wanted,
    check_numeric,
    number,
    row_id,
    seconds,
)

_DELIMITERS: Final = ",;\t"
_QUOTED: Final = re.compile(r'"[^"]*("|$)')
Row = list[str]


def csv_chunks(
    file: str,
    text: TextIOWrapper,
    wanted: Wanted,
    delimiter: str | None,
    block: int,
    on_refused: OnRefused | None,
) -> Iterator[Chunk]:
    """The rows of a CSV file, `block` at a time."""
    first = text.readline()
    mark = delimiter or max(_DELIMITERS, key=_QUOTED.sub("", first).count)
    if not first.strip():
        raise RecordingError(f"{file}: empty, expected a header or a row in the first line")
    reader = csv.reader(chain([first], text), delimiter=mark)
    rows = _numbered(file, reader)
    head = next(rows)
    if all(_is_number(cell) for cell in head[1]):
        names = [f"x{j}" for j in range(len(head[1]))]
        rows = chain([head], rows)
    else:
        names = [cell.strip(" ") or f"column{j + 1}" for j, cell in enumerate(head[1])]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RecordingError(f"{file}: more than one column is named {', '.join(sorted(twice))}")
    layout = wanted.layout(file, names)
    started = False
    while part := list(islice(rows, block)):
        fast = _fast(names, layout, part)
        if fast is None and not started:
            cells = [row for _, row in part if len(row) == len(names)]
            at = [names.index(name) for name in layout.features]
            check_numeric(file, ((names[j], [row[j] for row in cells], number) for j in at))
        yield _slow(file, names, layout, part, on_refused) if fast is None else fast
        started = True


def _numbered(file: str, reader: Any) -> Iterator[tuple[int, Row]]:
    """Rows that are not blank, each with the number of its last line."""
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise RecordingError(f"{file}, line {reader.line_num}: not CSV: {error}") from None


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _fast(names: list[str], layout: Layout, part: list[tuple[int, Row]]) -> Chunk | None:
    """The chunk where every cell is a plain number or empty, or else None."""
    width = len(names)
    rows = [row for _, row in part]
    if any(len(row) != width for row in rows):
        return None
    n, d = len(rows), len(layout.features)
    if list(layout.features) == names:
        picked: list[Sequence[str]] = list(rows)
    else:
        at = [names.index(name) for name in layout.features]
        picked = [(row[at[0]],) for row in rows] if d == 1 else list(map(itemgetter(*at), rows))
    try:
        x = _floats(list(chain.from_iterable(picked))).reshape(n, d)
        t, w = (_column(names, name, rows) for name in (layout.time, layout.weight))
    except ValueError:
        return None
    return Chunk(layout.features, x, t, w, _ids(names, layout, rows), [line for line, _ in part])


def _floats(cells: list[str]) -> Floats:
    if "_" in "".join(cells):
        raise ValueError("float() would take it for a separator of digits")
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return np.fromiter([float(cell or "nan") for cell in cells], np.float64, len(cells))


def _column(names: list[str], name: str | None, rows: list[Row]) -> Floats:
    if name is None:
        return np.full(len(rows), np.nan)
    at = names.index(name)
    return _floats([row[at] for row in rows])


def _ids(names: list[str], layout: Layout, rows: list[Row]) -> Sequence[str | int | None]:
    if layout.id is None:
        return [None] * len(rows)
    at = names.index(layout.id)
    return [row_id(row[at]) for row in rows]


def _slow(
    file: str, names: list[str], layout: Layout, part: list[tuple[int, Row]], on_refused: OnRefused | None
) -> Chunk:
    """The same cell by cell, without the rows that have a bad one."""
    wanted: list[tuple[str | None, Callable[[str], float], str]] = [
        *((name, number, "expected a number") for name in layout.features),
        (layout.time, seconds, "expected Unix seconds or an ISO 8601 time"),
        (layout.weight, number, "expected a number"),
    ]
    places = [(name, parse, said, names.index(name) if name else -1) for name, parse, said in wanted]
    values, rows, lines = [], [], []
    for line, row in part:
        refusal, got = None, []
        if len(row) != len(names):
            refusal = Refusal(file, line, None, None, f"expected {len(names)} cells, got {len(row)}")
        for name, parse, said, at in () if refusal else places:
            try:
                got.append(math.nan if at < 0 else parse(row[at]))
            except (ValueError, OverflowError):
                refusal = Refusal(file, line, name, row[at], said)
                break
        if refusal is None:
            values.append(got)
            rows.append(row)
            lines.append(line)
        elif on_refused is not None:
            on_refused(refusal)
    d = len(layout.features)
    table = np.array(values, np.float64).reshape(len(values), d + 2)
    x = np.ascontiguousarray(table[:, :d])
    return Chunk(layout.features, x, table[:, d], table[:, d + 1], _ids(names, layout, rows), lines)
