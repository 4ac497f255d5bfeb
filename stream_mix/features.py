"""Named features as columns: a dict or a table becomes rows of an array, in an order that only grows.

A feature is known from its first value on. Features that appear together are appended in sorted order, so
that the order inside a dict changes no bit of what is learned. Absent, None and NaN mean missing. Each
feature costs a column in every component for good (k numbers, or k times d where covariances are full), so a
stream that invents names without end must be filtered before it comes here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np

from .mixture.arrays import Array
from .mixture.rows import LARGEST

_PLAIN = frozenset({float, int, bool, np.float64})
"""Types whose values need no conversion."""

_MISSING_TYPES = frozenset({"NAType", "NaTType"})
"""pandas' own two kinds of nothing, by name, so that pandas need not be there."""


def is_missing(value: object) -> bool:
    """Whether a value stands for none: None, NaN, pandas' NA or NaT."""
    if isinstance(value, Decimal):
        return value.is_nan()
    if isinstance(value, Real):
        return bool(value != value)
    return value is None or type(value).__name__ in _MISSING_TYPES


def number(value: object, what: str) -> float:
    """A value as a float, NaN where missing; booleans, NumPy scalars, fractions and decimals are numbers.

    Raises ValueError, beginning with `what`, for anything else, text too, and for numbers beyond 1e100.

    >>> number(True, "feature 'open'"), number(None, "feature 'open'")
    (1.0, nan)
    >>> number("high", "feature 'level'")
    Traceback (most recent call last):
    ValueError: feature 'level' is 'high', expected a number up to 1e+100, or None for missing
    """
    result = math.nan
    if not is_missing(value):
        try:
            result = float(value) if isinstance(value, (Real, np.bool_, Decimal)) else math.inf
        except OverflowError:
            result = math.inf
        if not (-LARGEST <= result <= LARGEST or result != result):
            expected = f"expected a number up to {LARGEST:g}, or None for missing"
            raise ValueError(f"{what} is {shown(value)}, {expected}")
    return result


def shown(value: object) -> str:
    """A value as an error message shows it: one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


@dataclass(frozen=True)
class Features:
    """The names of the known features, in the order of the columns.

    >>> features, row = Features().learned({"b": 2.0, "a": 1})
    >>> features.names, row.tolist()
    (('a', 'b'), [1.0, 2.0])
    >>> features.row({"b": 5, "unheard of": 7}).tolist()
    [nan, 5.0]
    """

    names: tuple[Hashable, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def columns(self) -> Mapping[Hashable, int]:
        """Name -> number of its column."""
        return {name: column for column, name in enumerate(self.names)}

    def row(self, x: Mapping[Hashable, Any]) -> Array:
        """The known features of x as a row (d,), NaN where x has none; others are left out.

        Raises ValueError, naming the feature, for a value that is not a number, of an unknown feature too.
        """
        return self._read(x)[0]

    def learned(self, x: Mapping[Hashable, Any]) -> tuple[Features, Array]:
        """These features and those that x has beyond them, and x as a row (d,) of all.

        Raises ValueError as `row` does.
        """
        row, new = self._read(x)
        if not new:
            return self, row
        grown = self.plus(new)
        return grown, grown.row(x)

    def plus(self, names: Iterable[Hashable]) -> Features:
        """These features, then the names among `names` that are not known, sorted."""
        new = {name: None for name in names if name not in self.columns}
        return Features((*self.names, *sorted(new, key=_rank))) if new else self

    def matrix(self, names: Sequence[Hashable], values: Array) -> Array:
        """Columns `values` (n, c) called `names` as rows (n, d) of the known features, NaN where absent."""
        out = np.full((len(values), len(self)), np.nan)
        for column, name in enumerate(names):
            at = self.columns.get(name)
            if at is not None:
                out[:, at] = values[:, column]
        return out

    def _read(self, x: Mapping[Hashable, Any]) -> tuple[Array, list[Hashable]]:
        """The known features of x as a row (d,), and the names of the unknown ones that have a value."""
        columns = self.columns
        row = [math.nan] * len(columns)
        new = []
        for name, value in x.items():
            if type(value) not in _PLAIN or not -LARGEST <= value <= LARGEST:
                value = number(value, f"feature {shown(name)}")
            at = columns.get(name)
            if at is not None:
                row[at] = value
            elif value == value:
                new.append(name)
        return np.array(row, dtype=np.float64), new


def _rank(name: Hashable) -> tuple[str, str]:
    """What names of any types are sorted by."""
    return type(name).__name__, name if isinstance(name, str) else repr(name)
