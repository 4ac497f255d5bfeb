"""Reading on behind damage: every record that cannot be believed, and what lies sound between them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stream_mix.engine import Done
from stream_mix.ports.journal.connect import explain
from stream_mix.ports.journal.read import (
    End,
    check_header,
    one,
    page,
    read_mark,
    to_checkpoint,
    to_dead_letter,
    to_frame,
    to_meta,
    to_output,
)
from stream_mix.ports.journal.records import Checkpoint, JournalError, JournalFrame, Output
from stream_mix.ports.journal.schema import FRAME_HEADER
from stream_mix.ports.journal.segments import read_segments
from stream_mix.ports.journal.sources import SOURCE, to_source

if TYPE_CHECKING:
    from stream_mix.ports.journal.reader import JournalReader

_STRIDE: Final = 512
_UNREAD: Final = 1 << 16
"""Ids in a row, none of which can be read, after which no more are looked for."""
_OUTPUT: Final = "id, frame, model, generation, crc, labels, log_density"
_SMALL: Final[tuple[tuple[str, str, str, Callable[[Sequence[Any], str], object]], ...]] = (
    ("checkpoint", "id", "offset, crc, blob", to_checkpoint),
    ("dead_letter", "id", "id, received, source, code, reason, size, crc, raw", to_dead_letter),
    ("meta", "rowid", "key, value, crc", to_meta),
    ("source", "name", SOURCE, to_source),
)
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that cannot be believed, in words; `frame` is its number where it is one."""

    reason: str
    offset: int | None = None
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a scrub found: sound frames and rows, and everything that is damaged."""

    path: str
    begins: int
    frames: int
    rows: int
    damage: tuple[Damage, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was damaged."""
        return not self.damage


