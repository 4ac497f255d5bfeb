"""Arguments and options that several commands share, each with one name and one meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PUSH = "tcp://127.0.0.1:5555"
ACKED = "tcp://127.0.0.1:5558"
PUBLISH = "tcp://127.0.0.1:5556"
QUERY = "tcp://127.0.0.1:5557"
"""As in stream_mix.client, which is imported by the commands that talk: it brings NumPy and ZeroMQ."""

Json = Annotated[bool, typer.Option("--json", help="Write JSON, for a program to read.")]
JournalFile = Annotated[Path, typer.Argument(metavar="JOURNAL", help="A journal, as an engine writes it.")]
Table = Annotated[
    str, typer.Argument(metavar="FILE", help="CSV, JSON lines or Parquet, also .gz; - reads a pipe.")
]
Format = Annotated[
    str | None, typer.Option(help="csv, jsonl or parquet; by default told by the name or the first byte.")
]
TimeColumn = Annotated[
    str | None, typer.Option("--time", help='Column of event times: Unix seconds or ISO 8601. "": none.')
]
WeightColumn = Annotated[str | None, typer.Option("--weight", help='Column of weights > 0. "": none.')]
IdColumn = Annotated[str | None, typer.Option("--id", help='Column of names for rows. "": none.')]
Columns = Annotated[
    str | None, typer.Option(help="Columns that are features, with commas between; by default all others.")
]
Drop = Annotated[str | None, typer.Option(help="Columns to leave out, with commas between.")]
Delimiter = Annotated[str | None, typer.Option(help="Of CSV; by default the one that its first lines have.")]
SourceName = Annotated[str | None, typer.Option("--source", help="What the engine calls this producer.")]
ModelName = Annotated[
    str | None, typer.Option("--model", help="One of several models; not needed where there is one.")
]
Timeout = Annotated[float, typer.Option(min=0.0, help="Seconds to wait for an engine.")]
KeysFile = Annotated[
    Path | None,
    typer.Option("--keys", envvar="STREAM_MIX_KEYS", help="Secret file, where the engine asks for keys."),
]
