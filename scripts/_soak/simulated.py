"""A disk of our own under SQLite: it loses power, it fills up, and its writes and syncs fail.

What SQLite wrote and did not sync is kept apart from what is on the platter. A sync brings a file's writes
there. When power goes, every sector of what was not synced is there or not, at random; likewise a file that
was made, and the length of one that was cut. A sync that fails may forget what it had to bring: the system
shows the data as written, and no later sync brings them (what Linux does with pages that could not be
written).
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from .like_sqlite import PowerCutError, connection

SECTOR = 512
Trouble = Callable[[str, int], Exception | None]
"""The error, if any, of the n-th (from 1) "write" or "sync"; a truncation counts as a write."""


@dataclass
class _Image:
    """A file: what is on the platter (None: it is not there), what was written since its last sync, and what
    a cut may bring back of one that was removed."""

    platter: bytearray | None = None
    gone: bytearray | None = None
    unsynced: list[tuple[str, int, bytes]] = field(default_factory=list)


class Disk:
    """A file system by the name of `name`, over real files that are never synced.

    `cut_at`: the number of the write or sync at which power goes; `trouble`: what fails.
    """

    def __init__(
        self, name: str, rng: random.Random, *, cut_at: int | None = None, trouble: Trouble | None = None
    ) -> None:
        self.name, self.rng, self.cut_at, self.trouble = name, rng, cut_at, trouble
        self.writes = self.syncs = self.failed = 0
        self.failed_at: float | None = None
        self.dead = False
        self.images: dict[str, _Image] = {}
        self._vfs = _Vfs(self)

    def connect(self, path: str, *, writer: bool) -> sqlite3.Connection:
        """What a journal is opened with."""
        return connection(path, self.name, writer=writer)

    def happens(self, kind: str, path: str) -> None:
        """Counts a write or a sync, and fails it where that is due; `failed_at` is when the log first did."""
        if self.dead:
            raise apsw.IOError("the power is gone")
        self.writes += kind == "write"
        self.syncs += kind == "sync"
        count = self.writes + self.syncs
        if count == self.cut_at:
            self.dead = True
            raise PowerCutError
        error = self.trouble(kind, count) if self.trouble is not None else None
        if error is not None:
            self.failed += 1
            if self.failed_at is None and path.endswith("-wal"):
                self.failed_at = time.monotonic()
            raise error

    def healed(self) -> None:
        """Nothing fails any more, and counting begins anew."""
        self.trouble, self.failed_at = None, None
        self.writes = self.syncs = 0

    def image(self, path: str) -> _Image:
        """The file at a path; one that is there already when it is first used is on the platter."""
        if path not in self.images:
            real = Path(path)
            self.images[path] = _Image(bytearray(real.read_bytes()) if real.exists() else None)
        return self.images[path]

    def synced(self, path: str) -> None:
        """All that was written to a file is on the platter; with a new log SQLite syncs the folder too."""
        image = self.image(path)
        if image.platter is None and path.endswith(("-wal", "-journal")):
            for other in self.images.values():
                other.gone = None
        if image.platter is None:
            image.platter = bytearray()
        for operation in image.unsynced:
            _apply(image.platter, *operation)
        image.unsynced = []

    def forgotten(self, path: str) -> None:
        """A failed sync: some of what it had to bring will never come."""
        image = self.image(path)
        image.unsynced = [operation for operation in image.unsynced if self.rng.random() < 0.5]

    def removed(self, path: str, lasting: bool) -> None:
        """A file is gone; unless its folder was synced, a cut may bring it back."""
        image = self.image(path)
        image.gone = None if lasting else image.platter or image.gone
        image.platter, image.unsynced = None, []

    def after_power(self) -> None:
        """Leave in the real files what a power cut left on the platter."""
        keep = self.rng.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for path, image in self.images.items():
            there = image.platter is not None or (image.unsynced and self.rng.random() < max(keep, 0.5))
            data = bytearray(image.platter or b"")
            for operation in image.unsynced:
                self._some(data, keep, *operation)
            if not there and image.gone is not None and self.rng.random() < 0.5:
                there, data = True, image.gone
            Path(path).unlink(missing_ok=True)
            Path(f"{path}-shm").unlink(missing_ok=True)
            if there:
                Path(path).write_bytes(data)
        self.images.clear()

    def _some(self, data: bytearray, keep: float, kind: str, at: int, piece: bytes) -> None:
        if kind == "cut":
            if self.rng.random() < keep:
                _apply(data, kind, at, piece)
            return
        while piece:
            size = SECTOR - at % SECTOR
            if self.rng.random() < keep:
                _apply(data, kind, at, piece[:size])
            at, piece = at + size, piece[size:]

    def close(self) -> None:
        """Take the file system away."""
        self._vfs.unregister()


@contextmanager
def in_silence() -> Iterator[None]:
    """Errors that SQLite has no use for, as when it tidies up, are of our own making: apsw prints none."""
    hooks = sys.excepthook, sys.unraisablehook
    sys.excepthook = sys.unraisablehook = lambda *_: None
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook = hooks


def _apply(data: bytearray, kind: str, at: int, piece: bytes) -> None:
    if kind == "cut":
        del data[at:]
        return
    if len(data) < at:
        data.extend(bytes(at - len(data)))
    data[at : at + len(piece)] = piece


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        super().__init__(disk.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _File(self.disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.disk.dead:
            return
        self.disk.removed(filename, syncdir)
        with suppress(apsw.IOError):
            super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        self.disk = disk
        self.path = name if isinstance(name, str) else name.filename() if name is not None else ""
        if self.path:
            disk.image(self.path)
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.happens("write", self.path)
        if self.path:
            self.disk.image(self.path).unsynced.append(("write", offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self.disk.happens("write", self.path)
        if self.path:
            self.disk.image(self.path).unsynced.append(("cut", newsize, b""))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        try:
            self.disk.happens("sync", self.path)
        except apsw.Error:
            self.disk.forgotten(self.path)
            raise
        self.disk.synced(self.path)
