"""The one writer of a journal: append many, then commit once."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from types import TracebackType
from typing import Any, Final, NoReturn

from stream_mix.engine import Done
from stream_mix.ports.journal.connect import (
    Connect,
    check_no_folder,
    check_own,
    connect,
    explain,
    real_path,
    unavailable,
)
from stream_mix.ports.journal.lock import WriterLock
from stream_mix.ports.journal.opening import fold, open_db, reopened
from stream_mix.ports.journal.read import End, read_end
from stream_mix.ports.journal.records import JournalError, JournalFrame, JournalUnavailable, Output
from stream_mix.ports.journal.schema import (
    DURABILITY,
    frame_row,
    letter_row,
    mark_crc,
    output_row,
    record_crc,
)
from stream_mix.ports.journal.segments import Retention, Segments
from stream_mix.ports.journal.sources import PUT_SOURCE, source_row
from stream_mix.ports.journal.upkeep import COMMIT_BYTES, TIDY_BYTES, fold_some, prune

_BUFFER_FRAMES, _BUFFER_BYTES = 512, 4 << 20
_INSERT_FRAME: Final = "INSERT INTO frame VALUES (?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_OUTPUT: Final = "INSERT INTO output VALUES (?,?,?,?,?,?,?)"
_INSERT_LETTER: Final = "INSERT INTO dead_letter VALUES (?,?,?,?,?,?,?,?)"
_MARK: Final = "UPDATE mark SET frames=?, rows=?, outputs=?, dead_letters=?, segment=?, segments=?, crc=?"
_INSERT_CHECKPOINT: Final = "INSERT INTO checkpoint (offset, crc, blob) VALUES (?,?,?)"


class Journal:
    """The writing end of a journal, held by one process at a time; used from one thread at a time.

    Everything handed in since the last `commit` becomes durable by the next one, together or not at all. A
    process killed at any moment leaves exactly the commits that returned, and perhaps the one under way.

    After an error from the disk, JournalUnavailable, the journal refuses all further writes and says why
    (`unavailable`) until `reopen` succeeds.

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
        connection: Callable[[], sqlite3.Connection],
        keep_checkpoints: int,
        keep_dead_letters: int,
        retention: Retention,
    ) -> None:
        self.path = path
        self.keep_checkpoints = keep_checkpoints
        self.keep_dead_letters = keep_dead_letters
        self.retention = retention
        self._lock = lock
        self._connection = connection
        self._begin(db)

    def _begin(self, db: sqlite3.Connection) -> None:
        """Nothing is under way, and the journal is as the file says."""
        end = read_end(db, self.path)
        segments = Segments(db, self.path, self.retention, end)
        self._db, self._kept, self._segments = db, end, segments
        self._failed: str | None = None
        self._frames: list[tuple[Any, ...]] = []
        self._bytes, self._logged = 0, -segments.bytes
        self._begun = self._folded = self._pruned = False
        self.next_id, self.next_offset, self._next_output, self._next_letter = end[:4]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: str = "fsync",
        create: bool = True,
        keep_checkpoints: int = 3,
        keep_dead_letters: int = 1000,
        retention: Retention = Retention(),  # noqa: B008  # a frozen value
        begins: tuple[int, int] = (0, 0),
        meta: Mapping[str, str] | None = None,
        connect: Connect = connect,
    ) -> Journal:
        """Open the journal at `path` for writing, making it if it is not there and `create` says so.

        durability: "fsync" (a commit survives a power cut), "os" (it survives the process), "off". `meta` is
        kept with a journal that is made here, whose first frame and offset are `begins`. JournalError where
        the file is no journal, of a later format, damaged at its end, cannot be written, or is being written
        by another.
        """
        if durability not in DURABILITY:
            raise JournalError(path, f"durability {durability!r}, expected one of {', '.join(DURABILITY)}")
        if keep_checkpoints < 1 or keep_dead_letters < 0:
            raise JournalError(path, "expected keep_checkpoints >= 1 and keep_dead_letters >= 0")
        name = real_path(path)
        if not create and not os.path.exists(name):
            raise JournalError(path, "no such journal")
        check_no_folder(name)
        check_own(name, connect)
        with ExitStack() as stack:
            lock = stack.enter_context(WriterLock(name))

            def connection() -> sqlite3.Connection:
                return open_db(name, durability, meta or {}, connect, begins)

            db = stack.enter_context(closing(connection()))
            try:
                made = cls(name, db, lock, connection, keep_checkpoints, keep_dead_letters, retention)
            except sqlite3.Error as error:
                raise explain(name, error) from None
            stack.pop_all()
            return made

    def append(self, frames: Iterable[JournalFrame]) -> None:
        """Add frames in order; each must begin where the one before it ended (`next_id`, `next_offset`)."""
        self._check()
        for frame in frames:
            if frame[0] != self.next_id or frame[1] != self.next_offset or frame[2] < 1:
                found = f"frame {frame[0]} with {frame[2]} rows at offset {frame[1]}"
                wanted = f"frame {self.next_id} with at least one row at offset {self.next_offset}"
                raise JournalError(self.path, f"{found}, expected {wanted}")
            try:
                self._frames.append(frame_row(frame))
            except (TypeError, ValueError, struct.error) as error:
                raise JournalError(self.path, f"frame {frame[0]} cannot be kept: {error}", frame[1]) from None
            self._bytes += len(frame[8])
            self._segments.add(len(frame[8]), frame[5])
            self.next_id += 1
            self.next_offset += frame[2]
            if len(self._frames) >= _BUFFER_FRAMES or self._bytes >= _BUFFER_BYTES:
                self._flush()

    def outputs(self, outputs: Iterable[Output]) -> None:
        """Add what was published, in order of frames, so that a replay can be compared with it."""
        rows = []
        for id, output in enumerate(outputs, self._next_output):
            try:
                rows.append(output_row(id, output))
            except ValueError as error:
                raise JournalError(self.path, str(error)) from None
            self._segments.add(len(rows[-1][5]) + len(rows[-1][6]))
        self._write_many(_INSERT_OUTPUT, rows)
        self._next_output += len(rows)

    def checkpoint(self, offset: int, blob: bytes) -> None:
        """Add the state after `offset` rows, none of them still to be appended; the newest few are kept."""
        if not 0 <= offset <= self.next_offset:
            raise JournalError(self.path, f"checkpoint at offset {offset}, expected 0 to {self.next_offset}")
        self._write_many(_INSERT_CHECKPOINT, [(int(offset), record_crc(int(offset), blob), blob)])
        self._logged += len(blob)
        self._pruned = False

    def dead_letter(self, received: float, source: str | None, code: str, reason: str, raw: bytes) -> None:
        """Add a frame that was refused; the first 4 KiB of it are kept, and the oldest letters make room."""
        row = letter_row(self._next_letter, received, source, code, reason, raw)
        self._write_many(_INSERT_LETTER, [row])
        self._logged += len(row[-1])
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
        try:
            if not self._pruned:
                prune(self._db, self.keep_checkpoints, self._next_letter - self.keep_dead_letters)
                self._pruned = True
            self._segments.turn(self._db, self.next_id, self.next_offset, self._next_output)
            segments = (self._segments.first, self._segments.count)
            mark = (self.next_id, self.next_offset, self._next_output, self._next_letter, *segments)
            self._db.execute(_MARK, (*mark, mark_crc(*mark)))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._fail(error)
        self._begun = False
        self._kept = End(*mark)
        self._logged += COMMIT_BYTES

    def tidy(self, least: int = TIDY_BYTES) -> None:
        """Fold the log into the file if it holds so many bytes, between commits, for who is idle."""
        if self._failed is None and not self._begun and self._segments.bytes + self._logged >= least:
            self._logged = -self._segments.bytes
            fold_some(self._db)

    @property
    def committed(self) -> int:
        """Rows that are durable, of the `next_offset` handed in."""
        return self._kept.rows

    @property
    def unavailable(self) -> str | None:
        """Why the journal takes nothing now; None where it does."""
        return self._failed

    def reopen(self) -> bool:
        """Begin again after a failure, with what was committed, on a fresh connection.

        What the failed commit left in the log is cut away first: the log is folded up to the last commit that
        returned, all of it written and synced anew, and emptied. No sync is tried twice: of what a failed
        one had to bring to the disk, nothing is used. Returns whether the commit that failed turned out to
        have been made all the same. Raises JournalUnavailable as long as the disk fails.
        """
        if self._failed is None or self._failed == "closed":
            return False
        asked, kept = (self.next_id, self.next_offset, self._next_output), self._kept[:3]
        if not self._folded:
            fold(self._db, self.path)
            self._folded = True
            self._db.close()
        db = reopened(self.path, self._connection, (kept, asked))
        try:
            self._begin(db)
        except (sqlite3.Error, JournalError) as error:
            db.close()
            raise unavailable(self.path, error) if isinstance(error, sqlite3.Error) else error from None
        return self._kept[:3] == asked != kept

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
            raise JournalUnavailable(self.path, f"cannot be written any more ({self._failed}); open it again")

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

    def _fail(self, error: sqlite3.Error) -> NoReturn:
        reason = unavailable(self.path, error)
        self._failed = reason.reason
        self._frames = []
        try:
            self._db.rollback()
        except sqlite3.Error:
            self._failed += ", and what was under way could not be undone"
        raise reason from None
