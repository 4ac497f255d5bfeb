"""Reading a journal, beside its writer or without one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from stream_mix.engine import Done
from stream_mix.ports.journal.connect import (
    Connect,
    check_format,
    check_no_folder,
    connect,
    explain,
    real_path,
)
from stream_mix.ports.journal.describe import describe
from stream_mix.ports.journal.read import (
    End,
    check_header,
    dropped,
    every,
    one,
    page,
    read_end,
    span,
    to_checkpoint,
    to_dead_letter,
    to_frame,
    to_meta,
    to_output,
    wanted,
)
from stream_mix.ports.journal.records import (
    Checkpoint,
    DeadLetter,
    JournalError,
    JournalFrame,
    JournalInfo,
    Output,
    VerifyReport,
)
from stream_mix.ports.journal.schema import FRAME_HEADER
from stream_mix.ports.journal.scrub import ScrubReport, scrub
from stream_mix.ports.journal.sources import read_sources
from stream_mix.ports.journal.verify import verify

_CLOCKS: Final = ("received", "event")
_OUTPUT: Final = "id, frame, model, generation, crc, labels, log_density"
_LETTER: Final = "id, received, source, code, reason, size, crc, raw"


class JournalReader:
    """The reading end of a journal; works beside a live writer and never holds it up.

    Every record is checked as it is read; JournalError names the file and the offset of what cannot be
    believed. An iterator ends where the journal ended when its first item was asked for, and reads in pages
    of a few MiB, between which the writer is free to tidy its log.
    """

    def __init__(self, path: str, db: sqlite3.Connection, version: int) -> None:
        self.path = path
        self.format = version
        self.connection = db

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, connect: Connect = connect) -> JournalReader:
        """Open the journal at `path` for reading; JournalError where it is none, or of a later format."""
        name = real_path(path)
        check_no_folder(name)
        try:
            db = connect(name, writer=False)
        except sqlite3.Error as error:
            raise explain(name, error) from None
        try:
            return cls(name, db, check_format(db, name))
        except sqlite3.Error as error:
            db.close()
            raise explain(name, error) from None
        except BaseException:
            db.close()
            raise

    def frames(
        self,
        start_offset: int | None = None,
        stop_offset: int | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        source: str | None = None,
        last: float | None = None,
        clock: str = "received",
    ) -> Iterator[JournalFrame]:
        """Frames with rows in [start_offset, stop_offset), in order; the first and last may reach beyond it.

        Without a start they begin where the journal does; JournalError for a start before that.
        since <= time < until in Unix seconds, by the `clock` "received" or "event" (a frame is taken if any
        of its rows' span is inside; one without event times counts by when it was received). `last` seconds
        before the newest frame's time are another way to say `since`.
        """
        if clock not in _CLOCKS:
            raise JournalError(self.path, f"clock {clock!r}, expected one of {', '.join(_CLOCKS)}")
        if start_offset is not None and start_offset < 0:
            raise JournalError(self.path, f"start offset {start_offset}, expected >= 0")
        end = self.end()
        start = end.first_offset if start_offset is None else start_offset
        if start < end.first_offset:
            raise JournalError(self.path, f"{dropped(end)}; asked for those from offset {start} on")
        stop = end.rows if stop_offset is None else min(stop_offset, end.rows)
        if start >= stop:
            return
        if last is not None and (newest := self.header(end.frames - 1)) is not None:
            since = max(span(newest, clock)[1] - last, float("-inf") if since is None else since)
        first = self._find(start, end)
        free = since is None and until is None and source is None
        chooser = None if free else lambda row: wanted(row, clock, since, until, source)
        yield from self._walk(first, stop, end, chooser)

    def end(self) -> End:
        """How many frames, rows, outputs and dead letters were committed by now."""
        return read_end(self.connection, self.path)

    def checkpoints(self) -> list[Checkpoint]:
        """The kept checkpoints, newest first."""
        return [self._checkpoint(id) for id in self._checkpoint_ids(None)]

    def last_checkpoint(
        self, before: int | None = None, on_damage: Callable[[JournalError], None] | None = None
    ) -> Checkpoint | None:
        """The newest checkpoint (at an offset <= `before`, if given), or None.

        A damaged one raises JournalError; with `on_damage` it is reported there and the next older one is
        taken, from which the frames lead to the same state.
        """
        return self._first_sound(self._checkpoint_ids(before), on_damage)

    def first_checkpoint(self, on_damage: Callable[[JournalError], None] | None = None) -> Checkpoint | None:
        """The oldest kept checkpoint, or None; damage is told as by `last_checkpoint`, and the next taken."""
        return self._first_sound(self._checkpoint_ids(None)[::-1], on_damage)

    def outputs(self, model: str | None = None, start_frame: int = 0) -> Iterator[Output]:
        """What was published, for one model or for all, in order, from frame `start_frame` on."""
        end = self.end()
        count, id = end.outputs, end.first_output
        while id < count:
            rows = page(
                self.connection,
                self.path,
                f"SELECT {_OUTPUT} FROM output WHERE id>=? AND id<? ORDER BY id",
                (id, count),
            )
            if not rows or rows[0][0] != id:
                self._check_kept(output=id)
            if not rows:
                raise JournalError(self.path, f"damaged: output {id} of {count} is missing")
            for row in rows:
                output = to_output(row, self.path, id)
                id += 1
                if output.frame >= start_frame and model in (None, output.model):
                    yield output

    def dead_letters(self) -> list[DeadLetter]:
        """The kept refused frames, oldest first."""
        return [
            to_dead_letter(row, self.path)
            for row in every(self.connection, self.path, f"SELECT {_LETTER} FROM dead_letter ORDER BY id")
        ]

    def sources(self) -> dict[str, Done]:
        """How far the sources are whose frames are acknowledged."""
        return read_sources(self.connection, self.path)

    @property
    def meta(self) -> dict[str, str]:
        """The journal's description: what its maker wrote down."""
        rows = every(self.connection, self.path, "SELECT key, value, crc FROM meta ORDER BY key")
        return dict(to_meta(row, self.path) for row in rows)

    def info(self) -> JournalInfo:
        """The journal in numbers, without reading its frames."""
        return describe(self, self.connection, self.format)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read and check everything, SQLite's own structure included; `progress(rows done, rows in all)`."""
        return verify(self, self.connection, progress)

    def scrub(
        self, *, rate: float | None = None, progress: Callable[[int, int], None] | None = None
    ) -> ScrubReport:
        """Read and check everything, and go on behind damage; `rate` bounds bytes a second."""
        return scrub(self, self.connection, rate=rate, progress=progress)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self.connection.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _walk(
        self, id: int, stop: int, end: End, choose: Callable[[tuple[Any, ...]], bool] | None
    ) -> Iterator[JournalFrame]:
        """The frames from `id` to offset `stop`; of those that are not chosen only the header is read."""
        columns = FRAME_HEADER if choose else f"{FRAME_HEADER}, raw"
        expected = None
        while expected is None or expected[1] < stop:
            for row in self._page(columns, id, expected, end):
                offset, n = check_header(row, self.path, expected)
                if offset >= stop:
                    return
                if choose is None:
                    yield to_frame(row, row[10], self.path)
                elif choose(row):
                    found = one(self.connection, self.path, "SELECT raw FROM frame WHERE id=?", (row[0],))
                    if found is None:
                        self._check_kept(frame=row[0])
                    yield to_frame(row, found[0] if found else None, self.path)
                expected = (row[0] + 1, offset + n)

    def _page(
        self, columns: str, id: int, expected: tuple[int, int] | None, end: End
    ) -> list[tuple[Any, ...]]:
        """The next frames, from `expected` (id, offset) on, or from `id` where there were none yet."""
        first = expected[0] if expected else id
        asked = f"SELECT {columns} FROM frame WHERE id>=? AND id<? ORDER BY id"
        rows = page(self.connection, self.path, asked, (first, end.frames))
        if not rows or rows[0][0] != first:
            self._check_kept(frame=first)
        if not rows and expected:
            raise JournalError(self.path, f"damaged: frame {expected[0]} is missing", expected[1])
        if not rows:
            raise JournalError(self.path, "damaged: frames are missing")
        return rows

    def _check_kept(self, frame: int | None = None, output: int | None = None) -> None:
        """JournalError where a record is missing because a writer dropped its segment meanwhile."""
        end = self.end()
        gone = frame is not None and frame < end.first_frame
        if gone or (output is not None and output < end.first_output):
            raise JournalError(self.path, f"{dropped(end)} while they were read; begin again there")

    def _find(self, offset: int, end: End) -> int:
        """The id of the frame that holds row `offset`, by bisection over checked headers."""
        low, high = end.first_frame, end.frames - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._place(middle)[0] <= offset:
                low = middle
            else:
                high = middle - 1
        first, n = self._place(low)
        if not first <= offset < first + n:
            why = f"damaged: frame {low} holds rows {first} to {first + n - 1}"
            raise JournalError(self.path, why, offset)
        return low

    def _place(self, id: int) -> tuple[int, int]:
        row = self.header(id)
        if row is None:
            self._check_kept(frame=id)
            raise JournalError(self.path, f"damaged: frame {id} is missing")
        return row[1], row[2]

    def header(self, id: int) -> tuple[Any, ...] | None:
        """The checked columns of a frame's header, None where there is no such frame."""
        row = one(self.connection, self.path, f"SELECT {FRAME_HEADER} FROM frame WHERE id=?", (id,))
        if row is not None:
            check_header(row, self.path, None)
        return row

    def _checkpoint_ids(self, before: int | None) -> list[int]:
        rows = every(self.connection, self.path, "SELECT id, offset FROM checkpoint ORDER BY id DESC")
        return [row[0] for row in rows if before is None or row[1] <= before]

    def _first_sound(
        self, ids: list[int], on_damage: Callable[[JournalError], None] | None
    ) -> Checkpoint | None:
        for id in ids:
            try:
                return self._checkpoint(id)
            except JournalError as error:
                if on_damage is None:
                    raise
                on_damage(error)
        return None

    def _checkpoint(self, id: int) -> Checkpoint:
        row = one(self.connection, self.path, "SELECT offset, crc, blob FROM checkpoint WHERE id=?", (id,))
        if row is None:
            raise JournalError(self.path, f"checkpoint {id} has just been replaced by a newer one; ask again")
        return to_checkpoint(row, self.path)
