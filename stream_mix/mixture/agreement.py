"""How far two labellings of the same rows agree: with labels from outside, the truth about a clustering; with
those of a second seed, its stability.

All indices come from counts of pairs of labels, which can be added up while rows flow.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .arrays import Array

_EXACT = 256
"""Factorials below this are tabled, larger ones are by Stirling's series: 1e-16 of them and better."""

_DEVIATIONS = 40.0
"""Standard deviations of a hypergeometric count beyond which nothing is left of its chances."""


class Contingency:
    """Counts of pairs of labels, one from each of two labellings; memory grows with their kinds, not with
    rows.

    >>> counts = Contingency()
    >>> counts.add([0, 0, 1], [7, 7, 7])
    >>> counts.add([1], [8])
    >>> counts.table
    array([[2., 0.],
           [1., 1.]])
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[int, int], int] = {}

    def add(self, first: ArrayLike, second: ArrayLike) -> None:
        """The labels (n,), (n,) of further rows."""
        pairs = np.stack([np.asarray(first, np.int64), np.asarray(second, np.int64)], axis=1)
        kinds, counts = np.unique(pairs, axis=0, return_counts=True)
        for (a, b), count in zip(kinds.tolist(), counts.tolist(), strict=True):
            self._counts[a, b] = self._counts.get((a, b), 0) + count

    @property
    def rows(self) -> int:
        """Rows counted."""
        return sum(self._counts.values())

    @property
    def table(self) -> Array:
        """The counts (r, c) of the labels of the first by those of the second, both in rising order."""
        first, second = (sorted({pair[side] for pair in self._counts}) for side in (0, 1))
        out = np.zeros((len(first), len(second)))
        for (a, b), count in self._counts.items():
            out[first.index(a), second.index(b)] = count
        return out

    def grouped(self, groups: tuple[tuple[int, ...], ...]) -> Contingency:
        """The same rows with labels of the second that are in one group taken for one: the first of the
        group."""
        head = {label: group[0] for group in groups for label in group}
        out = Contingency()
        for (a, b), count in self._counts.items():
            key = a, head.get(b, b)
            out._counts[key] = out._counts.get(key, 0) + count
        return out


def tabled(first: ArrayLike, second: ArrayLike) -> Array:
    """The counts (r, c) of pairs of labels (n,), (n,) of any kind."""
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    table = np.zeros((int(rows.max(initial=-1)) + 1, int(columns.max(initial=-1)) + 1))
    np.add.at(table, (rows, columns), 1.0)
    return table


def rand_index(table: Array) -> float:
    """Adjusted Rand index of counts (r, c): 1 where the labellings agree, about 0 where they do by chance.

    (pairs - expected) / (most - expected), over pairs of rows that are together in both (Hubert & Arabie
    1985).

    >>> same, across = tabled([0, 0, 1, 1], [7, 7, 3, 3]), tabled([0, 0, 1, 1], [0, 1, 0, 1])
    >>> rand_index(same), round(rand_index(across), 9)
    (1.0, -0.5)
    """
    together, first, second, all_pairs = (
        float((counts * (counts - 1.0) / 2.0).sum())
        for counts in (table, table.sum(axis=1), table.sum(axis=0), table.sum())
    )
    expected = first * second / all_pairs if all_pairs else 0.0
    most = (first + second) / 2.0
    return 1.0 if most == expected else (together - expected) / (most - expected)


def mutual_information(table: Array) -> float:
    """Adjusted mutual information of counts (r, c): 1 where the labellings agree, about 0 by chance.

    (MI - E) / ((H1 + H2) / 2 - E), E the expected information of tables with the same margins (Vinh, Epps &
    Bailey 2010).

    >>> mutual_information(tabled([0, 0, 1, 1], [7, 7, 3, 3]))
    1.0
    """
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if table.size == 0 or table.shape == (1, 1):
        return 1.0
    n, first, second = table.sum(), table.sum(axis=1), table.sum(axis=0)
    seen = table > 0
    share = table[seen] / n
    information = float(share @ np.log(share / (np.outer(first, second)[seen] / n**2)))
    expected = _expected(first, second, float(n))
    mean = (_entropy(first / n) + _entropy(second / n)) / 2.0
    room = mean - expected
    # Of labellings that can only agree, as where all rows differ, nothing is above chance.
    return 1.0 if abs(mean - information) < 1e-12 else (information - expected) / max(room, 1e-15)


def centroid_index(found: Array, truth: Array) -> int:
    """Centres in the wrong place: the larger number of orphans, centres (k, d) of one side that are nearest
    to none of the other's, of the two ways of asking (Fränti, Rezaei & Zhao 2014).

    0 says that there are as many centres as clusters, one in each.

    >>> truth = np.array([[0.0], [10.0], [20.0]])
    >>> centroid_index(truth + 1, truth), centroid_index(np.array([[0.0], [1.0], [15.1]]), truth)
    (0, 1)
    """
    return max(_orphans(found, truth), _orphans(truth, found)) if len(found) else len(truth)


def _orphans(of: Array, among: Array) -> int:
    distances = np.square(of[:, None, :] - among[None, :, :]).sum(axis=2)
    return len(among) - len(np.unique(distances.argmin(axis=1)))


def _entropy(share: Array) -> float:
    return float(-(share * np.log(share)).sum())


def _expected(first: Array, second: Array, n: float) -> float:
    """The mean information of tables with margins (r,) and (c,): a sum over the counts that each cell can
    have, those of no chance left out."""
    total = 0.0
    for a in first.tolist():
        for b in second.tolist():
            total += _expected_cell(a, b, n)
    return total


def _expected_cell(a: float, b: float, n: float) -> float:
    mean = a * b / n
    reach = _DEVIATIONS * math.sqrt(mean + 1.0)
    low, high = max(1.0, a + b - n, mean - reach), min(a, b, mean + reach)
    count = np.arange(math.ceil(low), math.floor(high) + 1.0)
    if not count.size:
        return 0.0
    known = sum(float(_log_factorial(np.array([value]))[0]) for value in (a, b, n - a, n - b))
    log_chance = (
        known - float(_log_factorial(np.array([n]))[0]) - _log_factorial(count) - _log_factorial(a - count)
        - _log_factorial(b - count) - _log_factorial(n - a - b + count)
    )  # fmt: skip
    return float((count / n * np.log(n * count / (a * b))) @ np.exp(log_chance))


def _log_factorial(value: Array) -> Array:
    """log n! of whole numbers (n,) >= 0."""
    small = np.minimum(value, _EXACT - 1).astype(np.int64)
    big = np.maximum(value, _EXACT - 1.0)
    inverse = 1.0 / big
    series = inverse * (1.0 / 12.0 - np.square(inverse) * (1.0 / 360.0 - np.square(inverse) / 1260.0))
    stirling = (big + 0.5) * np.log(big) - big + 0.5 * math.log(2.0 * math.pi) + series
    out: Array = np.where(value < _EXACT, _LOG_FACTORIALS[small], stirling)
    return out


_LOG_FACTORIALS: Array = np.array([math.lgamma(i + 1.0) for i in range(_EXACT)])

