"""The journal's tables, its version, and the check sums that make its contents believable.

SQLite notices a torn log but not a flipped bit in a page (measured: 117 of 150 came through), so every record
carries a CRC32 over all of its columns. A frame has two, one over the raw bytes and one over the header and
the first CRC: a search by time or source then checks the headers it skips without reading what they head.

`mark` holds how many frames and rows were committed and which segment is the first and the last, so that a
damaged table that lost its last records is found out, and one that lost its first is not taken for a journal
whose old rows were dropped. Columns are in the order in which they are searched, and the blob comes last, so
that a scan of headers does not touch the overflow pages. There is no second index: ids have no gaps and
offsets rise with them, so an offset is found by bisection, and appending stays one write at the end of one
tree.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np

from stream_mix.mixture.kernels import crc32
from stream_mix.ports.journal.records import JournalFrame, Output

FORMAT: Final = 2
"""The format that is written; a newer one is refused. Format 1 had no segments and no sources: a writer adds
them."""

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
    outputs INTEGER NOT NULL, dead_letters INTEGER NOT NULL, crc INTEGER NOT NULL,
    segment INTEGER NOT NULL DEFAULT 0, segments INTEGER NOT NULL DEFAULT 0);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE segment (id INTEGER PRIMARY KEY, frame INTEGER NOT NULL, offset INTEGER NOT NULL,
    output INTEGER NOT NULL, bytes INTEGER NOT NULL, received REAL NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE source (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, crc INTEGER NOT NULL,
    refused TEXT NOT NULL) WITHOUT ROWID;
"""

FROM_1: Final = (
    "ALTER TABLE mark ADD COLUMN segment INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE mark ADD COLUMN segments INTEGER NOT NULL DEFAULT 0",
    *(f"CREATE TABLE IF NOT EXISTS {rest}".rstrip("; \n") for rest in TABLES.split("CREATE TABLE ")[-2:]),
)
"""What makes a journal of format 1 one of format 2."""

DEAD_LETTER_BYTES: Final = 4096
FRAME_HEADER: Final = "id, offset, n, source, seq, received, t_min, t_max, raw_crc, crc"

_LABELS: Final = (np.dtype("<i8"), np.dtype("<i4"))
_DENSITY: Final = np.dtype("<f4")
_header = struct.Struct("<qqqqdddIB").pack
_mark = struct.Struct("<qqqq").pack
_whole_mark = struct.Struct("<qqqqqq").pack
_segment = struct.Struct("<qqqqqd").pack


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


def output_row(id: int, output: Output) -> tuple[Any, ...]:
    """The columns of what was published, its arrays last. Raises ValueError where they do not fit."""
    n = len(output.log_density)
    if output.labels.dtype not in _LABELS or output.log_density.dtype != _DENSITY or len(output.labels) != n:
        raise ValueError(
            f"output of frame {output.frame}: expected {n} int32 or int64 labels, float32 densities"
        )
    labels, density = output.labels.tobytes(), output.log_density.tobytes()
    head = (id, int(output.frame), output.model, int(output.generation))
    return (*head, output_crc(*head, labels, density), labels, density)


def letter_row(
    id: int, received: float, source: str | None, code: str, reason: str, raw: bytes
) -> tuple[Any, ...]:
    """The columns of a dead letter, with its first 4 KiB."""
    clipped = bytes(raw[:DEAD_LETTER_BYTES])
    sender, said = (text and text.encode("utf-8", "replace").decode() for text in (source, reason))
    head = (id, float(received) or 0.0, sender, code, said, len(raw))
    return (*head, record_crc(*head, clipped), clipped)


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


def mark_crc(frames: int, rows: int, outputs: int, dead_letters: int, segment: int, segments: int) -> int:
    """The check sum of the row that says how much was committed; a journal of format 1 has no segments."""
    if not segments:
        return crc32(_mark(frames, rows, outputs, dead_letters))
    return crc32(_whole_mark(frames, rows, outputs, dead_letters, segment, segments))


def segment_crc(id: int, frame: int, offset: int, output: int, bytes: int, received: float) -> int:
    """The check sum of a segment's row."""
    return crc32(_segment(id, frame, offset, output, bytes, received or 0.0))


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
