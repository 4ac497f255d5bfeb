"""`scripts/quality`: arguments in, tables out; exit status 1 for a missed figure, 2 for a wrong argument."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from . import (
    anomalies,
    calibration,
    centres,
    covariance,
    drift,
    likelihood,
    missing,
    optima,
    published,
    report,
    scales,
    speed,
    squared_error,
    steps,
    unknown_k,
)
from .datasets import DataError
from .family import Family, Options, missed
from .source import Source
from .work import crew

FAMILIES = {
    family.name: family
    for family in (
        centres.FAMILY, centres.IN_ORDER, likelihood.FAMILY, optima.FAMILY, squared_error.FAMILY,
        published.FAMILY, steps.FAMILY, drift.FAMILY, anomalies.FAMILY, unknown_k.FAMILY,
        calibration.FAMILY, covariance.FAMILY, missing.FAMILY, scales.FAMILY, speed.FAMILY,
    )
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/quality", description="How well is a stream learned? Beside scikit-learn and River, judged."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER",
        help="data sets, NAME.csv or NAME.csv.gz with a header and a column `label` (default: shared/data"
        " beside the checkout, else sets made here)",
    )  # fmt: skip
    parser.add_argument("--only", metavar="NAME,...", help=f"only these families: {', '.join(FAMILIES)}")
    parser.add_argument("--sets", metavar="A,B,...", help="only these data sets, by name")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="orders and starts to try (default up to 20; quick: 2)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="two seeds, fewer rows and sets, no slow peers: two minutes"
    )
    parser.add_argument("--ours", action="store_true", help="no peers but those that a figure is made of")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes beside each other (default 2)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument(
        "--markdown", type=Path, metavar="OUT", help="also write tables to this file, with plots beside it"
    )
    arguments = parser.parse_args()
    for name in ("seeds", "jobs"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            parser.error(f"--{name}: {value} is too few, expected at least 1")
    arguments.families = _split(arguments.only) or tuple(FAMILIES)
    for name in arguments.families:
        if name not in FAMILIES:
            parser.error(f"--only: no family {name!r}, expected some of {', '.join(FAMILIES)}")
    return arguments


def _split(words: str | None) -> tuple[str, ...] | None:
    return tuple(word.strip() for word in words.split(",")) if words else None


def _head(family: Family, source: Source, options: Options) -> list[str]:
    """What stands above a table."""
    quick = "; quick: fewer seeds, rows, sets and peers" if options.quick else ""
    return [f"data: {source.words}{quick}", *family.notes]


def main() -> int:
    arguments = _arguments()
    folder = arguments.folder or (SHARED if SHARED.is_dir() else None)
    source = Source(folder, _split(arguments.sets)).checked()
    tty = sys.stderr.isatty()
    say = (lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr)) if tty else lambda line: None
    parts: list[report.Shown] = []
    lines: list[str] = []
    with crew(arguments.jobs or min(2, os.cpu_count() or 1), say) as workers:
        options = Options(arguments.seeds, arguments.quick, arguments.ours, workers)
        for family in (FAMILIES[name] for name in arguments.families):
            records = family.run(source, options)
            say("")
            parts.append((family, _head(family, source, options), records))
            lines += [f"MISSED {family.name}: {missed(row)}" for row in records if row["met"] is False]
            if not arguments.json:
                print(report.text(parts[-1]), flush=True)
    if arguments.markdown:
        report.write_markdown(arguments.markdown, parts, lines or ["nothing"])
    if arguments.json:
        found = {
            family.name: {"source": source.words, "records": [*records]} for family, _, records in parts
        }
        print(json.dumps({"families": found, "missed": lines}))
    else:
        print("\n".join(lines) or "all figures met")
    return 1 if lines else 0


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            sys.exit(main())
        sys.exit(130)
    except (DataError, OSError) as error:
        print(f"scripts/quality: {error}", file=sys.stderr)
        sys.exit(2)
