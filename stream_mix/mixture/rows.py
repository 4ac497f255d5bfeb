"""Rows of data with their weights and event times: what goes into a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array, Bools, Ints, widened
from .kernels import first_beyond

LARGEST = 1e100
"""Values beyond this are refused: their squares, and the squares' sums, must stay finite."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows x (n, d) with NaN for missing values, weights w (n,) > 0, and event times t (n,) in Unix seconds,
    NaN = none.

    >>> rows = Rows.of([[1.0, 2.0], [3.0, float("nan")]], t=[10.0, 20.0])
    >>> len(rows), rows.d
    (2, 2)
    """

    x: Array
    w: Array
    t: Array

    def __len__(self) -> int:
        return len(self.x)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.x.shape[1])

    @classmethod
    def of(cls, x: ArrayLike, w: ArrayLike | None = None, t: ArrayLike | None = None) -> Rows:
        """Checked rows, sharing memory with x where it is float64 already; weights default to 1 and times to
        none.

        Raises ValueError, naming the first bad row, for infinite or huge values, weights that are not
        positive, infinite or huge times.
        """
        values = checked(x)
        n = len(values)
        weights = np.ones(n) if w is None else np.asarray(w, dtype=np.float64)
        times = np.full(n, np.nan) if t is None else np.asarray(t, dtype=np.float64)
        for name, column in (("weights", weights), ("event times", times)):
            if column.shape != (n,):
                raise ValueError(
                    f"rows: {name} have shape {column.shape}, expected ({n},) as there are {n} rows"
                )
        if w is not None and not ((weights > 0) & (weights <= LARGEST)).all():
            i = int(np.argmin((weights > 0) & (weights <= LARGEST)))
            raise ValueError(f"rows: the weight of row {i} is {weights[i]}, expected a finite number > 0")
        if t is not None and (far := np.abs(times) > LARGEST).any():
            i = int(far.argmax())
            raise ValueError(
                f"rows: the event time of row {i} is {times[i]}, expected finite Unix seconds or NaN for none"
            )
        return cls(values, weights, times)

    @classmethod
    def none(cls, d: int) -> Rows:
        """No rows of d features."""
        return cls(np.empty((0, d)), np.empty(0), np.empty(0))

    def __getitem__(self, which: slice) -> Rows:
        return Rows(self.x[which], self.w[which], self.t[which])

    def take(self, which: Ints | Bools) -> Rows:
        """The rows of these numbers, or those that are marked, in memory of their own."""
        return Rows(self.x[which], self.w[which], self.t[which])

    def copy(self) -> Rows:
        """The same rows in memory of their own."""
        return Rows(self.x.copy(), self.w.copy(), self.t.copy())

    @classmethod
    def concatenated(cls, parts: Sequence[Rows]) -> Rows:
        """All rows of all parts, in order; a single part with rows is returned as it is."""
        filled = [part for part in parts if len(part)] or [parts[0]]
        if len(filled) == 1:
            return filled[0]
        return cls(
            np.concatenate([part.x for part in filled]),
            np.concatenate([part.w for part in filled]),
            np.concatenate([part.t for part in filled]),
        )

    def grown(self, d: int) -> Rows:
        """The same rows with features up to d, all missing."""
        return Rows(widened(self.x, d, np.nan), self.w, self.t)

    def newest(self, t: float) -> float:
        """The latest event time of these rows and t; NaN where there is none."""
        return float(np.fmax.reduce(self.t, initial=t)) if len(self) else t


def checked(x: ArrayLike) -> Array:
    """Rows x (n, d) of float64, as `Rows.of` takes them and refuses them."""
    if type(x) is np.ndarray and x.dtype == np.float64 and x.flags.aligned:
        values: Array = x
    else:
        values = np.require(x, np.float64, "A")
    if values.ndim != 2:
        raise ValueError(f"rows: x has {values.ndim} dimensions, expected 2 (rows, features)")
    if (i := first_beyond(values, LARGEST)) >= 0:
        j = int((np.abs(values[i]) > LARGEST).argmax())
        raise ValueError(
            f"rows: row {i}, feature {j} is {values[i, j]},"
            f" expected a number up to {LARGEST:g} or NaN for missing"
        )
    return values
