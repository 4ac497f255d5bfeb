"""JSON lines: flat objects, or objects whose "x" holds the features as in an `events` frame."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from io import TextIOWrapper
from itertools import islice
from typing import Any, Final

import numpy as np

from stream_mix.recording.blocks import (
    Chunk,
    OnRefused,
    RecordingError,
    Refusal,
    RowId,
    Wanted,
    check_numeric,
    seconds,
)

Values = Mapping[str, Any]
Own = tuple[str | None, str | None, str | None]
_FLOATS: Final = frozenset((float,))


class _Refused(ValueError):
    def __init__(self, column: str | None, value: Any, reason: str) -> None:
        super().__init__(reason)
        self.column, self.value, self.reason = column, value, reason


def json_chunks(
    file: str, text: TextIOWrapper, wanted: Wanted, block: int, on_refused: OnRefused | None
) -> Iterator[Chunk]:
    """The rows of a file of JSON lines, `block` at a time; features join in order of first appearance."""
    own = wanted.own
    features: dict[str, None] = dict.fromkeys(wanted.columns or ())
    lines = ((k, line) for k, line in enumerate(text, 1) if line.strip())
    started = False
    while part := list(islice(lines, block)):
        rows: list[tuple[int, Values, Values]] = []
        for line, content in part:
            try:
                rows.append((line, *_split(content, wanted, own)))
            except _Refused as bad:
                _tell(file, line, bad, on_refused)
        if not started:
            names = dict.fromkeys(name for _, x, _ in rows for name in x)
            check_numeric(file, ((name, [x.get(name) for _, x, _ in rows], _number) for name in names))
        started = started or bool(rows)
        yield _chunk(file, rows, own, features, on_refused)


def _tell(file: str, line: int, bad: _Refused, on_refused: OnRefused | None) -> None:
    if on_refused is not None:
        value = None if bad.value is None else str(bad.value)
        on_refused(Refusal(file, line, bad.column, value, bad.reason))


def _split(content: str, wanted: Wanted, own: Own) -> tuple[Values, Values]:
    """The features of one line's object, and everything else in it."""
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):
        raise _Refused(None, content.strip(), "expected a JSON object") from None
    if not isinstance(row, dict):
        raise _Refused(None, content.strip(), "expected a JSON object")
    inner = row.get("x")
    if isinstance(inner, list):
        inner = {f"x{j}": value for j, value in enumerate(inner)}
    if isinstance(inner, dict):
        x, rest = inner, row
    else:
        x, rest = {name: value for name, value in row.items() if name not in own}, row
    if wanted.columns is not None:
        x = {name: x[name] for name in wanted.columns if name in x}
    elif wanted.drop:
        x = {name: value for name, value in x.items() if name not in wanted.drop}
    return x, rest


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError


def _time(value: Any) -> float:
    return seconds(value) if isinstance(value, str) else _number(value)


def _id(value: Any) -> RowId:
    if value is None or type(value) is str or type(value) is int:
        return value
    raise ValueError


def _take(parse: Callable[[Any], Any], row: Values, name: str | None, said: str) -> Any:
    if name is None:
        return parse(None)
    try:
        return parse(row.get(name))
    except (ValueError, OverflowError):
        raise _Refused(name, row[name], said) from None


def _chunk(
    file: str,
    rows: list[tuple[int, Values, Values]],
    own: Own,
    features: dict[str, None],
    on_refused: OnRefused | None,
) -> Chunk:
    time, weight, id = own
    kept: list[Values] = []
    lines: list[int] = []
    t: list[float] = []
    w: list[float] = []
    ids: list[RowId] = []
    for line, x, rest in rows:
        try:
            got = x
            if not _FLOATS.issuperset(map(type, x.values())):
                got = {name: _take(_number, x, name, "expected a number") for name in x}
            found = (
                _take(_time, rest, time, "expected Unix seconds or an ISO 8601 time"),
                _take(_number, rest, weight, "expected a number"),
                _take(_id, rest, id, "expected a text or an integer"),
            )
        except _Refused as bad:
            _tell(file, line, bad, on_refused)
            continue
        kept.append(got)
        lines.append(line)
        t.append(found[0])
        w.append(found[1])
        ids.append(found[2])
        features.update(dict.fromkeys(got))
    names = tuple(features)
    if rows and not names:
        raise RecordingError(f"{file}: no feature is left of the columns")
    table = np.array([[row.get(name, math.nan) for name in names] for row in kept], np.float64)
    x_all = table.reshape(len(kept), len(names))
    return Chunk(names, x_all, np.array(t, np.float64), np.array(w, np.float64), ids, lines)
