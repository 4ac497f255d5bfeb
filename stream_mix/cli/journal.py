"""`stream-mix journal`: look into recordings, check them, and turn tables into them and them into tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from stream_mix.ports.journal import JournalInfo

app = typer.Typer(
    no_args_is_help=True, help="Look into recordings, check, repair, export and import them.", epilog=CODES
)


@app.command(epilog=CODES)
def info(journal: JournalFile, json: Json = False) -> int:
    """Print what a journal holds, in numbers."""
    from stream_mix.ports.journal import JournalReader

    with JournalReader.open(journal) as reader:
        found, meta = reader.info(), reader.meta
    if json:
        print_json({**plain(found), "meta": meta})
    else:
        kept = "kept: it replays by itself" if "settings" in meta else "none: replay needs --config"
        print_pairs({**described(found), **meta, "settings": kept})
    return OK


def described(info: JournalInfo) -> dict[str, str]:
    """A journal's numbers in words, by what they are about."""
    rows = f"{info.rows:,}"
    if info.begins:
        kept = info.rows - info.begins
        rows = f"{kept:,} of {info.rows:,}, from offset {info.begins:,} on; older were dropped"
    marks = ", ".join(f"{offset:,}" for offset in info.checkpoints)
    after = info.rows - info.checkpoints[0] if info.checkpoints else info.rows - info.begins
    return {
        "journal": f"{info.path}, format {info.format}, {info.bytes:,} bytes",
        "rows": rows,
        "frames": f"{info.frames:,} written" if info.begins else f"{info.frames:,}",
        "received": _span(info.first_received, info.last_received),
        "event times": _span(info.t_first, info.t_last),
        "checkpoints": f"at offset {marks}" if marks else "none",
        "restart": f"folds {after:,} rows after the newest checkpoint" if marks else f"folds {after:,} rows",
        "outputs": f"{info.outputs:,} groups of what was published" if info.outputs else "not recorded",
        "dead letters": f"{info.dead_letters:,}",
    }


def _span(first: float | None, last: float | None) -> str:
    if first is None or last is None:
        return "none"
    return f"{_time(first)} to {_time(last)}"


def _time(seconds: float) -> str:
    """A time of day where it is one; times of events may be any numbers."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return str(seconds)


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
        where = "" if report.offset is None else f"offset {report.offset}: "
        said = f"{journal}: sound;" if report.ok else f"{journal}: {where}{report.damage}; sound before that:"
        print(f"{said} {counts}{begins(report.begins)}")
    return OK if report.ok else FAILED


def begins(offset: int) -> str:
    """What is to be added of a journal whose old rows were dropped."""
    return f"; it begins at offset {offset}, older rows were dropped" if offset else ""


@app.command(epilog=CODES)
def scrub(
    journal: JournalFile,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="MiB of frames a second, beside an engine at work.")
    ] = None,
    json: Json = False,
) -> int:
    """Read all of a journal, go on behind damage, and list everything that is damaged; 1 where something is.

    For disks that go bad in places that nobody reads: run it now and then, with --rate beside an engine.
    """
    from stream_mix.ports.journal import JournalReader

    with JournalReader.open(journal) as reader, progress("reading") as tell:
        report = reader.scrub(rate=None if rate is None else rate * (1 << 20), progress=tell)
    if json:
        print_json({**plain(report), "ok": report.ok})
        return OK if report.ok else FAILED
    for found in report.damage:
        print(f"{journal}: {'' if found.offset is None else f'offset {found.offset}: '}{found.reason}")
    said = "sound" if report.ok else f"{len(report.damage)} damaged, sound beside that"
    print(f"{journal}: {said}: {report.frames} frames, {report.rows} rows{begins(report.begins)}")
    return OK if report.ok else FAILED


@app.command(epilog=CODES)
def repair(
    journal: JournalFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The new journal; there must be no such file.")],
    json: Json = False,
) -> int:
    """Write what can be believed of a journal to a new file; the old one is only read.

    A sound one is written anew, too, without the room that dropped rows left behind.
    """
    from stream_mix.ports.journal import repair as write

    with progress("writing") as tell:
        done = write(journal, out, progress=tell)
    if json:
        print_json(done)
        return OK
    for found in done.damage:
        print(f"{journal}: {'' if found.offset is None else f'offset {found.offset}: '}{found.reason}")
    print(f"{out}: rows {done.begins} to {done.ends - 1}, {done.checkpoints} checkpoints")
    if done.lost_before:
        print(f"{done.lost_before} rows before them are lost to replays; models keep them by a checkpoint")
    if done.lost_after:
        print(f"{done.lost_after} sound frames after them are lost: no checkpoint holds what was damaged")
    return OK


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
    from stream_mix.ports.journal import JournalReader
    from stream_mix.recording import export as write

    from .replay import moment

    with progress("writing") as tell:
        rows = write(
            journal, out, format, tell, start=start, stop=stop, since=moment("--since", since),
            until=moment("--until", until), source=source, last=last, clock=clock,
        )  # fmt: skip
    if out != "-":
        with JournalReader.open(journal) as reader:
            first = reader.end().first_offset if start is None else 0
        print(f"{rows} rows written to {out}{begins(first)}")
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
