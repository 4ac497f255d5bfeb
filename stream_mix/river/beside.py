"""What comes beside the features of a row: its weight and its event time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

import narwhals.stable.v2 as nw  # comes with River, whose mini-batch methods are made of it
import numpy as np

from ..features import is_missing, number, shown
from ..mixture.arrays import Array


def weight(value: object, what: str) -> float:
    """A weight > 0; a missing one is 1. Raises ValueError, beginning with `what`, for anything else.

    >>> weight(0, "w")
    Traceback (most recent call last):
    ValueError: w is 0, expected a number > 0
    """
    result = _number_or(value, what, "a number > 0")
    if result <= 0.0:
        raise ValueError(f"{what} is {shown(value)}, expected a number > 0")
    return 1.0 if result != result else result


def unix_seconds(value: object, what: str) -> float:
    """A number of Unix seconds or a datetime as Unix seconds; NaN where it is missing.

    A datetime without a time zone is read as UTC, whatever the zone of this machine, and counts to the
    microsecond. Raises ValueError, beginning with `what`, for anything else.

    >>> unix_seconds(dt.datetime(1970, 1, 2), "t"), unix_seconds(60, "t")
    (86400.0, 60.0)
    """
    if isinstance(value, dt.datetime) and not is_missing(value):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        # pandas' Timestamp rounds in a timestamp() of its own; the base class cuts at the microsecond.
        return dt.datetime.timestamp(aware)
    if isinstance(value, np.datetime64):
        return unix_seconds(value.astype("datetime64[us]").item(), what)
    return _number_or(value, what, "Unix seconds or a datetime")


def along(values: object, n: int, what: str, convert: Callable[[object, str], float]) -> Array:
    """A number for each of n rows (n,), from a series, an array, a list, or one value for all.

    Raises ValueError, naming the row, where `convert` does, and for another number of values than n.
    """
    items = _items(values)
    if items is None:
        return np.repeat(convert(values, what), n)
    if len(items) != n:
        raise ValueError(f"{what} has {len(items)} values, expected {n}, one for each row")
    return np.array([convert(value, f"{what} of row {i}") for i, value in enumerate(items)], dtype=np.float64)


def _items(values: object) -> list[Any] | None:
    """The values of a series of any backend, an array or a list; None where it is one value."""
    wrapped = nw.from_native(values, series_only=True, pass_through=True)
    if isinstance(wrapped, nw.Series):
        return wrapped.to_list()
    if isinstance(values, np.ndarray):
        # NumPy turns nanoseconds into plain integers, microseconds into datetimes.
        plain = values.astype("datetime64[us]") if values.dtype.kind == "M" else values
        return list(plain.tolist()) if values.ndim else None
    return list(values) if isinstance(values, Iterable) and not isinstance(values, (str, bytes)) else None


def _number_or(value: object, what: str, expected: str) -> float:
    try:
        return number(value, what)
    except ValueError:
        raise ValueError(f"{what} is {shown(value)}, expected {expected}") from None
