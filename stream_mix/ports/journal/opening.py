"""A writing connection to a journal: made where there is none, and brought to the present format."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Mapping
from typing import Final

from stream_mix.ports.journal.connect import Connect, check_format, explain, is_empty, unavailable
from stream_mix.ports.journal.log import check_log
from stream_mix.ports.journal.read import read_end
from stream_mix.ports.journal.records import JournalError, JournalUnavailable
from stream_mix.ports.journal.schema import (
    APPLICATION_ID,
    DURABILITY,
    FORMAT,
    FROM_1,
    PAGE_BYTES,
    TABLES,
    mark_crc,
    record_crc,
)
from stream_mix.ports.journal.segments import Segment, insert, split

_FOLD_MS: Final = 100
"""A wait for readers while the journal is opened again: whoever reopens has others to answer meanwhile."""

_BUSY_MS: Final = 1000
"""A writer is alone: only a reader that begins to read the log holds it up, for a moment."""

LOG_BYTES: Final = 2 << 20
"""The log is folded into the file at this size; at eight times as much each fold took 90 ms."""


def open_db(
    path: str,
    durability: str,
    meta: Mapping[str, str],
    connect: Connect,
    begins: tuple[int, int] = (0, 0),
) -> sqlite3.Connection:
    """A writing connection to a sound journal of this format, new or old. Raises JournalError."""
    try:
        db = connect(path, writer=True)
    except sqlite3.Error as error:
        raise explain(path, error) from None
    try:
        db.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
        # A kill while a journal was being made leaves a database without tables, to be made again.
        fresh = is_empty(db)
        if fresh:
            db.execute(f"PRAGMA page_size={PAGE_BYTES}")
        else:
            check_format(db, path)
        if durability == "fsync":
            check_log(db, path)
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise JournalError(path, f"cannot keep a log here (SQLite stays in mode {mode}): another disk?")
        db.execute(f"PRAGMA synchronous={DURABILITY[durability]}")
        db.execute(f"PRAGMA wal_autocheckpoint={LOG_BYTES // PAGE_BYTES}")
        db.execute(f"PRAGMA journal_size_limit={4 * LOG_BYTES}")
        db.execute("PRAGMA cache_size=-16384")
        if fresh:
            create(db, meta, Segment(0, *begins, 0, 0, 0.0))
        elif not read_end(db, path).segments:
            _upgrade(db, path)
        read_end(db, path)
    except sqlite3.Error as error:
        db.close()
        raise explain(path, error) from None
    except BaseException:
        db.close()
        raise
    return db


def fold(db: sqlite3.Connection, path: str) -> None:
    """Empty the log of a connection whose commit failed, all that was committed before it written into the
    file and synced. Raises JournalUnavailable."""
    try:
        if db.in_transaction:
            db.rollback()
        db.execute(f"PRAGMA busy_timeout={_FOLD_MS}")
        if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise JournalUnavailable(path, "its log is in use by a reader")
    except sqlite3.Error as error:
        raise unavailable(path, error) from None


def reopened(
    path: str, connection: Callable[[], sqlite3.Connection], wanted: Container[tuple[int, ...]]
) -> sqlite3.Connection:
    """A fresh connection to a journal that failed, which holds one of the `wanted` (frames, rows, outputs).

    Raises JournalUnavailable where it still fails, JournalError where it holds something else.
    """
    try:
        db = connection()
    except JournalError as error:
        if error.reason.startswith("damaged"):
            raise
        raise JournalUnavailable(path, error.reason) from None
    try:
        end = read_end(db, path)
        if end[:3] not in wanted:
            raise JournalError(path, f"damaged: opened again it has {end.rows} rows, not those committed")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection, meta: Mapping[str, str], begins: Segment) -> None:
    """The tables of an empty journal that begins with a segment, in one transaction: a kill leaves a journal
    or an empty file."""
    mark = (begins.frame, begins.offset, begins.output, 0, 0, 1)
    db.execute("BEGIN IMMEDIATE")
    for statement in TABLES.split(";"):
        db.execute(statement)
    db.execute(
        "INSERT INTO mark (id, frames, rows, outputs, dead_letters, segment, segments, crc) "
        "VALUES (0,?,?,?,?,?,?,?)", (*mark, mark_crc(*mark)),
    )  # fmt: skip
    insert(db, begins)
    db.executemany("INSERT INTO meta VALUES (?,?,?)", [(k, v, record_crc(k, v)) for k, v in meta.items()])
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={FORMAT}")
    db.execute("COMMIT")


def _upgrade(db: sqlite3.Connection, path: str) -> None:
    """Segments for a journal of format 1, in one transaction; its records stay as they are."""
    db.execute("BEGIN IMMEDIATE")
    end = read_end(db, path)
    for statement in FROM_1:
        db.execute(statement)
    mark = (*end[:4], 0, split(db, end))
    db.execute("UPDATE mark SET segment=?, segments=?, crc=?", (*mark[4:], mark_crc(*mark)))
    db.execute(f"PRAGMA user_version={FORMAT}")
    db.execute("COMMIT")
