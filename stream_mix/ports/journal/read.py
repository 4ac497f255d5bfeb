"""From table rows to records, with every check sum taken; whatever does not fit is damage."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from stream_mix.mixture.kernels import crc32
from stream_mix.ports.journal.connect import explain
from stream_mix.ports.journal.records import Checkpoint, DeadLetter, JournalError, JournalFrame, Output
from stream_mix.ports.journal.schema import (
    FRAME_HEADER,
    header_crc,
    mark_crc,
    output_crc,
    record_crc,
    segment_crc,
    unwrap,
)

_PAGE_ROWS: Final = 512
_PAGE_BYTES: Final = 4 << 20
_BAD: Final = (AttributeError, TypeError, ValueError, OverflowError, struct.error)


_MARK: Final = "m.frames, m.rows, m.outputs, m.dead_letters, m.segment, m.segments, m.crc"
_MARK_1: Final = "m.frames, m.rows, m.outputs, m.dead_letters, 0, 0, m.crc"
_SEGMENT: Final = "s.id, s.frame, s.offset, s.output, s.bytes, s.received, s.crc"
_SEGMENT_1: Final = "NULL, 0, 0, 0, 0, 0.0, NULL"
_JOIN: Final = "LEFT JOIN segment s ON s.id=m.segment"
_LAST: Final = ", ".join(
    ["", "EXISTS (SELECT 1 FROM output WHERE id=m.outputs-1)", *(f"f.{x}" for x in FRAME_HEADER.split(", "))]
)
_JOIN_LAST: Final = "LEFT JOIN frame f ON f.id=m.frames-1"
"""Of format 1 there are no segments. See `read_end`."""


class End(NamedTuple):
    """How much a journal holds: the ids that come next, the number of rows, the oldest segment that is kept
    and the number of those begun, and where the journal begins, which is not at 0 once old segments were
    dropped."""

    frames: int
    rows: int
    outputs: int
    dead_letters: int
    segment: int = 0
    segments: int = 0
    first_frame: int = 0
    first_offset: int = 0
    first_output: int = 0


def one(
    db: sqlite3.Connection, path: str, statement: str, values: Sequence[Any] = ()
) -> tuple[Any, ...] | None:
    """The first row of a question, or None, leaving no read transaction open."""
    try:
        rows = db.execute(statement, values).fetchmany(1)
    except sqlite3.Error as error:
        raise explain(path, error) from None
    return rows[0] if rows else None


def every(db: sqlite3.Connection, path: str, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a question whose answer is small."""
    try:
        return db.execute(statement).fetchall()
    except sqlite3.Error as error:
        raise explain(path, error) from None


