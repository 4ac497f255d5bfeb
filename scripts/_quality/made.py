"""Data sets that need no folder: made here, or shipped with River and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .datasets import DataError, DataSet, codes


@dataclass(frozen=True)
class Recipe:
    """n rows of k Gaussians in d dimensions.

    Attributes:
        apart: least distance between two centres.
        spread: least and greatest standard deviation along the shortest axis.
        oval: how many times longer the longest axis is.
        even: sizes are alike; else they fall, to a sixteenth of the largest.
    """

    k: int
    d: int
    n: int
    apart: float
    seed: int
    spread: tuple[float, float] = (1.0, 1.0)
    oval: float = 1.0
    even: bool = True

    def made(self, name: str) -> DataSet:
        """The rows, drawn anew and alike at each call."""
        rng = np.random.default_rng(self.seed)
        centres = self._centres(rng)
        share = np.ones(self.k) if self.even else 0.5 ** np.minimum(np.arange(self.k), 4)
        label = rng.choice(self.k, self.n, p=share / share.sum())
        x = np.empty((self.n, self.d))
        for c, centre in enumerate(centres):
            turn = np.linalg.qr(rng.normal(size=(self.d, self.d)))[0]
            root = turn * (rng.uniform(*self.spread) * np.geomspace(self.oval, 1.0, self.d))
            rows = np.flatnonzero(label == c)
            x[rows] = centre + rng.normal(size=(len(rows), self.d)) @ root.T
        return DataSet(name, x, label, self.k)

    def _centres(self, rng: np.random.Generator) -> np.ndarray:
        side = self.apart * (self.k ** (1 / self.d) + 1.0)
        centres = rng.random((1, self.d)) * side
        while len(centres) < self.k:
            drawn = rng.random(self.d) * side
            if np.square(centres - drawn).sum(axis=1).min() >= self.apart**2:
                centres = np.vstack([centres, drawn])
        return centres


RECIPES = {
    "round": Recipe(15, 2, 5000, apart=5.5, seed=1),
    "many": Recipe(40, 2, 8000, apart=5.5, seed=2),
    "unequal": Recipe(8, 2, 6000, apart=7.0, seed=3, spread=(0.5, 1.5), even=False),
    "wide": Recipe(16, 32, 2000, apart=8.0, seed=4),
    "oval": Recipe(6, 2, 4000, apart=4.0, seed=5, spread=(0.6, 1.0), oval=4.0),
    "overlap": Recipe(10, 4, 5000, apart=3.0, seed=6, spread=(0.7, 1.6)),
}


def make(name: str) -> DataSet:
    """The set of this name, made here or shipped with a peer."""
    if name not in MAKERS:
        raise DataError(f"{name}: no such made set, expected one of {', '.join(MAKERS)}")
    return MAKERS[name]()


def _of_sklearn(name: str) -> DataSet:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return DataSet(name, bunch.data.astype(float), bunch.target, len(bunch.target_names))


def _segments() -> DataSet:
    from river import datasets

    rows, targets = zip(*datasets.ImageSegments(), strict=True)
    x = np.array([list(row.values()) for row in rows], dtype=float)
    label = codes([str(target) for target in targets], noise=False)
    return DataSet("segments", x, label, int(label.max()) + 1)


def _moving() -> DataSet:
    """Two round clusters of equal size that travel side by side, forty spreads far."""
    rng = np.random.default_rng(7)
    n = 16_000
    label = rng.integers(0, 2, n)
    path = np.linspace(0.0, 40.0, n)[:, None] + np.where(label == 1, 2.2, -2.2)[:, None] * [1.0, -1.0]
    return DataSet("moving", path + rng.normal(size=(n, 2)), label, 2)


def _swapping() -> DataSet:
    """Six oval clusters, of which two change places every 3000 rows."""
    rng = np.random.default_rng(8)
    parts, labels = [], []
    centres = rng.random((6, 2)) * 30.0
    roots = rng.normal(size=(6, 2, 2))
    for _ in range(8):
        label = rng.integers(0, 6, 3000)
        noise = np.einsum("nij,nj->ni", roots[label], rng.normal(size=(3000, 2)))
        parts.append(centres[label] + noise)
        labels.append(label)
        a, b = rng.choice(6, 2, replace=False)
        centres[[a, b]] = centres[[b, a]]
    return DataSet("swapping", np.concatenate(parts), np.concatenate(labels), 6)


def _strange() -> DataSet:
    """Eight oval clusters in eight dimensions, and one row in a hundred from anywhere."""
    data = Recipe(8, 8, 6000, apart=5.0, seed=9, spread=(0.6, 1.0), oval=3.0).made("strange")
    rng = np.random.default_rng(9)
    label = (rng.random(data.n) < 0.01).astype(int)
    low, high = data.x.min(axis=0) - 1.0, data.x.max(axis=0) + 1.0
    x = np.where(label[:, None] == 1, rng.uniform(low, high, data.x.shape), data.x)
    return DataSet("strange", x, label, 2)


def _pair(d: int) -> DataSet:
    """Two round clusters, three spreads apart, with what the true model says of each row."""
    rng = np.random.default_rng(10 + d)
    label = np.arange(2048) % 2
    towards = np.full(d, d**-0.5)
    x = rng.normal(size=(2048, d)) + np.where(label == 1, 1.5, -1.5)[:, None] * towards
    return DataSet(f"pair-{d}", x, label, 2, bayes=(x @ towards > 0).astype(int))


def _holes() -> DataSet:
    """Oval clusters, one value in five missing."""
    data = RECIPES["oval"].made("holes")
    x = np.where(np.random.default_rng(11).random(data.x.shape) < 0.2, np.nan, data.x)
    return DataSet("holes", x[~np.isnan(x).all(axis=1)], data.label[~np.isnan(x).all(axis=1)], data.k)


MAKERS: dict[str, Callable[[], DataSet]] = {
    **{name: partial(recipe.made, name) for name, recipe in RECIPES.items()},
    "iris": lambda: _of_sklearn("iris"),
    "wine": lambda: _of_sklearn("wine"),
    "digits": lambda: _of_sklearn("digits"),
    "segments": _segments,
    "moving": _moving,
    "swapping": _swapping,
    "strange": _strange,
    "pair-2": lambda: _pair(2),
    "pair-64": lambda: _pair(64),
    "holes": _holes,
}
"""Sets that are made here, and those that come with scikit-learn and River."""
