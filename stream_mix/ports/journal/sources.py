"""How far the sources are whose frames are acknowledged: a table beside the frames, written in their commits.

It cannot be had from the frames alone: they do not say which of them were refused, nor by which socket those
that were taken came. A row is a source, and is never dropped: a producer that comes back after a year goes on
where it was. A journal of format 1 has no such table until its next writer makes it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any, Final, cast, get_args

from stream_mix.engine import Done, Refusal
from stream_mix.ports.journal.connect import explain
from stream_mix.ports.journal.records import JournalError
from stream_mix.ports.journal.schema import record_crc
from stream_mix.protocol import Code

SOURCE: Final = "name, seq, crc, refused"
PUT_SOURCE: Final = "INSERT OR REPLACE INTO source VALUES (?,?,?,?)"


def source_row(name: str, done: Done) -> tuple[Any, ...]:
    """The columns of one source."""
    refused = json.dumps(done.refused) if done.refused else ""
    return name, done.seq, record_crc(name, done.seq, refused), refused


def read_sources(db: sqlite3.Connection, path: str) -> dict[str, Done]:
    """All sources, every check sum taken. Raises JournalError for one that does not match."""
    try:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name='source'").fetchone():
            return {}
        rows = db.execute(f"SELECT {SOURCE} FROM source ORDER BY name").fetchall()
    except sqlite3.Error as error:
        raise explain(path, error) from None
    return dict(to_source(row, path) for row in rows)


def to_source(row: Sequence[Any], path: str) -> tuple[str, Done]:
    """One source of its columns. Raises JournalError where its check sum does not match."""
    name, seq, crc, refused = row
    if record_crc(name, seq, refused) != crc:
        raise JournalError(path, f"damaged: how far source {name!a} is does not match its check sum")
    found = [Refusal(at, _code(code), reason) for at, code, reason in json.loads(refused or "[]")]
    return name, Done(seq, tuple(found))


def _code(text: str) -> Code:
    """A code that this release knows: another one may have refused for a reason of its own."""
    return cast(Code, text) if text in get_args(Code) else "value"
