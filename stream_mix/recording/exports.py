"""A journal's rows as CSV, JSON lines or Parquet."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final, NamedTuple

import numpy as np

from stream_mix.ports.journal import JournalReader
from stream_mix.protocol import Frame, show
from stream_mix.recording.blocks import Floats, RecordingError
from stream_mix.recording.parquet_rows import pyarrow
from stream_mix.recording.stored import frames_of, names_of, own_names
from stream_mix.recording.tables import FORMATS, SUFFIXES, format_of

_GROUP_CELLS: Final = 1 << 21
Frames = Callable[[], Iterator[tuple[int, Frame]]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a whole export: which of time, weight and id there are, and all features in order.

    whole_ids: all ids are 64-bit integers. returns: a carriage return is in a name or an id.
    """

    time: str | None
    weight: str | None
    id: str | None
    features: tuple[str, ...]
    whole_ids: bool
    returns: bool

    @property
    def own(self) -> list[str]:
        """Names of the columns before the features."""
        return [name for name in (self.time, self.weight, self.id) if name is not None]


class _Part(NamedTuple):
    """One frame's rows laid out in the columns of the export."""

    t: list[Any] | None
    w: list[Any] | None
    id: list[Any] | None
    x: Floats


def export(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    format: str | None = None,
    progress: Progress | None = None,
    *,
    start: int | None = None,
    stop: int | None = None,
    since: float | None = None,
    until: float | None = None,
    source: str | None = None,
    last: float | None = None,
    clock: str = "received",
    time: str = "t",
    weight: str = "w",
    id: str = "id",
) -> int:
    """Write a journal's rows, chosen as by `iter_frames`, to a table, and return how many.

    format "csv", "jsonl" or "parquet" (pyarrow needed), told by the suffix if None; a name in .gz is
    compressed; "-" is standard output. Columns: event time, weight and id under the names given, where there
    are any, then the features. `read_rows` reads the same numbers back, bit for bit; CSV does not tell the id
    "7" from 7. The file appears when it is whole. The journal is read twice: a table's columns are known only
    when all rows were seen.
    """
    name = os.fspath(out)
    form = format or format_of(name)
    if form is None and name != "-" and os.path.splitext(name.removesuffix(".gz"))[1]:
        raise RecordingError(f"{name}: which format? Expected a name in {', '.join(SUFFIXES)}, or a format")
    form = form or "csv"
    if form not in FORMATS:
        raise RecordingError(f"{name}: format {form!r}, expected one of {', '.join(FORMATS)}")
    if form == "parquet":
        pyarrow(name)
    with JournalReader.open(path) as reader:
        known = own_names(reader)
        high = reader.end().rows if stop is None else min(stop, reader.end().rows)

        def frames() -> Iterator[tuple[int, Frame]]:
            return frames_of(reader, start, high, since, until, source, last=last, clock=clock)

        columns, rows = _survey(name, frames(), known, (time, weight, id))
        parts = _parts(frames(), known, columns, rows, progress)
        with _whole_file(name, form) as file:
            _WRITERS[form](file, columns, parts)
    return rows


def _survey(
    name: str, frames: Iterator[tuple[int, Frame]], known: tuple[str, ...], own: tuple[str, str, str]
) -> tuple[Columns, int]:
    """The columns that the rows need, and how many rows there are."""
    features: dict[str, None] = {}
    has = [False, False, False]
    whole_ids, returns, rows = True, False, 0
    for _, frame in frames:
        features.update(dict.fromkeys(names_of(frame, known)))
        has = [a or b is not None for a, b in zip(has, (frame.t, frame.w, frame.id), strict=True)]
        whole_ids = whole_ids and all(
            type(one) is int and -(1 << 63) <= one < 1 << 63 for one in frame.id or ()
        )
        if not whole_ids:
            returns = returns or any("\r" in one for one in frame.id or () if isinstance(one, str))
        rows += frame.n
    returns = returns or any("\r" in one for one in (*own, *features))
    time, weight, id = (column if there else None for column, there in zip(own, has, strict=True))
    for column in (time, weight, id):
        if column in features:
            raise RecordingError(f"{name}: the feature {show(column)} is the name of another column, too")
    return Columns(time, weight, id, tuple(features), whole_ids, returns), rows


