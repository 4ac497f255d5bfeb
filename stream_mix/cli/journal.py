"""`stream-mix journal`: look into recordings, check them, and turn tables into them and them into tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .ending import CODES, FAILED, OK
from .options import (
    Columns,
    Drop,
    Format,
    IdColumn,
    JournalFile,
    Json,
    SourceName,
    Table,
    TimeColumn,
    WeightColumn,
)
from .show import names, plain, print_json, print_pairs, progress

app = typer.Typer(
    no_args_is_help=True, help="Look into recordings, check, export and import them.", epilog=CODES
)


@app.command(epilog=CODES)
def info(journal: JournalFile, json: Json = False) -> int:
    """Print what a journal holds, in numbers."""
    from stream_mix.ports.journal import JournalReader

    with JournalReader.open(journal) as reader:
        found, meta = plain(reader.info()), reader.meta
    if json:
        print_json({**found, "meta": meta})
        return OK
    for key in ("first_received", "last_received"):
        if found[key] is not None:
            found[key] = datetime.fromtimestamp(found[key], UTC).isoformat(timespec="milliseconds")
    checkpoints = ", ".join(map(str, found["checkpoints"])) or "none"
    print_pairs({**found, "checkpoints": checkpoints, "bytes": f"{found['bytes']:,}"})
    print_pairs({key: meta[key] for key in meta if key != "settings"})
    print(
        f"settings  {'kept: it replays by itself' if 'settings' in meta else 'none: replay needs --config'}"
    )
    return OK


@app.command(epilog=CODES)
def verify(journal: JournalFile, json: Json = False) -> int:
    """Read all of a journal and check every record; 1 where something is damaged.

    This checks the file. `stream-mix replay --verify` checks what was learned from it.
    """
    from stream_mix.ports.journal import JournalReader

    with JournalReader.open(journal) as reader, progress("checking") as tell:
        report = reader.verify(tell)
    if json:
        print_json({**plain(report), "ok": report.ok})
    else:
        kinds = ("frames", "rows", "checkpoints", "outputs")
        counts = ", ".join(f"{getattr(report, kind)} {kind}" for kind in kinds)
        said = f"{journal}: sound;" if report.ok else f"{report.damage}; sound before that:"
        print(f"{said} {counts}")
    return OK if report.ok else FAILED


@app.command("dead-letters", epilog=CODES)
def dead_letters(
    journal: JournalFile,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest so many.")] = None,
    json: Json = False,
) -> int:
    """Print the frames that were refused and why, oldest first; with --json one object for each."""
    from stream_mix.ports.journal import JournalReader

    with JournalReader.open(journal) as reader:
        letters = reader.dead_letters()[-(limit or 0) :]
    for letter in letters:
        if json:
            print_json(letter)
            continue
        received = datetime.fromtimestamp(letter.received, UTC).isoformat(timespec="milliseconds")
        sender = "" if letter.source is None else f" from {letter.source!a}"
        print(f"{received}{sender}, {letter.size} bytes, {letter.code}: {letter.reason}")
    if not letters and not json:
        print(f"{journal}: no dead letters")
    return OK


@app.command(epilog=CODES)
def export(
    journal: JournalFile,
    out: Annotated[
        str, typer.Argument(metavar="OUT", help=".csv, .jsonl or .parquet, also .gz; - is standard output.")
    ],
    format: Format = None,
    start: Annotated[int | None, typer.Option("--from", min=0, help="First offset.")] = None,
    stop: Annotated[int | None, typer.Option("--to-offset", min=0, help="Offset to stop before.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Rows received from then on: Unix seconds or ISO 8601.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Rows received before then.")] = None,
    last: Annotated[float | None, typer.Option(min=0.0, help="Only the last so many seconds.")] = None,
    clock: Annotated[
        str, typer.Option(help="Whether times are those rows were received at, or of the event.")
    ] = "received",
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
) -> int:
    """Write a journal's rows to a table."""
    from stream_mix.recording import export as write

    from .replay import moment

    with progress("writing") as tell:
        rows = write(
            journal, out, format, tell, start=start, stop=stop, since=moment("--since", since),
            until=moment("--until", until), source=source, last=last, clock=clock,
        )  # fmt: skip
    if out != "-":
        print(f"{rows} rows written to {out}")
    return OK


@app.command("import", epilog=CODES)
def import_(
    file: Table,
    journal: Annotated[
        Path, typer.Argument(metavar="JOURNAL", help="Made where it is not there, else added to.")
    ],
    time: TimeColumn = None,
    weight: WeightColumn = None,
    id: IdColumn = None,
    columns: Columns = None,
    drop: Drop = None,
    format: Format = None,
    source: SourceName = None,
    json: Json = False,
) -> int:
    """Make a journal of a table, to be replayed like any other."""
    from stream_mix.recording import import_rows

    from .send import LeftOut

    with progress("reading") as tell:
        done = import_rows(
            file, journal, format, time=time, weight=weight, id=id, columns=names(columns),
            drop=names(drop) or (), source=source, on_refused=LeftOut(), progress=tell,
        )  # fmt: skip
    if json:
        print_json(done)
    else:
        print(f"{done.rows} rows in {done.frames} frames written to {journal}, {done.refused} left out")
    return OK
