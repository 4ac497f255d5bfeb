"""A new journal of what can be believed in a damaged one, which is only read."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from stream_mix.ports.journal.connect import real_path
from stream_mix.ports.journal.read import End
from stream_mix.ports.journal.reader import JournalReader
from stream_mix.ports.journal.records import Checkpoint, JournalError, JournalFrame
from stream_mix.ports.journal.schema import DURABILITY
from stream_mix.ports.journal.scrub import (
    Damage,
    believed_end,
    walk,
    walk_checkpoints,
    walk_outputs,
    walk_sources,
)
from stream_mix.ports.journal.writer import Journal

_COMMIT_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """Sound frames that follow one another: ids first <= id < stop, and the offsets of these borders."""

    first: int
    stop: int
    begins: int
    ends: int


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair kept and what it did not.

    Attributes:
        begins, ends: the offsets that the new journal spans.
        lost_before: rows before it that the damaged journal was to hold.
        lost_after: sound frames after it that are not in it.
        checkpoints: kept.
        damage: what was found, in words, as far as the walk over frames, outputs and sources told.
    """

    path: str
    begins: int
    ends: int
    lost_before: int
    lost_after: int
    checkpoints: int
    damage: tuple[Damage, ...]


def repair(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    durability: str = "fsync",
    progress: Callable[[int, int], None] | None = None,
) -> Repaired:
    """Write the journal at `path`, as far as it can be believed, to a new file.

    Frames behind damage are of use only together with a checkpoint among them: it holds what came before.
    Where there is one the new journal begins at the first of these frames, like one whose old rows were
    dropped, and no model loses a row. Else it ends before the damage. `progress(frames done, in all)`.
    How far acknowledged sources are is kept as it was: what they have an ack of they do not send again.
    Raises JournalError where `out` exists, or nothing of `path` can be read.
    """
    if durability not in DURABILITY:
        raise JournalError(out, f"durability {durability!r}, expected one of {', '.join(DURABILITY)}")
    name = real_path(out)
    if os.path.exists(name):
        raise JournalError(out, "exists; a repair writes a new file, expected a name that is free")
    with ExitStack() as stack:
        reader = stack.enter_context(_opened(real_path(path), f"{name}.whole", stack))
        damage: list[Damage] = []
        db = reader.connection
        end = believed_end(reader, db, damage)
        stretches = _stretches(db, reader.path, end, damage)
        damage += [found for found in walk_sources(db, reader.path) if isinstance(found, Damage)]
        checkpoints = list(walk_checkpoints(db, reader.path))
        kept = _chosen(stretches, checkpoints, end)
        if kept is None:
            raise JournalError(path, "no frame from its beginning, or after a checkpoint, can be believed")
        part = f"{name}.part"
        _remove(part)
        try:
            count = _write(reader, db, part, kept, checkpoints, end, durability, progress)
            os.replace(part, name)
        finally:
            _remove(part)
    after = sum(stretch.stop - stretch.first for stretch in stretches if stretch.first >= kept.stop)
    before = max(kept.begins - end.first_offset, 0)
    return Repaired(name, kept.begins, kept.ends, before, after, count, tuple(damage))


def _opened(path: str, whole: str, stack: ExitStack) -> JournalReader:
    """A reader of a journal, of a copy made as long as it was where it was cut short: SQLite reads no file
    that lacks its end."""
    try:
        return JournalReader.open(path)
    except JournalError as error:
        with open(path, "rb") as file:
            head = file.read(100)
        size, pages = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
        if "malformed" not in error.reason or os.path.getsize(path) >= size * pages:
            raise
    stack.callback(_remove, whole)
    for suffix in ("", "-wal"):
        if os.path.exists(f"{path}{suffix}"):
            shutil.copyfile(f"{path}{suffix}", f"{whole}{suffix}")
    os.truncate(whole, size * pages)
    return JournalReader.open(whole)


def _stretches(db: sqlite3.Connection, path: str, end: End, damage: list[Damage]) -> list[Stretch]:
    """The sound stretches, in order; damage between them is noted."""
    found: list[Stretch] = []
    first: JournalFrame | None = None
    last: JournalFrame | None = None
    for one in walk(db, path, end):
        if isinstance(one, Damage):
            damage.append(one)
        if first is not None and last is not None and (isinstance(one, Damage) or one.id != last.id + 1):
            found.append(Stretch(first.id, last.id + 1, first.offset, last.offset + last.n))
            first = None
        if isinstance(one, JournalFrame):
            first, last = first or one, one
    if first is not None and last is not None:
        found.append(Stretch(first.id, last.id + 1, first.offset, last.offset + last.n))
    return found


def _chosen(stretches: list[Stretch], checkpoints: list[Checkpoint], end: End) -> Stretch | None:
    """The stretch to keep: the last, where nothing is lost behind it and a state leads into it; else the
    first, where it is the journal's beginning; else the last that a state leads into."""
    led = [
        stretch
        for stretch in stretches
        if any(stretch.begins <= found.offset <= stretch.ends for found in checkpoints)
    ]
    if led and led[-1].stop == end.frames:
        return led[-1]
    if stretches and stretches[0].first == end.first_frame and not end.first_offset:
        return stretches[0]
    return led[-1] if led else None


def _write(
    reader: JournalReader,
    db: sqlite3.Connection,
    part: str,
    kept: Stretch,
    checkpoints: list[Checkpoint],
    end: End,
    durability: str,
    progress: Callable[[int, int], None] | None,
) -> int:
    """Write the stretch with its checkpoints, outputs and the description; returns the checkpoints kept."""
    span = end._replace(frames=kept.stop, first_frame=kept.first, first_offset=kept.begins)
    inside = [found for found in checkpoints if kept.begins <= found.offset <= kept.ends]
    with Journal.open(
        part, durability=durability, keep_checkpoints=max(len(inside), 1), begins=(kept.first, kept.begins),
        meta=_description(reader),
    ) as journal:  # fmt: skip
        size = 0
        for frame in walk(db, reader.path, span):
            if isinstance(frame, Damage):
                raise JournalError(reader.path, "was changed while it was read", frame.offset)
            journal.append([frame])
            size += len(frame.raw)
            if size >= _COMMIT_BYTES:
                journal.commit()
                size = 0
                if progress is not None:
                    progress(frame.id - kept.first, kept.stop - kept.first)
        for output in walk_outputs(db, reader.path, end):
            if not isinstance(output, Damage) and kept.first <= output.frame < kept.stop:
                journal.outputs([output])
        for found in inside:
            journal.checkpoint(found.offset, found.blob)
        journal.sources(dict(x for x in walk_sources(db, reader.path) if not isinstance(x, Damage)))
    return len(inside)


def _description(reader: JournalReader) -> dict[str, str]:
    try:
        return reader.meta
    except JournalError:
        return {}


def _remove(part: str) -> None:
    for suffix in ("", "-wal", "-shm", "-lock"):
        if os.path.exists(f"{part}{suffix}"):
            os.unlink(f"{part}{suffix}")
