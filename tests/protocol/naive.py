"""The slow, obvious reading of an `events` message: one row after the other, no array operation."""

from __future__ import annotations

import math
from typing import Any


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def row_is_good(row: Any, timed: bool) -> bool:
    if not isinstance(row, dict) or set(row) - {"x", "t", "w", "id"} or not isinstance(row.get("x"), dict):
        return False
    if timed and "t" not in row:
        return False
    values = row["x"].values()
    if not all(isinstance(name, str) for name in row["x"]):
        return False
    if not all(is_number(value) for value in values):
        return False
    if any(abs(value) > 1e100 for value in values) or all(math.isnan(value) for value in values):
        return False
    if "t" in row and not (is_number(row["t"]) and abs(row["t"]) <= 1e100):
        return False
    if "w" in row and not (is_number(row["w"]) and 0 < row["w"] <= 1e100):
        return False
    return "id" not in row or type(row["id"]) in (str, int)


def read_events(rows: list[Any]) -> dict[str, Any]:
    """Return features, x, t, w, id of the good rows, and the indices of the others."""
    has = {key: any(isinstance(row, dict) and key in row for row in rows) for key in ("t", "w", "id")}
    good = [row for row in rows if row_is_good(row, has["t"])]
    features: list[str] = []
    for row in good:
        for name in row["x"]:
            if name not in features:
                features.append(name)
    return {
        "features": tuple(features),
        "x": [[float(row["x"].get(name, math.nan)) for name in features] for row in good],
        "t": [float(row["t"]) for row in good] if has["t"] else None,
        "w": [float(row.get("w", 1)) for row in good] if has["w"] else None,
        "id": tuple(row.get("id") for row in good) if has["id"] else None,
        "refused": [i for i, row in enumerate(rows) if not row_is_good(row, has["t"])],
    }
