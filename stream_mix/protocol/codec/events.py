"""The easy form of ingest: each row a map of named features.

Rows that all have the same keys are read column by column at the speed of C loops; any other frame goes row
by row. Both ways accept the same rows, in the same order of features, with the same reasons for the rest.
"""

from __future__ import annotations

from itertools import chain
from math import isnan, nan
from typing import Any

import numpy as np

from ..errors import ProtocolError, show
from ..limits import VALUE_MAX, Limits
from ..messages import Frame, Refused, RowId
from .points import sender
from .rows import BAD_ID, BAD_T, BAD_W, BAD_X, NO_X, Fault, check_cells, keep_good, none_left
from .wire import Map, need, wrong

KEYS = frozenset(("kind", "v", "source", "seq", "rows"))
ROW_KEYS = frozenset(("x", "t", "w", "id"))
_NUMBERS = frozenset((float, int))
_ID_TYPES = frozenset((str, int))


# names, values row by row (n * d), t, w, id, and whether every number is known to be in range
_Columns = tuple[
    tuple[str, ...], list[float], list[float] | None, list[float] | None, list[RowId] | None, bool
]


def decode_events(message: Map, limits: Limits) -> Frame:
    """Return the rows of an `events` message whose keys are known; raises ProtocolError."""
    source, seq = sender(message)
    rows = need(message, "rows")
    if type(rows) is not list:
        raise wrong("rows", "an array of maps", rows)
    n = len(rows)
    if not n:
        raise ProtocolError("shape", "rows: expected at least one row, got none")
    if n > limits.rows:
        raise ProtocolError("limit", f"rows: expected at most {limits.rows}, got {n}")
    columns = _columns(rows)
    if columns is None:
        return _row_by_row(rows, source, seq, limits)
    names, values, t, w, ids, good = columns
    check_cells(n, len(names), limits)
    frame = Frame(
        np.array(values, np.float64).reshape(n, len(names)), n, source, seq, names,
        None if t is None else np.array(t, np.float64),
        None if w is None else np.array(w, np.float64),
        None if ids is None else tuple(ids),
    )
    return frame if good else keep_good(frame)


def _columns(rows: list[Any]) -> _Columns | None:
    """Return the columns of rows that all have the first row's keys and only numbers; None for other rows."""
    first = rows[0]
    if type(first) is not dict or type(x := first.get("x")) is not dict or not first.keys() <= ROW_KEYS:
        return None
    names = tuple(x)
    if len(rows) == 1:
        values = list(x.values())
    else:
        if len(set(map(type, rows))) > 1 or set(map(tuple, rows)) != {tuple(first)}:
            return None
        xs = [row["x"] for row in rows]
        if len(set(map(type, xs))) > 1 or set(map(tuple, xs)) != {names}:
            return None
        values = list(chain.from_iterable(map(dict.values, xs)))
    if not values or not _NUMBERS.issuperset(map(type, values)) or set(map(type, names)) != {str}:
        return None
    # A sum of magnitudes bounds each of them, and is NaN where one of them is: one pass, no doubt left.
    good = sum(map(abs, values)) <= VALUE_MAX
    t = w = ids = None
    if "t" in first:
        t = [row["t"] for row in rows]
        if not _NUMBERS.issuperset(map(type, t)):
            return None
        good = good and sum(map(abs, t)) <= VALUE_MAX
    if "w" in first:
        w = [row["w"] for row in rows]
        if not _NUMBERS.issuperset(map(type, w)):
            return None
        good = good and sum(map(abs, w)) <= VALUE_MAX and min(w) > 0
    if "id" in first:
        ids = [row["id"] for row in rows]
        if not _ID_TYPES.issuperset(map(type, ids)):
            return None
    return names, values, t, w, ids, good


def _row_by_row(rows: list[Any], source: str | None, seq: int | None, limits: Limits) -> Frame:
    maps = [row for row in rows if type(row) is dict]
    timed, weighted, named = (any(key in row for row in maps) for key in ("t", "w", "id"))
    index: dict[str, int] = {}
    accepted: list[Map] = []
    refused: list[Refused] = []
    for i, row in enumerate(rows):
        fault = _fault(row, timed)
        if fault is not None:
            refused.append(Refused(i, *fault))
            continue
        accepted.append(row)
        for name in row["x"]:
            index.setdefault(name, len(index))
    if not accepted:
        raise none_left(refused)
    n, d = len(accepted), len(index)
    check_cells(n, d, limits)
    x = [nan] * (n * d)
    for i, row in enumerate(accepted):
        for name, value in row["x"].items():
            if value == value:  # every NaN becomes the same quiet one
                x[i * d + index[name]] = value
    return Frame(
        np.array(x, np.float64).reshape(n, d), len(rows), source, seq, tuple(index),
        np.array([row["t"] for row in accepted], np.float64) if timed else None,
        np.array([row.get("w", 1.0) for row in accepted], np.float64) if weighted else None,
        tuple(row.get("id") for row in accepted) if named else None,
        tuple(refused),
    )


def _fault(row: Any, timed: bool) -> Fault | None:
    if type(row) is not dict:
        return "type", f"row: expected a map, got {show(row)}"
    for key in row:
        if key not in ROW_KEYS:
            return "unknown_key", f"{show(key)}: unknown key of a row, expected some of id, t, w, x"
    if "x" not in row:
        return "missing_key", "x: missing"
    fault = _fault_of_x(row["x"])
    if fault is not None:
        return fault
    if timed:
        if "t" not in row:
            return "missing_key", "t: missing, expected in every row or in none"
        if type(row["t"]) not in _NUMBERS:
            return "type", f"t: expected a number, got {show(row['t'])}"
        if not abs(row["t"]) <= VALUE_MAX:
            return BAD_T
    if "w" in row:
        if type(row["w"]) not in _NUMBERS:
            return "type", f"w: expected a number, got {show(row['w'])}"
        if not 0 < row["w"] <= VALUE_MAX:
            return BAD_W
    if "id" in row and type(row["id"]) not in _ID_TYPES:
        return BAD_ID
    return None


def _fault_of_x(x: Any) -> Fault | None:
    if type(x) is not dict:
        return "type", f"x: expected a map of numbers, got {show(x)}"
    for name, value in x.items():
        if type(name) is not str:
            return "type", f"x: expected names that are strings, got {show(name)}"
        if type(value) not in _NUMBERS:
            return "type", f"x[{show(name)}]: expected a number, got {show(value)}"
    if not all(isnan(value) or abs(value) <= VALUE_MAX for value in x.values()):
        return BAD_X
    if all(map(isnan, x.values())):
        return NO_X
    return None
