"""The one writer of a journal: append many, then commit once."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final

import numpy as np

from stream_mix.engine import Done
from stream_mix.ports.journal.lock import WriterLock
from stream_mix.ports.journal.read import read_end
from stream_mix.ports.journal.records import JournalError, JournalFrame, Output
from stream_mix.ports.journal.schema import (
    APPLICATION_ID,
    DURABILITY,
    FORMAT,
    PAGE_BYTES,
    TABLES,
    check_format,
    check_no_folder,
    check_own,
    connect,
    explain,
    frame_row,
    is_empty,
    mark_crc,
    output_crc,
    real_path,
    record_crc,
)
from stream_mix.ports.journal.sources import PUT_SOURCE, SOURCES, source_row

DEAD_LETTER_BYTES: Final = 4096
_BUFFER_FRAMES: Final = 512
_BUFFER_BYTES: Final = 4 << 20
_LOG_BYTES: Final = 2 << 20
"""The log is folded into the file at this size; at eight times as much each fold took 90 ms."""

_LABELS: Final = (np.dtype("<i8"), np.dtype("<i4"))
_DENSITY: Final = np.dtype("<f4")

_INSERT_FRAME: Final = "INSERT INTO frame VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_OUTPUT: Final = "INSERT INTO output VALUES (?,?,?,?,?,?,?)"
_INSERT_LETTER: Final = "INSERT INTO dead_letter VALUES (?,?,?,?,?,?,?,?)"
_UPDATE_MARK: Final = "UPDATE mark SET frames=?, rows=?, outputs=?, dead_letters=?, crc=?"
_INSERT_CHECKPOINT: Final = "INSERT INTO checkpoint (offset, crc, blob) VALUES (?,?,?)"


class Journal:
    """The writing end of a journal, held by one process at a time; used from one thread at a time.

    Everything handed in since the last `commit` becomes durable by the next one, together or not at all. A
    process killed at any moment leaves exactly the commits that returned, and perhaps the one under way.
    After an error from the disk the journal refuses all further writes: a failed sync is never tried again,
    the file is opened afresh.

    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "a.journal")
    >>> with Journal.open(path) as journal:
    ...     journal.append([JournalFrame(0, 0, 3, "s", 0, 1.5, None, None, b"raw")])
    ...     journal.commit()
    ...     journal.next_id, journal.next_offset
    (1, 3)
    """

    def __init__(
        self,
        path: str,
        db: sqlite3.Connection,
        lock: WriterLock,
        keep_checkpoints: int,
        keep_dead_letters: int,
    ) -> None:
        self.path = path
        self.keep_checkpoints = keep_checkpoints
        self.keep_dead_letters = keep_dead_letters
        self._db = db
        self._lock = lock
        self._failed: str | None = None
        self._frames: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._begun = False
        self._pruned = False
        self.next_id, self.next_offset, self._next_output, self._next_letter = read_end(db, path)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: str = "fsync",
        create: bool = True,
        keep_checkpoints: int = 3,
        keep_dead_letters: int = 1000,
        meta: Mapping[str, str] | None = None,
    ) -> Journal:
        """Open the journal at `path` for writing, making it if it is not there and `create` says so.

        durability: "fsync" (a commit survives a power cut), "os" (it survives the process), "off". `meta` is
        kept with a journal that is made here. JournalError where the file is no journal, of a later format,
        damaged at its end, cannot be written, or is being written by another.
        """
        if durability not in DURABILITY:
            raise JournalError(path, f"durability {durability!r}, expected one of {', '.join(DURABILITY)}")
        if keep_checkpoints < 1 or keep_dead_letters < 0:
            raise JournalError(path, "expected keep_checkpoints >= 1 and keep_dead_letters >= 0")
        name = real_path(path)
        if not create and not os.path.exists(name):
            raise JournalError(path, "no such journal")
        check_no_folder(name)
        check_own(name)
        lock = WriterLock(name)
        try:
            db = _open_db(name, durability, dict(meta or {}))
            return cls(name, db, lock, keep_checkpoints, keep_dead_letters)
        except BaseException:
            lock.release()
            raise

    def append(self, frames: Iterable[JournalFrame]) -> None:
        """Add frames in order; each must begin where the one before it ended (`next_id`, `next_offset`)."""
        self._check()
        for frame in frames:
            if frame[0] != self.next_id or frame[1] != self.next_offset or frame[2] < 1:
                raise JournalError(
                    self.path,
                    f"frame {frame[0]} with {frame[2]} rows at offset {frame[1]}, "
                    f"expected frame {self.next_id} with at least one row at offset {self.next_offset}",
                )
            try:
                self._frames.append(frame_row(frame))
            except (TypeError, ValueError, struct.error) as error:
                raise JournalError(self.path, f"frame {frame[0]} cannot be kept: {error}", frame[1]) from None
            self._bytes += len(frame[8])
            self.next_id += 1
            self.next_offset += frame[2]
            if len(self._frames) >= _BUFFER_FRAMES or self._bytes >= _BUFFER_BYTES:
                self._flush()

    def outputs(self, outputs: Iterable[Output]) -> None:
        """Add what was published, in order of frames, so that a replay can be compared with it."""
        rows = []
        for id, output in enumerate(outputs, self._next_output):
            n = len(output.log_density)
            kinds = output.labels.dtype in _LABELS and output.log_density.dtype == _DENSITY
            if not kinds or len(output.labels) != n:
                why = f"output of frame {output.frame}: expected {n} int32 or int64 labels, float32 densities"
                raise JournalError(self.path, why)
            labels, density = output.labels.tobytes(), output.log_density.tobytes()
            head = (id, int(output.frame), output.model, int(output.generation))
            rows.append((*head, output_crc(*head, labels, density), labels, density))
        self._write_many(_INSERT_OUTPUT, rows)
        self._next_output += len(rows)

    def checkpoint(self, offset: int, blob: bytes) -> None:
        """Add the state after `offset` rows, none of them still to be appended; the newest few are kept."""
        if not 0 <= offset <= self.next_offset:
            raise JournalError(self.path, f"checkpoint at offset {offset}, expected 0 to {self.next_offset}")
        self._write_many(_INSERT_CHECKPOINT, [(int(offset), record_crc(int(offset), blob), blob)])
        self._pruned = False

    def dead_letter(self, received: float, source: str | None, code: str, reason: str, raw: bytes) -> None:
        """Add a frame that was refused; the first 4 KiB of it are kept, and the oldest letters make room."""
        clipped = bytes(raw[:DEAD_LETTER_BYTES])
        sender, said = (text and text.encode("utf-8", "replace").decode() for text in (source, reason))
        head = (self._next_letter, float(received) or 0.0, sender, code, said, len(raw))
        self._write_many(_INSERT_LETTER, [(*head, record_crc(*head, clipped), clipped)])
        self._next_letter += 1
        self._pruned = False

    def sources(self, done: Mapping[str, Done]) -> None:
        """Say how far these sources are, with the next commit; what is known of others stays."""
        self._write_many(PUT_SOURCE, [source_row(name, mark) for name, mark in done.items()])

    def set_meta(self, key: str, value: str) -> None:
        """Set one entry of the journal's description, with the next commit."""
        self._write_many("INSERT OR REPLACE INTO meta VALUES (?,?,?)", [(key, value, record_crc(key, value))])

    def commit(self) -> None:
        """Make everything since the last commit durable, in one transaction; there may be nothing."""
        self._check()
        self._flush()
        if not self._begun:
            return
        mark = (self.next_id, self.next_offset, self._next_output, self._next_letter)
        try:
            if not self._pruned:
                self._prune()
            self._db.execute(_UPDATE_MARK, (*mark, mark_crc(*mark)))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        self._begun = False

    def close(self) -> None:
        """Commit, fold the log into the file, and let the next writer in; a second call does nothing."""
        if self._failed == "closed":
            return
        try:
            if self._failed is None:
                self.commit()
        finally:
            self._failed = "closed"
            self._db.close()
            self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        if self._failed is not None:
            raise JournalError(self.path, f"cannot be written any more ({self._failed}); open it again")

    def _flush(self) -> None:
        if self._frames:
            rows, self._frames, self._bytes = self._frames, [], 0
            self._write_many(_INSERT_FRAME, rows)

    def _write_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        self._check()
        try:
            if not self._begun:
                self._db.execute("BEGIN IMMEDIATE")
                self._begun = True
            self._db.executemany(statement, rows)
        except sqlite3.Error as error:
            self._fail(error)

    def _prune(self) -> None:
        self._db.execute(
            "DELETE FROM checkpoint WHERE id NOT IN (SELECT id FROM checkpoint ORDER BY id DESC LIMIT ?)",
            (self.keep_checkpoints,),
        )
        self._db.execute(
            "DELETE FROM dead_letter WHERE id < ?", (self._next_letter - self.keep_dead_letters,)
        )
        self._pruned = True

    def _fail(self, error: sqlite3.Error) -> None:
        reason = explain(self.path, error)
        self._failed = reason.reason
        self._frames = []
        try:
            self._db.rollback()
        except sqlite3.Error:
            self._failed += ", and what was under way could not be undone"
        raise reason from None


