"""What is kept of the rows while they pass: the means of the true clusters, and a few rows to look at."""

from __future__ import annotations

import numpy as np

from .figures import Array
from .source import Ints

SHOWN = 4000
"""Rows that are kept to be drawn."""


class Truth:
    """The mean of the rows of each true label, over the values that are there."""

    def __init__(self) -> None:
        self._means: dict[int, tuple[Array, Array]] = {}

    def add(self, x: Array, labels: Ints) -> None:
        """Rows (n, d) with their labels (n,), -1 = none."""
        for label in np.unique(labels[labels >= 0]).tolist():
            own = x[labels == label]
            d = own.shape[1]
            mean, count = self._means.get(label, (np.zeros(d), np.zeros(d)))
            mean, count = (np.pad(part, (0, d - part.size)) for part in (mean, count))
            seen = ~np.isnan(own)
            fresh = count + seen.sum(axis=0)
            # By its distance from the mean so far a row of a large offset costs no digits.
            first = np.where(seen.any(axis=0), own[seen.argmax(axis=0), range(d)], 0.0)
            start = np.where(count > 0, mean, first)
            gain = np.where(seen, own - start, 0.0).sum(axis=0)
            self._means[label] = start + gain / np.where(fresh > 0, fresh, 1.0), fresh

    def means(self, d: int) -> Array | None:
        """The means (labels, d), NaN for a feature that a label never had; None without labels."""
        if not self._means:
            return None
        padded = [(np.pad(mean, (0, d - mean.size)), np.pad(count, (0, d - count.size)))
                  for mean, count in self._means.values()]  # fmt: skip
        return np.stack([np.where(count > 0, mean, np.nan) for mean, count in padded])


class Sample:
    """An even sample of rows: each of n has the chance 4000 / n to be in it (Vitter 1985, algorithm R)."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._kept: list[Array] = []
        self._met = 0

    def add(self, x: Array) -> None:
        """Rows (n, d)."""
        for row in x:
            if len(self._kept) < SHOWN:
                self._kept.append(row.copy())
            elif (place := int(self._rng.integers(0, self._met + 1))) < SHOWN:
                self._kept[place] = row.copy()
            self._met += 1

    @property
    def x(self) -> Array:
        """The sample (n, d), NaN for features that a row did not have."""
        d = max((row.size for row in self._kept), default=0)
        return np.array([np.pad(row, (0, d - row.size), constant_values=np.nan) for row in self._kept])
