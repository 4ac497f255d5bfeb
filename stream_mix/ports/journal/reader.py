"""Reading a journal, beside its writer or without one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final

from stream_mix.engine import Done
from stream_mix.ports.journal.read import (
    End,
    check_header,
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
from stream_mix.ports.journal.schema import (
    FRAME_HEADER,
    check_format,
    check_no_folder,
    connect,
    explain,
    real_path,
)
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
        self._db = db

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> JournalReader:
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
        start_offset: int = 0,
        stop_offset: int | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        source: str | None = None,
        last: float | None = None,
        clock: str = "received",
    ) -> Iterator[JournalFrame]:
        """Frames with rows in [start_offset, stop_offset), in order; the first and last may reach beyond it.

        since <= time < until in Unix seconds, by the `clock` "received" or "event" (a frame is taken if any
        of its rows' span is inside; one without event times counts by when it was received). `last` seconds
        before the newest frame's time are another way to say `since`.
        """
        if clock not in _CLOCKS:
            raise JournalError(self.path, f"clock {clock!r}, expected one of {', '.join(_CLOCKS)}")
        if start_offset < 0:
            raise JournalError(self.path, f"start offset {start_offset}, expected >= 0")
        end = self.end()
        stop = end.rows if stop_offset is None else min(stop_offset, end.rows)
        if start_offset >= stop:
            return
        if last is not None and (newest := self._header(end.frames - 1)) is not None:
            since = max(span(newest, clock)[1] - last, float("-inf") if since is None else since)
        first = self._find(start_offset, end)
        if since is None and until is None and source is None:
            yield from self._every(first, stop, end)
        else:
            yield from self._some(first, stop, end, lambda row: wanted(row, clock, since, until, source))

    def end(self) -> End:
        """How many frames, rows, outputs and dead letters were committed by now."""
        return read_end(self._db, self.path)

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
        for id in self._checkpoint_ids(before):
            try:
                return self._checkpoint(id)
            except JournalError as error:
                if on_damage is None:
                    raise
                on_damage(error)
        return None

    def outputs(self, model: str | None = None, start_frame: int = 0) -> Iterator[Output]:
        """What was published, for one model or for all, in order, from frame `start_frame` on."""
        count, id = self.end().outputs, 0
        while id < count:
            rows = page(
                self._db,
                self.path,
                f"SELECT {_OUTPUT} FROM output WHERE id>=? AND id<? ORDER BY id",
                (id, count),
            )
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
            for row in every(self._db, self.path, f"SELECT {_LETTER} FROM dead_letter ORDER BY id")
        ]

    def sources(self) -> dict[str, Done]:
        """How far the sources are whose frames are acknowledged."""
        return read_sources(self._db, self.path)

    @property
    def meta(self) -> dict[str, str]:
        """The journal's description: what its maker wrote down."""
        return dict(
            to_meta(row, self.path)
            for row in every(self._db, self.path, "SELECT key, value, crc FROM meta ORDER BY key")
        )

    def info(self) -> JournalInfo:
        """The journal in numbers, without reading its frames."""
        end = self.end()
        ends = [self._header(id) for id in (0, end.frames - 1)] if end.frames else []
        first, last = ends if ends else (None, None)
        counts = one(self._db, self.path, "SELECT count(*) FROM dead_letter")
        offsets = every(self._db, self.path, "SELECT offset FROM checkpoint ORDER BY id DESC")
        sizes = (os.path.getsize(name) for name in (self.path, f"{self.path}-wal") if os.path.exists(name))
        return JournalInfo(
            path=self.path,
            format=self.format,
            frames=end.frames,
            rows=end.rows,
            first_received=first[5] if first else None,
            last_received=last[5] if last else None,
            t_first=first[6] if first else None,
            t_last=last[7] if last else None,
            checkpoints=tuple(row[0] for row in offsets),
            outputs=end.outputs,
            dead_letters=counts[0] if counts else 0,
            bytes=sum(sizes),
        )

    def verify(self, progress: Callable[[int, int], None] | None = None) -> VerifyReport:
        """Read and check everything, SQLite's own structure included; `progress(rows done, rows in all)`."""
        return verify(self, self._db, progress)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._db.close()

    def __enter__(self) -> JournalReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _every(self, id: int, stop: int, end: End) -> Iterator[JournalFrame]:
        expected = None
        while expected is None or expected[1] < stop:
            rows = page(
                self._db,
                self.path,
                f"SELECT {FRAME_HEADER}, raw FROM frame WHERE id>=? AND id<? ORDER BY id",
                (expected[0] if expected else id, end.frames),
            )
            self._not_empty(rows, expected)
            for row in rows:
                offset, n = check_header(row, self.path, expected)
                if offset >= stop:
                    return
                yield to_frame(row, row[10], self.path)
                expected = (row[0] + 1, offset + n)

    def _some(
        self, id: int, stop: int, end: End, choose: Callable[[tuple[Any, ...]], bool]
    ) -> Iterator[JournalFrame]:
        expected = None
        while expected is None or expected[1] < stop:
            rows = page(
                self._db,
                self.path,
                f"SELECT {FRAME_HEADER} FROM frame WHERE id>=? AND id<? ORDER BY id",
                (expected[0] if expected else id, end.frames),
            )
            self._not_empty(rows, expected)
            for row in rows:
                offset, n = check_header(row, self.path, expected)
                if offset >= stop:
                    return
                if choose(row):
                    found = one(self._db, self.path, "SELECT raw FROM frame WHERE id=?", (row[0],))
                    yield to_frame(row, found[0] if found else None, self.path)
                expected = (row[0] + 1, offset + n)

    def _not_empty(self, rows: list[tuple[Any, ...]], expected: tuple[int, int] | None) -> None:
        if not rows and expected:
            raise JournalError(self.path, f"damaged: frame {expected[0]} is missing", expected[1])
        if not rows:
            raise JournalError(self.path, "damaged: frames are missing")

    def _find(self, offset: int, end: End) -> int:
        """The id of the frame that holds row `offset`, by bisection over checked headers."""
        low, high = 0, end.frames - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._place(middle)[0] <= offset:
                low = middle
            else:
                high = middle - 1
        first, n = self._place(low)
        if not first <= offset < first + n:
            raise JournalError(
                self.path, f"damaged: frame {low} holds rows {first} to {first + n - 1}", offset
            )
        return low

    def _place(self, id: int) -> tuple[int, int]:
        row = self._header(id)
        if row is None:
            raise JournalError(self.path, f"damaged: frame {id} is missing")
        return row[1], row[2]

    def _header(self, id: int) -> tuple[Any, ...] | None:
        row = one(self._db, self.path, f"SELECT {FRAME_HEADER} FROM frame WHERE id=?", (id,))
        if row is not None:
            check_header(row, self.path, None)
        return row

    def _checkpoint_ids(self, before: int | None) -> list[int]:
        rows = every(self._db, self.path, "SELECT id, offset FROM checkpoint ORDER BY id DESC")
        return [row[0] for row in rows if before is None or row[1] <= before]

    def _checkpoint(self, id: int) -> Checkpoint:
        row = one(self._db, self.path, "SELECT offset, crc, blob FROM checkpoint WHERE id=?", (id,))
        if row is None:
            raise JournalError(self.path, f"checkpoint {id} has just been replaced by a newer one; ask again")
        return to_checkpoint(row, self.path)
