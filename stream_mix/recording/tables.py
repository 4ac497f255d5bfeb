"""Reading rows from CSV, JSON lines or Parquet, plain or gzipped, from a file or from standard input."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final

from stream_mix.recording.blocks import Block, OnRefused, RecordingError, Wanted, judge
from stream_mix.recording.csv_rows import csv_chunks
from stream_mix.recording.json_rows import json_chunks
from stream_mix.recording.parquet_rows import parquet_chunks

FORMATS: Final = ("csv", "jsonl", "parquet")
SUFFIXES: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def read_rows(
    file: str | os.PathLike[str],
    format: str | None = None,
    *,
    time: str | None = None,
    weight: str | None = None,
    id: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    delimiter: str | None = None,
    block: int = 1024,
    on_refused: OnRefused | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[Block]:
    """The rows of a table, in blocks of at most `block` rows.

    file "-" is standard input (or the binary stream given as `stdin`). `format` is told by the suffix, or by
    the first byte. `time` (Unix seconds or ISO 8601), `weight` and `id` name columns; None takes "t", "w",
    "id" if they are there, "" takes none. `columns` chooses the features, in order; `drop` takes all others
    but these. A table without a header has columns x0, x1, ... An empty cell is a missing value.

    A row with a cell that is no number, or that no engine would accept, is reported to `on_refused` and left
    out. RecordingError where the file is not such a table, or where a feature's cells are all no numbers.
    """
    name = os.fspath(file)
    if block < 1:
        raise RecordingError(f"{name}: block of {block} rows, expected at least 1")
    wanted = Wanted(time, weight, id, None if columns is None else tuple(columns), tuple(drop))
    shown = "standard input" if name == "-" else name
    try:
        with ExitStack() as stack:
            binary = _open(stack, name, stdin)
            form = format or format_of(name) or _peek(binary)
            if form not in FORMATS:
                raise RecordingError(f"{shown}: format {form!r}, expected one of {', '.join(FORMATS)}")
            if form == "parquet":
                chunks = parquet_chunks(shown, binary, wanted, block, on_refused)
            else:
                if _is_binary(binary):
                    raise RecordingError(f"{shown}: binary data, expected a table: text in UTF-8, or Parquet")
                text = stack.enter_context(_text(binary))
                if form == "csv":
                    chunks = csv_chunks(shown, text, wanted, delimiter, block, on_refused)
                else:
                    chunks = json_chunks(shown, text, wanted, block, on_refused)
            for chunk in chunks:
                yield from judge(shown, chunk, on_refused)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise RecordingError(f"{shown}: cannot be read: {reason}") from None


def format_of(name: str) -> str | None:
    """The format that a file's name tells, without the .gz."""
    path = Path(name)
    return SUFFIXES.get((path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower())


def _open(stack: ExitStack, name: str, stdin: BinaryIO | None) -> io.BufferedReader:
    """The bytes of the table, unpacked; `stack` closes all that was opened for it, and a given `stdin`."""
    raw: Any = stdin
    if name != "-":
        raw = io.FileIO(name)
    elif stdin is None:
        # A second descriptor: closing it leaves standard input itself alone.
        raw = io.FileIO(os.dup(sys.stdin.fileno()))
    buffered = stack.enter_context(io.BufferedReader(raw))
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        unpacked: Any = gzip.GzipFile(fileobj=buffered)
        buffered = stack.enter_context(io.BufferedReader(unpacked))
    return buffered


def _peek(binary: io.BufferedReader) -> str:
    start = binary.peek(16)
    if start[:4] == b"PAR1":
        return "parquet"
    return "jsonl" if start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{" else "csv"


def _is_binary(binary: io.BufferedReader) -> bool:
    """Whether the start is neither UTF-8 nor, by its control characters, text of another kind."""
    start = binary.peek(16)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return any(byte < 32 and byte not in b"\t\n\v\f\r" for byte in start)
    return False


def _text(binary: io.BufferedReader) -> io.TextIOWrapper:
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="")