def page(db: sqlite3.Connection, path: str, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The first rows of an answer, as many as fit a few MiB; the read transaction ends with them."""
    rows: list[tuple[Any, ...]] = []
    size = 0
    try:
        cursor = db.execute(statement, values)
        for row in cursor:
            rows.append(row)
            size += len(row[-1]) if isinstance(row[-1], bytes) else 0
            if len(rows) >= _PAGE_ROWS or size >= _PAGE_BYTES:
                break
        cursor.close()
    except sqlite3.Error as error:
        raise explain(path, error) from None
    return rows


def read_end(db: sqlite3.Connection, path: str) -> End:
    """How much was committed, checked against the last frame, the last output and the first segment.

    One statement, so that a writer beside it cannot come in between; a journal of format 1 has no segments.
    """
    end, (said, *last) = _read_mark(db, path, _LAST, _JOIN_LAST)
    if end.frames == end.first_frame and end.rows != end.first_offset:
        raise JournalError(path, "damaged: it begins elsewhere than it ends, and holds no frame")
    if end.frames > end.first_frame and (
        last[0] is None or sum(check_header(last, path, None)) != end.rows
    ):
        raise JournalError(
            path, f"damaged: frame {end.frames - 1} was committed and is missing or not the last"
        )
    if end.outputs > end.first_output and not said:
        raise JournalError(path, f"damaged: output {end.outputs - 1} was committed and is missing")
    return end


def read_mark(db: sqlite3.Connection, path: str) -> End:
    """How much was committed, whether the last of it is there or not."""
    return _read_mark(db, path, "", "")[0]


def _read_mark(
    db: sqlite3.Connection, path: str, more: str, join: str
) -> tuple[End, tuple[Any, ...]]:
    try:
        asked = f"SELECT {_MARK}, {_SEGMENT}{more} FROM mark m {_JOIN} {join} WHERE m.id=0"
        row = (db.execute(asked).fetchmany(2) or [None])[0]
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error) and "no such table: segment" not in str(error):
            raise explain(path, error) from None
        row = one(db, path, f"SELECT {_MARK_1}, {_SEGMENT_1}{more} FROM mark m {join} WHERE m.id=0")
    except sqlite3.Error as error:
        raise explain(path, error) from None
    try:
        if row is None or mark_crc(*row[:6]) != row[6]:
            raise JournalError(
                path, "damaged: the record of how much was committed does not match its check sum"
            )
        if row[5] and (row[7] is None or segment_crc(*row[7:13]) != row[13]):
            raise JournalError(path, "damaged: the record of where it begins does not match its check sum")
    except _BAD as error:
        if isinstance(error, JournalError):
            raise
        raise JournalError(path, f"damaged: the record of how much was committed holds {error}") from None
    return End(*row[:6], *row[8:11]), row[14:]


def dropped(end: End) -> str:
    """Where a journal begins whose old rows were dropped."""
    return f"begins at offset {end.first_offset}: older rows were dropped"


def check_header(row: Sequence[Any], path: str, expected: tuple[int, int] | None) -> tuple[int, int]:
    """(offset, n) of a frame's header whose check sum fits and which is the `expected` (id, offset)."""
    where = expected[1] if expected else row[1] if isinstance(row[1], int) else None
    try:
        sound = header_crc(*row[:9]) == row[9]
    except _BAD:
        sound = False
    if not sound:
        raise JournalError(path, f"damaged: the header of frame {row[0]} does not match its check sum", where)
    if expected and (row[0], row[1]) != expected:
        raise JournalError(
            path, f"damaged: found frame {row[0]} at offset {row[1]}, expected frame {expected[0]}", where
        )
    return row[1], row[2]


def to_frame(row: Sequence[Any], raw: Any, path: str) -> JournalFrame:
    """The frame of a checked header and its raw bytes."""
    if not isinstance(raw, bytes) or crc32(raw) != row[8]:
        raise JournalError(path, f"damaged: the bytes of frame {row[0]} do not match their check sum", row[1])
    id, offset, n, source, seq, received, t_min, t_max = row[:8]
    return JournalFrame(id, offset, n, source, unwrap(seq), received, t_min, t_max, raw)


def to_checkpoint(row: Sequence[Any], path: str) -> Checkpoint:
    """The checkpoint of (offset, crc, blob)."""
    _check(row[1], (row[0], row[2]), path, "checkpoint", row[0])
    return Checkpoint(row[0], row[2])


def to_output(row: Sequence[Any], path: str, expected: int) -> Output:
    """The output of (id, frame, model, generation, crc, labels, log_density), which is the `expected` one."""
    try:
        sound = output_crc(*row[:4], *row[5:]) == row[4]
    except _BAD:
        sound = False
    if not sound:
        raise JournalError(path, f"damaged: the output {row[0]} does not match its check sum")
    if row[0] != expected:
        raise JournalError(path, f"damaged: found output {row[0]}, expected {expected}")
    density = np.frombuffer(row[6], "<f4")
    width = len(row[5]) // max(density.size, 1)
    return Output(row[1], row[2], row[3], np.frombuffer(row[5], "<i4" if width == 4 else "<i8"), density)


def to_dead_letter(row: Sequence[Any], path: str) -> DeadLetter:
    """The dead letter of (id, received, source, code, reason, size, crc, raw)."""
    _check(row[6], (*row[:6], row[7]), path, f"dead letter {row[0]}", None)
    id, received, source, code, reason, size = row[:6]
    return DeadLetter(id, received, source, code, reason, size, row[7])


def to_meta(row: Sequence[Any], path: str) -> tuple[str, str]:
    """One entry of the description, of (key, value, crc)."""
    _check(row[2], row[:2], path, f"description {row[0]!r}", None)
    return row[0], row[1]


def _check(crc: Any, parts: Sequence[Any], path: str, what: str, offset: Any) -> None:
    if record_crc(*parts) != crc:
        raise JournalError(
            path,
            f"damaged: the {what} does not match its check sum",
            offset if isinstance(offset, int) else None,
        )


def span(row: tuple[Any, ...], clock: str) -> tuple[float, float]:
    """The first and last time of a frame's rows by the clock."""
    if clock == "received" or row[6] is None or row[7] is None:
        return row[5], row[5]
    return row[6], row[7]


def wanted(
    row: tuple[Any, ...], clock: str, since: float | None, until: float | None, source: str | None
) -> bool:
    """Whether a frame's header is one that the filters let through."""
    first, last = span(row, clock)
    return (
        (source is None or row[3] == source)
        and (since is None or last >= since)
        and (until is None or first < until)
    )
