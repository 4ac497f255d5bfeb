"""`scripts/bench`: arguments in, a table out; exit status 1 for a missed target, 2 for a wrong argument."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import suppress

from . import (
    acked,
    centred,
    em_pass,
    large_k,
    lloyd,
    machine,
    memory,
    one_row,
    partial_fit,
    report,
    service,
    two_cores,
)
from .pipeline import PipelineError
from .record import Name, Options, Record

MODULES = (one_row, partial_fit, em_pass, lloyd, large_k, two_cores, service, acked, memory, centred)
GROUPS = {module.GROUP: module for module in MODULES}
REPETITIONS, REPETITIONS_QUICK = 7, 5


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/bench", description="Times and other figures, beside peers, judged."
    )
    parser.add_argument(
        "--quick", action="store_true", help="under a minute: less data, not every row, and nothing is judged"
    )
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    output.add_argument(
        "--markdown", nargs="?", const="-", metavar="FILE",
        help="the tables of the README; with a FILE they replace what stands between its two marks",
    )  # fmt: skip
    output.add_argument("--names", action="store_true", help="only what would be measured, as JSON")
    parser.add_argument("--only", metavar="NAME,...", help=f"only these groups: {', '.join(GROUPS)}")
    parser.add_argument(
        "--repetitions", type=int, default=None, metavar="N",
        help=f"of each timed side (default {REPETITIONS}; quick: {REPETITIONS_QUICK})",
    )  # fmt: skip
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


def _measured(names: list[Name], groups: list[str], options: Options) -> list[Record]:
    """The records of the groups, in the order of the names; a quick run leaves some out."""
    records = [record for group in groups for record in GROUPS[group].records(options)]
    found = {record.name: record for record in records}
    odd = [str(name) for name in set(found) ^ set(names) if name in found or not options.quick]
    if odd or len(found) != len(records):
        raise AssertionError(f"rows announced and rows measured differ: {', '.join(sorted(odd))}")
    return [found[name] for name in names if name in found]


def main() -> int:
    arguments = _arguments()
    names = [name for group in arguments.groups for name in GROUPS[group].names()]
    if arguments.names:
        print(json.dumps(report.labels(names)))
        return 0
    tty = sys.stderr.isatty()
    say = (lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr)) if tty else lambda line: None
    say("machine")
    load, limits = machine.load(), machine.limits()
    repetitions = arguments.repetitions or (REPETITIONS_QUICK if arguments.quick else REPETITIONS)
    options = Options(arguments.quick, repetitions, limits, say)
    records = _measured(names, arguments.groups, options)
    if tty:
        print("\r\x1b[K", end="", file=sys.stderr)
    missed = [record for record in records if record.met is False] if not options.quick else []
    if arguments.markdown:
        report.put(arguments.markdown, report.markdown(records, limits, load))
    elif arguments.json:
        print(json.dumps(_plain(records, missed, options, load)))
    else:
        _print(records, missed, options, load)
    return 1 if missed else 0


def _plain(records: list[Record], missed: list[Record], options: Options, load: float | None) -> dict:
    """All that was measured, for programs."""
    return {
        "machine": machine.described(),
        "limits": {word: vars(found) for word, found in options.limits.items()},
        "load": load,
        "quick": options.quick,
        "repetitions": options.repetitions,
        "records": [record.plain(judged=not options.quick) for record in records],
        "missed": [" ".join(filter(None, (r.name.work, r.name.shape, r.name.peer))) for r in missed],
    }


def _print(records: list[Record], missed: list[Record], options: Options, load: float | None) -> None:
    print(report.described(options.limits))
    if load is not None:
        print(f"load average {load:.1f} when it began")
    print("both sides of a ratio ran in turn, in one process, with the same number of threads; medians")
    print("of machine: arithmetic of the dense computation, bytes of the rows; by its two rates")
    print("", report.terminal(records, not options.quick), "", sep="\n")
    if options.quick:
        print("a quick run: targets are not judged")
    else:
        print(f"{len(missed)} target{'s' * (len(missed) != 1)} missed" if missed else "all targets met")


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            sys.exit(main())
        sys.exit(130)
    except (PipelineError, OSError) as error:
        print(f"scripts/bench: {error}", file=sys.stderr)
        sys.exit(2)
