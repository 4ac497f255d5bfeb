"""Data frames of any eager backend as float64 columns, and answers in the caller's own backend and index."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw  # comes with River, whose mini-batch methods are made of it
import numpy as np
from narwhals.exceptions import DuplicateError
from river.utils.dataframe import into_frame, to_native_frame, to_native_series, to_numpy

from ..features import number, shown
from ..mixture.arrays import Array, Ints
from ..mixture.rows import LARGEST


@dataclass(frozen=True, eq=False)
class Table:
    """A frame, and of those of its columns that are features names and values (n, c), NaN for missing."""

    frame: nw.DataFrame[Any]
    names: tuple[Hashable, ...]
    values: Array

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: Hashable) -> Any:
        """The native series of that name; None where there is no such column."""
        names = self.frame.columns
        return self.frame[:, names.index(name)].to_native() if name in names else None

    def series(self, values: Ints | Array, name: str) -> Any:
        """Values (n,) as a series of the frame's backend, with its index."""
        return to_native_series(values, name=name, like=self.frame)

    def columns(self, values: Array, names: Sequence[Hashable]) -> Any:
        """Values (n, k) as a frame of the same backend and index; only pandas keeps names other than text."""
        # As a mapping: River hands an array to narwhals, which takes no names but text for its columns.
        return to_native_frame({name: values[:, i] for i, name in enumerate(names)}, like=self.frame)


def read_frame(X: object, beside: frozenset[Hashable]) -> Table:
    """The features of a native frame: all of its columns but those named in `beside`.

    Raises TypeError where X is no eager data frame and ValueError, naming feature and row, for a bad value.
    """
    try:
        frame: nw.DataFrame[Any] = into_frame(X)
        names = frame.columns
    except TypeError:
        expected = "expected an eager data frame (pandas, polars, pyarrow, ...)"
        raise TypeError(f"X is a {type(X).__name__}, {expected}") from None
    except DuplicateError as error:
        raise ValueError(f"X: {' '.join(str(error).split())}") from None
    kept = [column for column, name in enumerate(names) if name not in beside]
    return Table(frame, tuple(names[column] for column in kept), _values(frame, kept))


def _values(frame: nw.DataFrame[Any], columns: list[int]) -> Array:
    """The values (n, c) of some columns as float64, NaN for missing."""
    values = np.empty((len(frame), len(columns)))
    numeric = [i for i, column in enumerate(columns) if _is_numeric(frame[:, column].dtype)]
    if numeric:
        values[:, numeric] = to_numpy(frame[:, [columns[i] for i in numeric]])
    names = frame.columns
    for i in set(range(len(columns))).difference(numeric):
        column = columns[i]
        what = f"feature {shown(names[column])}, row"
        items = enumerate(frame[:, column].to_list())
        values[:, i] = [number(value, f"{what} {row},") for row, value in items]
    bad = np.abs(values) > LARGEST
    if bad.any():
        row, i = np.argwhere(bad)[0]
        number(float(values[row, i]), f"feature {shown(names[columns[i]])}, row {row},")
    return values


def _is_numeric(dtype: Any) -> bool:
    return bool(dtype.is_numeric()) or dtype == nw.Boolean