def scrub(
    reader: JournalReader,
    db: sqlite3.Connection,
    *,
    rate: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> ScrubReport:
    """Read all of a journal and go on behind damage; `rate` bounds the bytes of frames read a second.

    `progress(frames done, frames in all)`. Damage is reported, never raised.
    """
    path, damage = reader.path, list[Damage]()
    end = believed_end(reader, db, damage)
    frames = rows = size = 0
    began = now()
    for found in walk(db, path, end):
        if isinstance(found, Damage):
            damage.append(found)
            continue
        frames, rows, size = frames + 1, rows + found.n, size + len(found.raw)
        if frames % 64 == 0:
            if rate is not None and (wait := began + size / rate - now()) > 0:
                sleep(wait)
            if progress is not None:
                progress(frames, end.frames - end.first_frame)
    damage += [found for found in walk_outputs(db, path, end) if isinstance(found, Damage)]
    damage += _small(reader, db, end)
    return ScrubReport(path, end.first_offset, frames, rows, tuple(damage))


def believed_end(reader: JournalReader, db: sqlite3.Connection, damage: list[Damage]) -> End:
    """What was committed; where that record is damaged, what the tables themselves show."""
    try:
        return reader.end()
    except JournalError as error:
        damage.append(Damage(error.reason, error.offset))
    with suppress(JournalError):
        return read_mark(db, reader.path)
    bounds: list[int] = []
    for table in ("frame", "output"):
        try:
            least, most = one(db, reader.path, f"SELECT min(id), max(id) FROM {table}") or (None, None)
        except JournalError as error:
            damage.append(Damage(error.reason))
            least = most = None
        bounds += [least or 0, 0 if most is None else most + 1]
    row = _row(db, reader.path, f"SELECT {FRAME_HEADER} FROM frame WHERE id=?", bounds[0])
    begins = row[1] if row is not None and isinstance(row[1], int) else 0
    return End(bounds[1], 0, bounds[3], 0, 0, 0, bounds[0], begins, bounds[2])


def walk(db: sqlite3.Connection, path: str, end: End) -> Iterator[JournalFrame | Damage]:
    """Frames and damage, in order; a damaged frame says its offset where that is known."""
    expected: int | None = end.first_offset
    for id, row in _rows(db, path, "frame", f"{FRAME_HEADER}, raw", end.first_frame, end.frames):
        try:
            if isinstance(row, JournalError):
                raise row
            if isinstance(row, int):
                raise JournalError(path, _missing("frame", id, row), expected)
            check_header(row, path, None if expected is None else (id, expected))
            frame = to_frame(row, row[10], path)
        except JournalError as error:
            yield Damage(error.reason, error.offset if error.offset is not None else expected, id)
            expected = None
        else:
            yield frame
            expected = frame.offset + frame.n


def walk_outputs(db: sqlite3.Connection, path: str, end: End) -> Iterator[Output | Damage]:
    """Outputs and damage, in order."""
    for id, row in _rows(db, path, "output", _OUTPUT, end.first_output, end.outputs):
        try:
            if isinstance(row, JournalError):
                raise row
            if isinstance(row, int):
                raise JournalError(path, _missing("output", id, row))
            output = to_output(row, path, id)
        except JournalError as error:
            yield Damage(error.reason)
        else:
            yield output


def walk_checkpoints(db: sqlite3.Connection, path: str) -> Iterator[Checkpoint]:
    """The sound checkpoints, oldest first."""
    for _, row in _every(db, path, "checkpoint", "id", "offset, crc, blob"):
        try:
            if isinstance(row, tuple):
                yield to_checkpoint(row, path)
        except JournalError:
            continue


def walk_sources(db: sqlite3.Connection, path: str) -> Iterator[tuple[str, Done] | Damage]:
    """How far the sources are, by their names, and damage; nothing where there is no such table."""
    if not _there(db, path, "source"):
        return
    for _, row in _every(db, path, "source", "name", SOURCE):
        try:
            if isinstance(row, JournalError):
                raise row
            if row is not None:
                yield to_source(row, path)
        except JournalError as error:
            yield Damage(error.reason)


def _rows(
    db: sqlite3.Connection, path: str, table: str, columns: str, first: int, stop: int
) -> Iterator[tuple[int, tuple[Any, ...] | JournalError | int]]:
    """Ids in order, each with its row or why it cannot be read; with the next id there is where some are
    missing, however many: a damaged number may be any."""
    id, unread = first, 0
    while id < stop and unread < _UNREAD:
        try:
            rows = page(
                db, path, f"SELECT {columns} FROM {table} WHERE id>=? AND id<? ORDER BY id", (id, stop)
            )
        except JournalError:
            # One by one: a page of the file that cannot be read holds some of these, seldom all.
            for one_id in range(id, min(id + _STRIDE, stop)):
                found = _row_or_why(db, path, f"SELECT {columns} FROM {table} WHERE id=?", one_id)
                unread = 0 if isinstance(found, tuple) else unread + 1
                yield one_id, one_id + 1 if found is None else found
            id = min(id + _STRIDE, stop)
            continue
        began = id
        for row in rows:
            # A damaged tree may lead back to where it was read already, for ever.
            if row[0] < id:
                continue
            if row[0] > id:
                yield id, int(row[0])
            yield row[0], row
            id = row[0] + 1
        if id == began:
            break
    if id < stop:
        yield id, stop


def _missing(what: str, id: int, stop: int) -> str:
    if stop == id + 1:
        return f"damaged: {what} {id} is missing"
    return f"damaged: {what}s {id} to {stop - 1} are missing"


def _row_or_why(
    db: sqlite3.Connection, path: str, asked: str, id: int | str
) -> tuple[Any, ...] | JournalError | None:
    try:
        return one(db, path, asked, (id,))
    except JournalError as error:
        return error


def _row(db: sqlite3.Connection, path: str, asked: str, id: int) -> tuple[Any, ...] | None:
    found = _row_or_why(db, path, asked, id)
    return None if isinstance(found, JournalError) else found


def _there(db: sqlite3.Connection, path: str, table: str) -> bool:
    """Whether there is a table; of format 1 there are fewer. Where that cannot be read it is taken to be."""
    found = _row_or_why(db, path, "SELECT count(*) FROM sqlite_master WHERE name=?", table)
    return not isinstance(found, tuple) or found[0] > 0


def _every(
    db: sqlite3.Connection, path: str, table: str, key: str, columns: str
) -> Iterator[tuple[int | str, tuple[Any, ...] | JournalError | None]]:
    """The rows of a small table by their key."""
    try:
        ids = [row[0] for row in db.execute(f"SELECT {key} FROM {table} ORDER BY {key}").fetchall()]
    except sqlite3.Error as error:
        yield 0, explain(path, error)
        return
    for id in ids:
        yield id, _row_or_why(db, path, f"SELECT {columns} FROM {table} WHERE {key}=?", id)


def _small(reader: JournalReader, db: sqlite3.Connection, end: End) -> list[Damage]:
    """What is damaged beside frames and outputs, SQLite's own structure included."""
    damage = []
    for table, key, columns, read in _SMALL:
        if not end.segments and not _there(db, reader.path, table):
            continue
        for _, row in _every(db, reader.path, table, key, columns):
            try:
                if isinstance(row, JournalError):
                    raise row
                if row is not None:
                    read(row, reader.path)
            except JournalError as error:
                damage.append(Damage(error.reason, error.offset))
    try:
        if end.segments:
            read_segments(db, reader.path, end)
        found = [str(row[0]) for row in db.execute("PRAGMA integrity_check(10)").fetchall()]
    except JournalError as error:
        damage.append(Damage(error.reason))
    except sqlite3.Error as error:
        damage.append(Damage(f"damaged: {error}"))
    else:
        damage += [Damage("damaged: " + " ".join(line.split())) for line in found if line != "ok"]
    return damage