def _open_db(path: str, durability: str, meta: dict[str, str]) -> sqlite3.Connection:
    """A writing connection to a sound journal of this format, new or old."""
    try:
        db = connect(path, writer=True)
    except sqlite3.Error as error:
        raise explain(path, error) from None
    try:
        # A kill while a journal was being made leaves a database without tables, to be made again.
        fresh = is_empty(db)
        if fresh:
            db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        else:
            check_format(db, path)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={DURABILITY[durability]}")
        db.execute(f"PRAGMA wal_autocheckpoint={_LOG_BYTES // PAGE_BYTES}")
        db.execute(f"PRAGMA journal_size_limit={4 * _LOG_BYTES}")
        db.execute("PRAGMA cache_size=-16384")
        if fresh:
            _create(db, meta)
        db.execute(SOURCES)
        read_end(db, path)
    except sqlite3.Error as error:
        db.close()
        raise explain(path, error) from None
    except BaseException:
        db.close()
        raise
    return db


def _create(db: sqlite3.Connection, meta: dict[str, str]) -> None:
    """The tables of an empty journal, in one transaction: a kill leaves a journal or an empty file."""
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute("INSERT INTO mark VALUES (0,0,0,0,0,?)", (mark_crc(0, 0, 0, 0),))
    db.executemany("INSERT INTO meta VALUES (?,?,?)", [(k, v, record_crc(k, v)) for k, v in meta.items()])
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={FORMAT}")
    db.execute("COMMIT")
