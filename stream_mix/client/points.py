"""Rows of numbers on their way into frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .base import ClientError


class Points:
    """Rows of numbers that wait for their frame."""

    def __init__(self, x: npt.NDArray[np.float64], t: Any = None, w: Any = None, id: Any = None) -> None:
        self.x, self.t, self.w, self.id = x, t, w, id

    def fits(self, other: Points) -> bool:
        """Whether both can be part of one frame."""
        mine = [column is None for column in (self.t, self.w, self.id)]
        return self.x.shape[1] == other.x.shape[1] and mine == [
            c is None for c in (other.t, other.w, other.id)
        ]

    def cut(self, start: int, stop: int) -> Points:
        """Rows start <= i < stop."""
        parts = (None if column is None else column[start:stop] for column in (self.t, self.w, self.id))
        return Points(self.x[start:stop], *parts)

    @classmethod
    def joined(cls, parts: list[Points]) -> Points:
        """All rows of parts that fit, in order."""
        if len(parts) == 1:
            return parts[0]
        columns = []
        for key in ("t", "w", "id"):
            own = [getattr(part, key) for part in parts]
            columns.append(None if own[0] is None else [item for column in own for item in column])
        return cls(np.concatenate([part.x for part in parts]), *columns)


def each(value: Any, n: int, key: str) -> Any:
    """One value for each of n rows, or None; a single value serves a single row."""
    if value is None:
        return None
    if isinstance(value, str | int | float) or np.ndim(value) == 0:
        value = [value]
    if len(value) != n:
        raise ClientError(f"send: {key} has {len(value)} values, expected {n}, one for each row")
    return value.tolist() if isinstance(value, np.ndarray) else list(value)
