"""`scripts/bench`: arguments in, a table out; exit status 1 for a missed target, 2 for a wrong argument."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from . import centred, em_pass, machine, memory, one_row, partial_fit, service, table
from .pipeline import PipelineError
from .record import Options, Record

GROUPS = {module.GROUP: module for module in (em_pass, partial_fit, one_row, centred, memory, service)}
HEADER = ("work", "ours", "unit", "peer", "theirs", "ratio", "wanted", "verdict", "note")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/bench", description="Times and other figures, beside peers, judged."
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="less data and fewer repetitions; targets are shown and not judged",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--only", metavar="NAME,...", help=f"only these groups: {', '.join(GROUPS)}")
    parser.add_argument(
        "--repetitions", type=int, default=None, metavar="N", help="of each timed side (default 7; quick: 3)"
    )
    arguments = parser.parse_args()
    if arguments.repetitions is not None and arguments.repetitions < 1:
        parser.error(f"--repetitions: {arguments.repetitions} is too few, expected at least 1")
    arguments.groups = (
        [name.strip() for name in arguments.only.split(",")] if arguments.only else list(GROUPS)
    )
    for name in arguments.groups:
        if name not in GROUPS:
            parser.error(f"--only: no group {name!r}, expected some of {', '.join(GROUPS)}")
    return arguments


def _row(record: Record) -> list[object]:
    share = f"{100 * record.share:.0f} % of the matrix-product rate" if record.share is not None else ""
    note = "; ".join(part for part in (share, record.note) if part)
    return [
        record.work, record.ours, record.unit, record.peer or "", record.theirs, record.ratio,
        record.wanted or "", record.verdict, note,
    ]  # fmt: skip


def _machine() -> dict[str, Any]:
    return {
        "machine": machine.described(),
        "blas_threads": machine.blas_threads(),
        "matrix_gflops": machine.matrix_rate(),
        "bandwidth_gbs": machine.bandwidth(),
        "load": machine.load(),
    }


def _described(found: dict[str, Any]) -> str:
    load = "" if found["load"] is None else f"; load average {found['load']:.1f} when it began"
    return (
        f"{found['machine']}\nfloat64 matrix product {found['matrix_gflops']:.0f} GFLOP/s with "
        f"{machine.counted(found['blas_threads'])}; "
        f"copying {found['bandwidth_gbs']:.1f} GB/s on one core{load}\n"
        "both sides of a ratio ran in turn in one process with the same number of threads; medians"
    )


def main() -> int:
    arguments = _arguments()
    tty = sys.stderr.isatty()
    say = (lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr)) if tty else lambda line: None
    options = Options(arguments.quick, arguments.repetitions or (3 if arguments.quick else 7), say)
    say("machine")
    found = _machine()
    records = [record for name in arguments.groups for record in GROUPS[name].records(options)]
    if tty:
        print("\r\x1b[K", end="", file=sys.stderr)
    missed = [record.work for record in records if record.met is False]
    if arguments.json:
        rows = [{**asdict(record), "met": record.met} for record in records]
        print(json.dumps({**found, "quick": arguments.quick, "records": rows, "missed": missed}))
    else:
        print(_described(found), table.text(HEADER, [_row(record) for record in records]), sep="\n\n")
        print(f"\n{len(missed)} target{'s' * (len(missed) != 1)} missed" if missed else "\nall targets met")
    return 1 if missed and not arguments.quick else 0


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            sys.exit(main())
        sys.exit(130)
    except (PipelineError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        sys.exit(2)
