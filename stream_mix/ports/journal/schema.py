"""The journal's tables, its version, and the check sums that make its contents believable.

SQLite notices a torn log but not a flipped bit in a page (measured: 117 of 150 came through), so every record
carries a CRC32 over all of its columns. A frame has two, one over the raw bytes and one over the header and
the first CRC: a search by time or source then checks the headers it skips without reading what they head.

`mark` holds how many frames and rows were committed, so that a damaged table that lost its last records is
found out. Columns are in the order in which they are searched, and the blob comes last, so that a scan of
headers does not touch the overflow pages. There is no second index: ids have no gaps and offsets rise with
them, so an offset is found by bisection, and appending stays one write at the end of one tree.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from stream_mix.mixture.kernels import crc32
from stream_mix.ports.journal.records import JournalError, JournalFrame

FORMAT: Final = 1
"""The format that is written; a newer one is refused."""

APPLICATION_ID: Final = 0x534D4A4C
"""Marks a SQLite file as a journal ("SMJL" in the file's header)."""

PAGE_BYTES: Final = 8192
DURABILITY: Final = {"fsync": "FULL", "os": "NORMAL", "off": "OFF"}

TABLES: Final = """
CREATE TABLE frame (id INTEGER PRIMARY KEY, offset INTEGER NOT NULL, n INTEGER NOT NULL, source TEXT, seq
INTEGER,
    received REAL NOT NULL, t_min REAL, t_max REAL, raw_crc INTEGER NOT NULL, crc INTEGER NOT NULL,
    raw BLOB NOT NULL);
CREATE TABLE checkpoint (id INTEGER PRIMARY KEY, offset INTEGER NOT NULL,
    crc INTEGER NOT NULL, blob BLOB NOT NULL);
CREATE TABLE output (id INTEGER PRIMARY KEY, frame INTEGER NOT NULL, model TEXT NOT NULL,
    generation INTEGER NOT NULL, crc INTEGER NOT NULL, labels BLOB NOT NULL, log_density BLOB NOT NULL);
CREATE TABLE dead_letter (id INTEGER PRIMARY KEY, received REAL NOT NULL, source TEXT,
    code TEXT NOT NULL, reason TEXT NOT NULL, size INTEGER NOT NULL, crc INTEGER NOT NULL,
    raw BLOB NOT NULL);
CREATE TABLE mark (id INTEGER PRIMARY KEY, frames INTEGER NOT NULL, rows INTEGER NOT NULL,
    outputs INTEGER NOT NULL, dead_letters INTEGER NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
"""

FRAME_HEADER: Final = "id, offset, n, source, seq, received, t_min, t_max, raw_crc, crc"

_header = struct.Struct("<qqqqdddIB").pack
_mark = struct.Struct("<qqqq").pack


def frame_row(frame: JournalFrame) -> tuple[Any, ...]:
    """The columns of one frame, check sums last but one, raw bytes last.

    SQLite has no NaN (a time that is none becomes absent) and no unsigned 64-bit integer (`seq` wraps,
    `unwrap` undoes it).
    """
    id, offset, n, source, seq, received, t_min, t_max, raw = frame
    if seq is not None and seq >= 1 << 63:
        seq -= 1 << 64
    n = int(n)
    if received != received:
        raise ValueError("received at NaN, expected Unix seconds")
    if t_min != t_min or t_max != t_max:
        t_min = t_max = None
    raw_crc = crc32(raw)
    crc = header_crc(id, offset, n, source, seq, received, t_min, t_max, raw_crc)
    return (id, offset, n, source, seq, received, t_min, t_max, raw_crc, crc, raw)


def unwrap(seq: int | None) -> int | None:
    """The sequence number that `frame_row` stored as a signed integer."""
    return seq + (1 << 64) if seq is not None and seq < 0 else seq


def header_crc(
    id: int,
    offset: int,
    n: int,
    source: str | None,
    seq: int | None,
    received: float,
    t_min: float | None,
    t_max: float | None,
    raw_crc: int,
) -> int:
    """The check sum of a frame's header; which of the optional columns are absent is part of it.

    `or 0.0` also drops the sign of a negative zero, which SQLite does not keep.
    """
    absent = (source is None) | (seq is None) << 1 | (t_min is None) << 2 | (t_max is None) << 3
    head = _header(id, offset, n, seq or 0, received or 0.0, t_min or 0.0, t_max or 0.0, raw_crc, absent)
    return crc32(head) if source is None else crc32(source.encode(), crc32(head))


def mark_crc(frames: int, rows: int, outputs: int, dead_letters: int) -> int:
    """The check sum of the row that says how much was committed."""
    return crc32(_mark(frames, rows, outputs, dead_letters))


def output_crc(id: int, frame: int, model: str, generation: int, labels: bytes, density: bytes) -> int:
    """The check sum of what was published for one frame by one model."""
    head = _mark(id, frame, generation, len(labels)) + model.encode()
    return crc32(density, crc32(labels, crc32(head)))


def record_crc(*parts: int | float | str | bytes | None) -> int:
    """The check sum of any other record; each part's kind and length are in it."""
    total = 0
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
        total = crc32(data, crc32(b"%c%d" % (isinstance(part, bytes), len(data)), total))
    return total


def connect(path: str, *, writer: bool) -> sqlite3.Connection:
    """A connection to the journal at `path`; a reader's cannot write, and both use little memory."""
    mode = "rwc" if writer else "ro"
    if not writer and not os.access(os.path.dirname(path), os.W_OK) and not os.path.exists(f"{path}-wal"):
        # Beside a file in a folder that cannot be written SQLite cannot make the shared index that a log
        # needs; without a log there is none to miss.
        mode = "ro&immutable=1"
    db = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=5.0,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA cell_size_check=ON")
        if not writer:
            db.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def real_path(path: str | os.PathLike[str]) -> str:
    """The one name of the file, so that two ways to it meet in the same lock."""
    return str(Path(path).resolve())


def check_no_folder(path: str) -> None:
    """JournalError where the path is a folder: SQLite would call it an I/O error."""
    if os.path.isdir(path):
        raise JournalError(path, "cannot be opened: it is a folder")


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether the file holds no tables and is marked as nothing."""
    questions = ("SELECT count(*) FROM sqlite_master", "PRAGMA application_id")
    return not any(db.execute(question).fetchone()[0] for question in questions)


def check_format(db: sqlite3.Connection, path: str) -> int:
    """The format of an open journal; JournalError where it is none, or one of a later release."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID:
        if not os.path.getsize(path):
            raise JournalError(path, "not a journal of stream_mix (the file is empty)")
        if not application and is_empty(db):
            why = "copied without the -wal file beside it while an engine was writing"
            raise JournalError(path, f"holds no tables: no journal of stream_mix, or {why}")
        raise JournalError(path, "not a journal of stream_mix (a SQLite file of another program)")
    if version > FORMAT or version < 1:
        raise JournalError(path, f"journal format {version}; this release reads formats 1 to {FORMAT}")
    return version


def check_own(path: str) -> None:
    """JournalError where there is a file that is no journal: no lock is left beside what is not ours."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    try:
        with closing(connect(path, writer=False)) as db:
            if not is_empty(db):
                check_format(db, path)
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise explain(path, error) from None


def explain(path: str, error: sqlite3.Error) -> JournalError:
    """The same error in one line for people."""
    text = str(error)
    if "not a database" in text:
        text = "not a journal of stream_mix (not a SQLite file)"
    elif "unable to open" in text:
        text = "cannot be opened: " + _why_not(path)
    elif "readonly" in text:
        text = "cannot be written (read-only file or folder)"
    elif "malformed" in text or "decode" in text or "no such" in text:
        text = f"damaged: {text}"
    return JournalError(path, text)


def _why_not(path: str) -> str:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if not os.path.exists(path):
        return "there is no such file, or it cannot be made"
    return "no permission"
