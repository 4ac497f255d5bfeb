"""Where the data comes from: a folder of CSV files, or this machine alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from . import datasets, made
from .datasets import DataError, DataSet


@dataclass(frozen=True)
class Source:
    """A folder, or None for what is made or shipped; and the only sets that are wanted, or None for all."""

    folder: Path | None
    only: tuple[str, ...] | None = None

    def checked(self) -> Source:
        """This; raises DataError where the folder is not there or a wanted set is unknown."""
        if self.folder is not None and not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder")
        known = self.names()
        for name in self.only or ():
            if name not in known and self.folder is not None:
                there = ", ".join(known) or "none"
                raise DataError(f"{self.folder}: no {name}.csv or {name}.csv.gz there, sets: {there}")
            if name not in known:
                raise DataError(f"{name}: no such made set, expected one of {', '.join(known)}")
        return self

    def names(self) -> list[str]:
        """Every set there is."""
        return datasets.sets_in(self.folder) if self.folder is not None else list(made.MAKERS)

    @property
    def words(self) -> str:
        """Where the data comes from, for a person."""
        return str(self.folder or "sets made here, and sets that River and scikit-learn ship")

    def choose(self, wanted: Sequence[str], instead: Sequence[str], *, others: bool = False) -> list[str]:
        """The wanted sets that the folder has, or those to take `instead` where there is no folder.

        With `others`, sets that the person named are taken too, and every labelled one of a folder that has
        none of the wanted.
        """
        known = self.names()
        names = list(instead) if self.folder is None else [name for name in wanted if name in known]
        if others and self.only is not None:
            return [name for name in self.only if self.load(name).label is not None]
        if others and not names and self.folder is not None:
            names = [name for name in known if self.load(name).label is not None]
        return [name for name in names if self.only is None or name in self.only]

    def load(self, name: str) -> DataSet:
        """The rows as they are."""
        return _loaded(self.folder, name)

    def scaled(self, name: str) -> DataSet:
        """The rows as learners of static data get them: see `datasets.scaled`."""
        return _scaled(self.folder, name)


@lru_cache(maxsize=2)
def _loaded(folder: Path | None, name: str) -> DataSet:
    return made.make(name) if folder is None else datasets.load(folder, name)


@lru_cache(maxsize=2)
def _scaled(folder: Path | None, name: str) -> DataSet:
    return datasets.scaled(_loaded(folder, name))
