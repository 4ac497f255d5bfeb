"""`scripts/quality`: arguments in, tables out; exit status 1 for a missed figure, 2 for a wrong argument."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from _bench import table

from . import datasets, one_pass
from .datasets import ALSO, JUDGED, DataError, DataSet
from .family import Family, Options, Result

FAMILIES = (one_pass.FAMILY,)
ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "scripts/quality", description="Clustering after one pass, beside scikit-learn and River."
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER",
        help="data sets, NAME.csv or NAME.csv.gz with a header and a column `label` (default: shared/data"
        " beside the checkout, else sets made here)",
    )  # fmt: skip
    parser.add_argument("--sets", metavar="A,B,...", help="only these, by name")
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="orders and starts to try (default 5; quick: 2)"
    )
    parser.add_argument("--quick", action="store_true", help="two seeds, fewer sets, no slow peers: a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--markdown", type=Path, metavar="OUT", help="also write the tables to this file")
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error(f"--seeds: {arguments.seeds} is too few, expected at least 1")
    return arguments


def _sets(arguments: argparse.Namespace) -> tuple[str, Iterator[DataSet]]:
    """Where the data comes from, in words, and the data."""
    folder = arguments.folder or (SHARED if SHARED.is_dir() else None)
    chosen = tuple(name.strip() for name in arguments.sets.split(",")) if arguments.sets else None
    if folder is None:
        usual = tuple(datasets.RECIPES) + (() if arguments.quick else tuple(datasets.SHIPPED))
        return "sets made here, and sets that River and scikit-learn ship", datasets.make(chosen or usual)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    there = datasets.sets_in(folder)
    known = tuple(name for name in (JUDGED if arguments.quick else JUDGED + ALSO) if name in there)
    return str(folder), datasets.load(folder, chosen or known or tuple(there))


def _tables(family: Family, result: Result) -> tuple[list[str], list[list[object]]]:
    """Heading and rows of the table."""
    header = [heading for _, heading in family.columns]
    return header, [[record[key] for key, _ in family.columns] for record in result.records]


def main() -> int:
    arguments = _arguments()
    seeds = arguments.seeds or (2 if arguments.quick else 5)
    tty = sys.stderr.isatty()
    say = (lambda line: print(f"\r\x1b[K{line}", end="", file=sys.stderr)) if tty else lambda line: None
    options = Options(seeds, arguments.quick, say)
    written: list[str] = []
    missed: list[str] = []
    report: dict[str, object] = {}
    for family in FAMILIES:
        source, sets = _sets(arguments)
        result = family.run(sets, options)
        if tty:
            print("\r\x1b[K", end="", file=sys.stderr)
        header, rows = _tables(family, result)
        head = [family.title, f"data: {source}; {seeds} seed{'s' * (seeds > 1)}", *family.notes]
        missed += result.missed
        report[family.name] = {
            "source": source, "seeds": seeds, "records": result.records, "missed": result.missed
        }  # fmt: skip
        if not arguments.json:
            print("\n".join(head), table.text(header, rows), sep="\n\n", end="\n\n")
        written.append(
            "\n\n".join((f"## {head[0]}", "\n".join(head[1:]), table.markdown(header, rows))) + "\n"
        )
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(written), encoding="utf-8")
    if arguments.json:
        print(json.dumps(report))
    else:
        print("\n".join(f"MISSED {line}" for line in missed) or "all figures met")
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        with suppress(KeyboardInterrupt):
            sys.exit(main())
        sys.exit(130)
    except (DataError, OSError) as error:
        print(f"scripts/quality: {error}", file=sys.stderr)
        sys.exit(2)
