"""Reading a whole journal to see whether all of it can be believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from stream_mix.ports.journal.connect import explain
from stream_mix.ports.journal.records import JournalError, VerifyReport
from stream_mix.ports.journal.segments import read_segments

if TYPE_CHECKING:
    from stream_mix.ports.journal.read import End
    from stream_mix.ports.journal.reader import JournalReader


def verify(
    reader: JournalReader, db: sqlite3.Connection, progress: Callable[[int, int], None] | None = None
) -> VerifyReport:
    """Walk frames, segments, checkpoints, outputs, dead letters, description, then SQLite's own structure.

    The report's counts are what was read before the first damage; damage is reported, never raised.
    """
    counts = {"begins": 0, "frames": 0, "rows": 0, "checkpoints": 0, "outputs": 0, "dead_letters": 0}
    damage: JournalError | None = None
    try:
        _walk(reader, db, counts, progress)
    except JournalError as error:
        damage = error
    return VerifyReport(
        path=reader.path,
        **counts,
        damage=_integrity(reader.path, db) if damage is None else damage.reason,
        offset=None if damage is None else damage.offset,
    )


def _walk(
    reader: JournalReader,
    db: sqlite3.Connection,
    counts: dict[str, int],
    progress: Callable[[int, int], None] | None,
) -> None:
    end = reader.end()
    counts["begins"] = end.first_offset
    total = end.rows - end.first_offset
    for frame in reader.frames(end.first_offset):
        counts["frames"] += 1
        counts["rows"] += frame.n
        if progress is not None and counts["frames"] % 256 == 0:
            progress(counts["rows"], max(total, counts["rows"]))
    if end.segments:
        _segments(reader.path, db, end)
    for checkpoint in reader.checkpoints():
        if not end.first_offset <= checkpoint.offset <= end.first_offset + counts["rows"]:
            raise JournalError(
                reader.path, "damaged: a checkpoint lies beyond the frames that are kept", checkpoint.offset
            )
        counts["checkpoints"] += 1
    for _ in reader.outputs():
        counts["outputs"] += 1
    counts["dead_letters"] = len(reader.dead_letters())
    dict(reader.meta)
    reader.sources()
    if progress is not None:
        progress(counts["rows"], counts["rows"])


def _segments(path: str, db: sqlite3.Connection, end: End) -> None:
    """That each segment begins where a frame does."""
    for segment in read_segments(db, path, end):
        row = db.execute("SELECT offset FROM frame WHERE id=?", (segment.frame,)).fetchone()
        if segment.frame < end.frames and (row is None or row[0] != segment.offset):
            raise JournalError(
                path, f"damaged: segment {segment.id} begins where no frame does", segment.offset
            )


def _integrity(path: str, db: sqlite3.Connection) -> str | None:
    """The first complaint of SQLite's own check, or None."""
    try:
        found = str(db.execute("PRAGMA integrity_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return explain(path, error).reason
    return None if found == "ok" else "damaged: " + " ".join(found.split())
