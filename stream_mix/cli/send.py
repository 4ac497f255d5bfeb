"""`stream-mix send`: a file, or a pipe, into a running engine."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    PUSH,
    Columns,
    Delimiter,
    Drop,
    Format,
    IdColumn,
    Json,
    KeysFile,
    SourceName,
    Table,
    TimeColumn,
    Timeout,
    WeightColumn,
)
from .show import names, print_json, progress

if TYPE_CHECKING:
    from stream_mix.recording import Refusal

SHOWN = 20
"""Refused rows that are named one by one; the rest is counted."""


class LeftOut:
    """Says which rows are left out and why, on standard error, up to a number."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, refusal: Refusal) -> None:
        """One more row."""
        self.count += 1
        if self.count <= SHOWN:
            print(f"left out: {refusal}", file=sys.stderr)
        elif self.count == SHOWN + 1:
            print("left out: more rows, counted only", file=sys.stderr)


def live(file: str) -> bool:
    """Whether rows come one by one, from a pipe or a terminal, and not from a file."""
    return file == "-" and not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)


def send(
    file: Table,
    to: Annotated[str, typer.Option(help="Push endpoint of the engine.")] = PUSH,
    time: TimeColumn = None,
    weight: WeightColumn = None,
    id: IdColumn = None,
    columns: Columns = None,
    drop: Drop = None,
    delimiter: Delimiter = None,
    format: Format = None,
    rate: Annotated[
        float | None, typer.Option(help="Rows per second; by default as fast as they are taken.")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Rows in one frame; 256, and 1 from a pipe, whose rows do not wait."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
    source: SourceName = None,
    timeout: Timeout = 5.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Send the rows of a file to a running engine.

    Columns t, w and id are event time, weight and name of a row unless others are said to be. An empty cell
    is a missing value; a row with a cell that is no number is left out, with its line and the reason.
    """
    from stream_mix.workers import feed

    if rate is not None and not rate > 0:
        raise ValueError(f"--rate {rate:g}: expected rows per second, more than 0")
    batch = batch or (1 if live(file) else 256)
    with progress("sending", limit) as tell:
        fed = feed.run(
            file, endpoint=to, source=source, format=format, time_column=time, weight=weight, id=id,
            columns=names(columns), drop=names(drop) or (), delimiter=delimiter, batch_rows=batch,
            rows_per_second=rate, limit=limit, timeout=timeout, on_refused=LeftOut(), progress=tell,
            keys=keys,
        )  # fmt: skip
    if json:
        print_json(fed)
    else:
        print(f"{fed.rows} rows sent in {fed.frames} frames to {to}, {fed.refused} left out")
    return 0
