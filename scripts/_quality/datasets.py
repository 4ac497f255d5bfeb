"""Data sets: from a folder of CSV files, or made here beside those that River and scikit-learn ship."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

JUDGED = ("s1", "a1", "unbalance", "dim032", "r15")
"""Sets of round, separate clusters, on which every true cluster must get its centre."""
ALSO = ("s3", "a3", "aggregation", "engytime", "fuzzyx", "wine", "iris", "penguins", "z2")
BESIDE = {"label", "label_bayes", "row", "ts", "Time", "file", "user", "batch"}
"""Columns that are no features, whatever a manifest says."""
ONE_UNIT = 10.0
"""Features whose spreads differ by less than this factor are taken to be in one unit."""


class DataError(ValueError):
    """A data set is not there or cannot be read; one line for a person."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Rows x (n, d) as the learners get them, label (n,) with -1 for noise, or None, and number of clusters.

    `log_scale` is what to subtract from a log density to have it in the data's units. With `judged` the
    centroid index is a figure to be met.
    """

    name: str
    x: np.ndarray
    label: np.ndarray | None
    k: int
    log_scale: float = 0.0
    judged: bool = False
    dropped: int = 0

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def d(self) -> int:
        return self.x.shape[1]


def scaled(data: DataSet) -> DataSet:
    """The rows as everybody gets them: complete, centred, and in units of their spread.

    Features of one unit are divided by one number, which changes no distance's rank; others by their own.
    River's KMeans starts at random near 0 with a spread of 1 and could do nothing with raw coordinates.
    """
    complete = ~np.isnan(data.x).any(axis=1)
    x = data.x[complete]
    x = x[:, x.std(axis=0) > 0]
    deviation = x.std(axis=0)
    if deviation.max() < ONE_UNIT * deviation.min():
        deviation = np.full(x.shape[1], np.sqrt(np.square(deviation).mean()))
    label = None if data.label is None else data.label[complete]
    return replace(
        data,
        x=np.ascontiguousarray((x - x.mean(axis=0)) / deviation),
        label=label,
        log_scale=float(np.log(deviation).sum()),
        dropped=int((~complete).sum()),
    )


def load(folder: Path, names: tuple[str, ...]) -> Iterator[DataSet]:
    """The sets of a folder, NAME.csv or NAME.csv.gz each, in the order of the names; all must be there."""
    manifest = _manifest(folder)
    for name in names:
        found = [path for path in (folder / f"{name}.csv.gz", folder / f"{name}.csv") if path.is_file()]
        if not found:
            there = ", ".join(sets_in(folder)) or "none"
            raise DataError(f"{folder}: no {name}.csv or {name}.csv.gz there, sets: {there}")
        yield scaled(_read(found[0], name, manifest.get(name, {})))


def sets_in(folder: Path) -> list[str]:
    """Names of the sets of a folder."""
    return sorted({path.name.split(".csv")[0] for path in folder.glob("*.csv*")})


def _manifest(folder: Path) -> dict[str, dict]:
    path = folder / "manifest.json"
    return {entry["name"]: entry for entry in json.loads(path.read_text())} if path.is_file() else {}


def _read(path: Path, name: str, entry: dict) -> DataSet:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    header, *lines = list(csv.reader(content.decode().splitlines())) or [[]]
    labels = entry.get("labels", ["label"] if "label" in header else [])
    beside = BESIDE | set(labels) | {entry.get("time")}
    columns = [j for j, column in enumerate(header) if column not in beside and _is_number(lines, j)]
    if not columns or not lines:
        raise DataError(f"{path}: no column of numbers, expected a header and at least one")
    x = np.array([[float(line[j] or "nan") for j in columns] for line in lines])
    if not labels:
        return DataSet(name, x, None, entry.get("k") or 8)
    column = header.index(labels[0])
    label = _codes([line[column] for line in lines], noise="0 = noise" in entry.get("note", ""))
    return DataSet(name, x, label, int(label.max()) + 1, judged=name in JUDGED)


def _is_number(lines: list[list[str]], column: int) -> bool:
    try:
        for line in lines:
            float(line[column] or "nan")
    except ValueError:
        return False
    return True


def _codes(texts: list[str], noise: bool) -> np.ndarray:
    """Class numbers from 0, and -1 for the class "0" where that is noise."""
    known = sorted(set(texts) - ({"0"} if noise else set()))
    code = {text: i for i, text in enumerate(known)}
    return np.array([code.get(text, -1) for text in texts])


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
    judged: bool = False

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
        return DataSet(name, x, label, self.k, judged=self.judged)

    def _centres(self, rng: np.random.Generator) -> np.ndarray:
        side = self.apart * (self.k ** (1 / self.d) + 1.0)
        centres = rng.random((1, self.d)) * side
        while len(centres) < self.k:
            drawn = rng.random(self.d) * side
            if np.square(centres - drawn).sum(axis=1).min() >= self.apart**2:
                centres = np.vstack([centres, drawn])
        return centres


RECIPES = {
    "round": Recipe(15, 2, 5000, apart=5.5, seed=1, judged=True),
    "many": Recipe(40, 2, 8000, apart=5.5, seed=2, judged=True),
    "unequal": Recipe(8, 2, 6000, apart=7.0, seed=3, spread=(0.5, 1.5), even=False, judged=True),
    "wide": Recipe(16, 32, 2000, apart=8.0, seed=4, judged=True),
    "oval": Recipe(6, 2, 4000, apart=4.0, seed=5, spread=(0.6, 1.0), oval=4.0),
    "overlap": Recipe(10, 4, 5000, apart=3.0, seed=6, spread=(0.7, 1.6)),
}
SHIPPED: dict[str, Callable[[], DataSet]] = {
    "iris": lambda: _of_sklearn("iris"),
    "wine": lambda: _of_sklearn("wine"),
    "digits": lambda: _of_sklearn("digits"),
    "segments": lambda: _segments(),
}
"""Sets that come with scikit-learn and River."""


def make(names: tuple[str, ...]) -> Iterator[DataSet]:
    """The sets of these names, made here or shipped with a peer."""
    for name in names:
        if name in RECIPES:
            yield scaled(RECIPES[name].made(name))
        elif name in SHIPPED:
            yield scaled(SHIPPED[name]())
        else:
            raise DataError(f"{name}: no such made set, expected one of {', '.join([*RECIPES, *SHIPPED])}")


def _of_sklearn(name: str) -> DataSet:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    return DataSet(name, bunch.data.astype(float), bunch.target, len(bunch.target_names))


def _segments() -> DataSet:
    from river import datasets

    rows, targets = zip(*datasets.ImageSegments(), strict=True)
    x = np.array([list(row.values()) for row in rows], dtype=float)
    label = _codes([str(target) for target in targets], noise=False)
    return DataSet("segments", x, label, int(label.max()) + 1)