def _parts(
    frames: Iterator[tuple[int, Frame]],
    known: tuple[str, ...],
    columns: Columns,
    rows: int,
    progress: Progress | None,
) -> Iterator[_Part]:
    done = 0
    where = {name: j for j, name in enumerate(columns.features)}
    for _, frame in frames:
        names = names_of(frame, known)
        x = frame.x
        if names != columns.features:
            x = np.full((frame.n, len(where)), np.nan)
            x[:, [where[name] for name in names]] = frame.x
        yield _Part(
            None if columns.time is None else _cells(frame.t, frame.n),
            None if columns.weight is None else _cells(frame.w, frame.n),
            None if columns.id is None else list(frame.id or [None] * frame.n),
            x,
        )
        done += frame.n
        if progress is not None:
            progress(done, rows)


def _cells(values: Floats | None, n: int) -> list[Any]:
    return [None] * n if values is None else values.tolist()


def _rows(part: _Part) -> Iterator[list[Any]]:
    """Rows of plain values, None for what is missing."""
    table: list[list[Any]] = part.x.tolist()
    for i, j in np.argwhere(np.isnan(part.x)).tolist():
        table[i][j] = None
    own = [column for column in part[:3] if column is not None]
    return (
        ([*before, *row] for before, row in zip(zip(*own, strict=True), table, strict=True))
        if own
        else iter(table)
    )


def _write_csv(file: IO[Any], columns: Columns, parts: Iterator[_Part]) -> None:
    # The writer quotes what is in its line end, and a reader takes a return that is not quoted for a line
    # end.
    end = "\r\n" if columns.returns else "\n"
    names = [*columns.own, *columns.features]
    # Quoted, a name is not taken for two with another delimiter between them.
    marked = any(";" in name or "\t" in name for name in names)
    writer = csv.writer(file, lineterminator=end)
    header = csv.writer(file, lineterminator=end, quoting=csv.QUOTE_ALL) if marked else writer
    header.writerow(names)
    for part in parts:
        writer.writerows(_rows(part))


def _write_json(file: IO[Any], columns: Columns, parts: Iterator[_Part]) -> None:
    names = [*columns.own, *columns.features]
    for part in parts:
        for row in _rows(part):
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")


def _write_parquet(file: IO[Any], columns: Columns, parts: Iterator[_Part]) -> None:
    pa = pyarrow("parquet")
    kinds = [pa.float64()] * ((columns.time is not None) + (columns.weight is not None))
    if columns.id is not None:
        kinds.append(pa.int64() if columns.whole_ids else pa.string())
    names = [*columns.own, *columns.features]
    kinds += [pa.float64()] * len(columns.features)
    schema = pa.schema(list(zip(names, kinds, strict=True)))
    held: list[_Part] = []

    def table() -> Any:
        own = [
            [one for part in column for one in part]
            for column in zip(*(part[:3] for part in held), strict=True)
            if column[0] is not None
        ]
        if columns.id is not None and not columns.whole_ids:
            own[-1] = [None if one is None else str(one) for one in own[-1]]
        x = np.concatenate([part.x for part in held])
        made = [pa.array(column, kind) for column, kind in zip(own, kinds, strict=False)]
        made += [pa.array(np.ascontiguousarray(column), pa.float64(), from_pandas=True) for column in x.T]
        return pa.Table.from_arrays(made, schema=schema)

    with pa.parquet.ParquetWriter(file, schema) as writer:
        cells = 0
        for part in parts:
            held.append(part)
            cells += part.x.size
            if cells >= _GROUP_CELLS:
                writer.write_table(table())
                held, cells = [], 0
        if held:
            writer.write_table(table())


_WRITERS: Final = {"csv": _write_csv, "jsonl": _write_json, "parquet": _write_parquet}


@contextmanager
def _whole_file(name: str, form: str) -> Iterator[IO[Any]]:
    """A file to write that takes its name when all was written, and leaves nothing where it was not."""
    if name == "-":
        yield sys.stdout.buffer if form == "parquet" else sys.stdout
        return
    part = f"{name}.part"
    try:
        if form == "parquet":
            with open(part, "wb") as file:
                yield file
        else:
            with _open_text(part, name) as file:
                yield file
        os.replace(part, name)
    except OSError as error:
        raise RecordingError(f"{name}: cannot be written: {error.strerror or error}") from None
    finally:
        if os.path.exists(part):
            os.unlink(part)


def _open_text(part: str, name: str) -> IO[str]:
    if name.endswith(".gz"):
        return gzip.open(part, "wt", encoding="utf-8", newline="")
    return open(part, "w", encoding="utf-8", newline="")
