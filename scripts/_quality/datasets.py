"""Data sets, as they are read from a folder of CSV files and as static ones are scaled."""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

BESIDE = {"label", "label_bayes", "row", "ts", "Time", "file", "user", "batch"}
"""Columns that are no features, whatever a manifest says."""
ONE_UNIT = 10.0
"""Features whose spreads differ by less than this factor are taken to be in one unit."""


class DataError(ValueError):
    """A data set is not there or cannot be read; one line for a person."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Rows x (n, d), label (n,) with -1 for noise, or None, and number of clusters.

    `bayes` is the label (n,) that the true model finds likeliest, where that is known. `log_scale` is what to
    subtract from a log density to have it in the data's units.
    """

    name: str
    x: np.ndarray
    label: np.ndarray | None
    k: int
    bayes: np.ndarray | None = None
    log_scale: float = 0.0

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
    return replace(
        data,
        x=np.ascontiguousarray((x - x.mean(axis=0)) / deviation),
        label=None if data.label is None else data.label[complete],
        bayes=None if data.bayes is None else data.bayes[complete],
        log_scale=float(np.log(deviation).sum()),
    )


def load(folder: Path, name: str) -> DataSet:
    """The set NAME.csv.gz or NAME.csv of a folder, its rows as they are."""
    found = [path for path in (folder / f"{name}.csv.gz", folder / f"{name}.csv") if path.is_file()]
    if not found:
        there = ", ".join(sets_in(folder)) or "none"
        raise DataError(f"{folder}: no {name}.csv or {name}.csv.gz there, sets: {there}")
    return _read(found[0], name, manifest(folder).get(name, {}))


def sets_in(folder: Path) -> list[str]:
    """Names of the sets of a folder."""
    return sorted({path.name.split(".csv")[0] for path in folder.glob("*.csv*")})


def manifest(folder: Path) -> dict[str, dict]:
    """What the folder says of its sets, by name."""
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
    noise = "0 = noise" in entry.get("note", "")
    label = codes([line[header.index(labels[0])] for line in lines], noise)
    bayes = None
    if "label_bayes" in header:
        bayes = codes([line[header.index("label_bayes")] for line in lines], noise)
    return DataSet(name, x, label, int(label.max()) + 1, bayes)


def _is_number(lines: list[list[str]], column: int) -> bool:
    try:
        for line in lines:
            float(line[column] or "nan")
    except ValueError:
        return False
    return True


def codes(texts: list[str], noise: bool) -> np.ndarray:
    """Class numbers from 0, and -1 for the class "0" where that is noise."""
    known = sorted(set(texts) - ({"0"} if noise else set()))
    code = {text: i for i, text in enumerate(known)}
    return np.array([code.get(text, -1) for text in texts])
