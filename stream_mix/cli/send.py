"""`stream-mix send`: a file, or a pipe, into a running engine."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    ACKED,
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
    to: Annotated[
        str | None, typer.Option(help="Endpoint of the engine; by default its usual one on this machine.")
    ] = None,
    acked: Annotated[
        bool, typer.Option("--acked", help="End when the engine has said that every row is durable.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="With --acked: pass over frames that the engine has of this source."),
    ] = False,
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

    With --acked nothing is lost: rows are sent again to an engine that was restarted, and none is learned
    twice. Exit code 0 then says that all are durable. A run that was broken off goes on with --resume: same
    file, same --batch, same --source.
    """
    from stream_mix.workers import feed

    if rate is not None and not rate > 0:
        raise ValueError(f"--rate {rate:g}: expected rows per second, more than 0")
    batch = batch or (1 if live(file) else 256)
    with progress("sending", limit) as tell:
        fed = feed.run(
            file, endpoint=to, acked=acked, resume=resume, source=source, format=format, time_column=time,
            weight=weight, id=id, columns=names(columns), drop=names(drop) or (), delimiter=delimiter,
            batch_rows=batch, rows_per_second=rate, limit=limit, timeout=timeout, on_refused=LeftOut(),
            progress=tell, keys=keys,
        )  # fmt: skip
    if json:
        only_acked = () if acked else ("durability", "known")
        print_json({key: value for key, value in asdict(fed).items() if key not in only_acked})
    else:
        where = to or (ACKED if acked else PUSH)
        safe = f", all acknowledged ({fed.durability})" if acked else ""
        known = f", {fed.known} of the frames were there before" if fed.known else ""
        print(f"{fed.rows} rows sent in {fed.frames} frames to {where}, {fed.refused} left out{known}{safe}")
    return 0
