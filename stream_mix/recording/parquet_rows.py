"""Parquet, through pyarrow where it is installed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from stream_mix.recording.blocks import (
    Chunk,
    Floats,
    OnRefused,
    RecordingError,
    Refusal,
    RowId,
    Wanted,
    seconds,
)


def pyarrow(file: str) -> Any:
    """The pyarrow module with its parquet part; RecordingError in one line where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise RecordingError(f"{file}: Parquet needs pyarrow: pip install 'stream_mix[parquet]'") from None
    return pyarrow


def parquet_chunks(
    file: str, binary: IO[bytes], wanted: Wanted, block: int, on_refused: OnRefused | None
) -> Iterator[Chunk]:
    """The rows of a Parquet file, `block` at a time."""
    pa = pyarrow(file)
    if not binary.seekable():
        # Its index is at the end of the file.
        binary = io.BytesIO(binary.read())
    try:
        table = pa.parquet.ParquetFile(binary)
    except (pa.ArrowException, OSError) as error:
        raise RecordingError(f"{file}: not a Parquet file: {str(error).splitlines()[0]}") from None
    schema = table.schema_arrow
    layout = wanted.layout(file, schema.names)
    bad = [name for name in layout.features if not _numeric(pa, schema.field(name).type)]
    if bad:
        kinds = ", ".join(f"{name!r} ({schema.field(name).type})" for name in bad)
        raise RecordingError(f"{file}: not numbers: {kinds}; leave them out, or choose the columns")
    own = [name for name in (layout.time, layout.weight, layout.id) if name]
    row = 1
    try:
        for batch in table.iter_batches(batch_size=block, columns=[*layout.features, *own]):
            n = batch.num_rows
            x = np.empty((n, len(layout.features)))
            for j, name in enumerate(layout.features):
                x[:, j] = _numbers(pa, batch.column(name))
            lines = np.arange(row, row + n)
            t, good = _times(pa, batch.column(layout.time) if layout.time else None, lines, file, on_refused)
            w = _numbers(pa, batch.column(layout.weight)) if layout.weight else np.full(n, np.nan)
            ids = _ids(file, batch.column(layout.id)) if layout.id else [None] * n
            row += n
            if len(good) < n:
                x, w, lines, ids = x[good], w[good], lines[good], [ids[k] for k in good.tolist()]
            yield Chunk(layout.features, x, t, w, ids, lines.tolist())
    except pa.ArrowException as error:
        raise RecordingError(f"{file}, row {row}: cannot be read: {str(error).splitlines()[0]}") from None


def _numeric(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _numbers(pa: Any, column: Any) -> Floats:
    """(n,) float64 with NaN for null."""
    values: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)


def _times(pa: Any, column: Any, lines: Any, file: str, on_refused: OnRefused | None) -> tuple[Floats, Any]:
    """Unix seconds of the rows that have a time or none, and which rows these are."""
    n = len(lines)
    if column is None:
        return np.full(n, np.nan), np.arange(n)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        stamps = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return _numbers(pa, stamps) / 1e6, np.arange(n)
    if _numeric(pa, column.type):
        return _numbers(pa, column), np.arange(n)
    values, good = [], []
    for k, cell in enumerate(column.to_pylist()):
        try:
            values.append(np.nan if cell is None else seconds(str(cell)))
            good.append(k)
        except ValueError:
            if on_refused is not None:
                said = "expected Unix seconds or an ISO 8601 time"
                on_refused(Refusal(file, int(lines[k]), None, str(cell), said))
    return np.array(values, np.float64), np.array(good, np.int64)


def _ids(file: str, column: Any) -> list[RowId]:
    values: list[Any] = column.to_pylist()
    if not {str, int, type(None)}.issuperset(map(type, values)):
        raise RecordingError(f"{file}: ids of type {column.type}, expected texts or integers")
    return values
