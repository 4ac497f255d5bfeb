"""Segments: stretches of a journal that are dropped as a whole when they are old.

They lie in one file. A segment is a row that says where it begins; it is dropped by deleting that row, in the
transaction of a commit like any other, and from then on the journal begins at the next one. The frames of a
dropped segment are deleted with later commits, some with each, and their pages are used again: the file stops
growing, no commit waits for a long deletion, and a kill in the middle leaves only pages to be freed later.

Files of their own for segments would be given back to the system at once, but frames, marks and checkpoints
could then no longer be one transaction: SQLite's log makes several files atomic one by one only. One file is
also what people copy. A file that once was larger is made small by `stream-mix journal repair`, which writes
a new one.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final, NamedTuple

from stream_mix.ports.journal.read import End
from stream_mix.ports.journal.records import JournalError
from stream_mix.ports.journal.schema import record_crc, segment_crc

SWEPT: Final = 4
"""Records of dropped segments deleted with each commit, beside twice as many as it adds: less than these, and
the file would grow where frames become smaller."""

_INSERT: Final = "INSERT INTO segment VALUES (?,?,?,?,?,?,?)"
_BYTES: Final = (
    "SELECT (SELECT coalesce(sum(length(raw)), 0) FROM frame WHERE id>=?) + "
    "(SELECT coalesce(sum(length(labels) + length(log_density)), 0) FROM output WHERE id>=?)"
)
_LEAST: Final = "SELECT (SELECT min(id) FROM frame), (SELECT min(id) FROM output)"


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of a journal is kept: everything, or at least `keep_bytes`, or `keep_seconds`.

    Whole segments of `segment_bytes` are dropped, those that lie wholly beyond any limit that is given, and
    never a frame that follows the oldest kept checkpoint. Ages are by the times frames were received at, the
    newest of which counts as now: a journal that nothing is added to loses nothing, nor does one whose clock
    is set back. A clock that is set forward drops by so much too early.
    """

    segment_bytes: int = 64 << 20
    keep_bytes: int | None = None
    keep_seconds: float | None = None


class Segment(NamedTuple):
    """Where a segment begins: its first frame, offset and output; what was written before it, in bytes of
    frames and outputs; and the latest time at which a frame before it was received."""

    id: int
    frame: int
    offset: int
    output: int
    bytes: int
    received: float


class Segments:
    """The segments that a writer keeps, as of the commit under way."""

    def __init__(self, db: sqlite3.Connection, path: str, retention: Retention, end: End) -> None:
        self._retention = retention
        self._path = path
        self._kept = read_segments(db, path, end)
        last = self._kept[-1]
        self._bytes = last.bytes + int(db.execute(_BYTES, (last.frame, last.output)).fetchone()[0])
        newest = db.execute("SELECT max(received) FROM frame WHERE id>=?", (last.frame,)).fetchone()[0]
        self._newest = last.received if newest is None else max(newest, last.received)
        frame, output = db.execute(_LEAST).fetchone()
        self._swept = [end.frames if frame is None else frame, end.outputs if output is None else output]
        self._added = 0

    @property
    def first(self) -> int:
        """The id of the oldest."""
        return self._kept[0].id

    @property
    def count(self) -> int:
        """Segments begun since the journal was made."""
        return self._kept[-1].id + 1

    @property
    def bytes(self) -> int:
        """Bytes of frames and outputs, ever."""
        return self._bytes

    def add(self, size: int, received: float | None = None) -> None:
        """Count one more record of so many bytes, a frame if it was received at a time."""
        self._bytes += size
        self._added += 1
        if received is not None:
            self._newest = max(self._newest, received)

    def turn(self, db: sqlite3.Connection, frames: int, rows: int, outputs: int) -> None:
        """What a commit that ends at these counts does before it: begin a segment, drop old ones, sweep."""
        last = self._kept[-1]
        if self._bytes - last.bytes >= self._retention.segment_bytes and frames > last.frame:
            self._kept.append(Segment(last.id + 1, frames, rows, outputs, self._bytes, self._newest))
            insert(db, self._kept[-1])
        old = self._old()
        if old and (bound := _oldest_checkpoint(db)) is not None:
            while old and self._kept[old].offset > bound:
                old -= 1
            if old:
                self._kept = self._kept[old:]
                db.execute("DELETE FROM segment WHERE id<?", (self.first,))
        self._sweep(db)
        self._added = 0

    def _old(self) -> int:
        """How many segments lie beyond a limit."""
        retention, old = self._retention, 0
        for after in self._kept[1:]:
            beyond = (
                retention.keep_bytes is not None and self._bytes - after.bytes >= retention.keep_bytes
            ) or (
                retention.keep_seconds is not None
                and self._newest - after.received > retention.keep_seconds
            )
            if not beyond:
                break
            old += 1
        return old

    def _sweep(self, db: sqlite3.Connection) -> None:
        """Delete some of the records that lie before the first segment."""
        bounds = (self._kept[0].frame, self._kept[0].output)
        for k, table in enumerate(("frame", "output")):
            if self._swept[k] < bounds[k]:
                self._swept[k] = min(bounds[k], self._swept[k] + SWEPT + 2 * self._added)
                db.execute(f"DELETE FROM {table} WHERE id<?", (self._swept[k],))


def read_segments(db: sqlite3.Connection, path: str, end: End) -> list[Segment]:
    """The segments that are kept, oldest first, every check sum taken. Raises JournalError."""
    asked = f"SELECT {', '.join(Segment._fields)}, crc FROM segment WHERE id>=? AND id<? ORDER BY id"
    rows = db.execute(asked, (end.segment, end.segments)).fetchall()
    if [row[0] for row in rows] != list(range(end.segment, end.segments)):
        raise JournalError(path, "damaged: a segment is missing")
    for row in rows:
        if segment_crc(*row[:6]) != row[6]:
            raise JournalError(path, f"damaged: segment {row[0]} does not match its check sum")
    return [Segment(*row[:6]) for row in rows]


def insert(db: sqlite3.Connection, segment: Segment) -> None:
    """Write down where a segment begins."""
    db.execute(_INSERT, (*segment, segment_crc(*segment)))


def split(db: sqlite3.Connection, end: End) -> int:
    """Give a journal that had none its first segment, and a second where there is something in the first;
    returns how many."""
    insert(db, Segment(0, 0, 0, 0, 0, 0.0))
    if not end.frames:
        return 1
    size = int(db.execute(_BYTES, (0, 0)).fetchone()[0])
    received = db.execute("SELECT max(received) FROM frame").fetchone()[0]
    insert(db, Segment(1, end.frames, end.rows, end.outputs, size, received))
    return 2


def _oldest_checkpoint(db: sqlite3.Connection) -> int | None:
    """The offset of the oldest kept checkpoint, None where there is none or it cannot be believed."""
    row = db.execute("SELECT offset, crc, blob FROM checkpoint ORDER BY id LIMIT 1").fetchone()
    return int(row[0]) if row is not None and record_crc(row[0], row[2]) == row[1] else None
