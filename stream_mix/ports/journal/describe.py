"""A journal in numbers."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from stream_mix.ports.journal.read import every, one
from stream_mix.ports.journal.records import JournalInfo

if TYPE_CHECKING:
    from stream_mix.ports.journal.reader import JournalReader


def describe(reader: JournalReader, db: sqlite3.Connection, version: int) -> JournalInfo:
    """What a journal holds, without reading its frames. Raises JournalError."""
    path, end = reader.path, reader.end()
    kept = end.frames > end.first_frame
    first, last = (reader.header(id) if kept else None for id in (end.first_frame, end.frames - 1))
    counts = one(db, path, "SELECT count(*) FROM dead_letter")
    offsets = every(db, path, "SELECT offset FROM checkpoint ORDER BY id DESC")
    sizes = (os.path.getsize(name) for name in (path, f"{path}-wal") if os.path.exists(name))
    return JournalInfo(
        path=path,
        format=version,
        frames=end.frames,
        rows=end.rows,
        begins=end.first_offset,
        segments=end.segments - end.segment,
        first_received=first[5] if first else None,
        last_received=last[5] if last else None,
        t_first=first[6] if first else None,
        t_last=last[7] if last else None,
        checkpoints=tuple(row[0] for row in offsets),
        outputs=end.outputs,
        dead_letters=counts[0] if counts else 0,
        bytes=sum(sizes),
    )
