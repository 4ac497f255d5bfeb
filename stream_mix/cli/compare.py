"""`stream-mix compare`: several models over one recorded stream, side by side."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .ending import OK
from .options import Columns, Drop, Format, Json, TimeColumn, WeightColumn
from .run import one_thread
from .show import names, print_json, progress

if TYPE_CHECKING:
    from stream_mix.compare import Entry, Line, Result

_DEFAULT = "1..12"
_COLUMNS = (
    ("K", "components", "d"), ("family", "family", "s"), ("log-likelihood", "log_likelihood", ".4f"),
    ("BIC", "bic", ".4f"), ("ICL", "icl", ".4f"), ("silhouette", "silhouette", ".2f"),
    ("Xie-Beni", "xie_beni", ".3g"), ("clusters", "clusters", "d"), ("stability", "stability", ".2f"),
    ("ARI", "rand_index", ".3f"), ("AMI", "mutual_information", ".3f"), ("CI", "centroid_index", "d"),
    ("seconds", "seconds", ".2f"),
)  # fmt: skip
_OPTIONAL = frozenset(("stability", "rand_index", "mutual_information", "centroid_index"))
_NOTES = """\
log-likelihood: mean a row, each before it was learned; higher is better. BIC and ICL: twice nats a row; lower
is better. Xie-Beni: lower is better. clusters: components that overlap taken for one."""


def compare(
    file: Annotated[
        str, typer.Argument(metavar="JOURNAL|FILE", help="Journal, CSV, JSON lines or Parquet; - is a pipe.")
    ],
    components: Annotated[
        str | None,
        typer.Option(help=f"Numbers of components: 2..12, or 2,4,8. {_DEFAULT} where no --config is given."),
    ] = None,
    family: Annotated[
        str, typer.Option(help="Families, with commas between: kmeans, spherical, diag, tied, full, auto.")
    ] = "full",
    config: Annotated[
        list[Path] | None,
        typer.Option(help="Also the models of this configuration; may be given several times."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Column of true labels, which no model sees. In a journal a feature, or id."),
    ] = None,
    stability: Annotated[
        bool, typer.Option("--stability/--no-stability", help="Learn each with a second seed too.")
    ] = True,
    picture: Annotated[
        Path | None, typer.Option(metavar="OUT.png", help="Draw criteria and clusters; needs matplotlib.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the models of --components.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many rows.")] = None,
    time: TimeColumn = None,
    weight: WeightColumn = None,
    columns: Columns = None,
    drop: Drop = None,
    format: Format = None,
    json: Json = False,
) -> int:
    """How many clusters, and is this clustering any good? Models side by side over one recorded stream.

    Every model takes each row once, in order, as in an engine. What the figures favour, and how sure that
    is, comes last, in words.
    """
    one_thread()
    from stream_mix import compare as work

    if picture is not None:
        import matplotlib.figure  # noqa: F401  # a missing one is said before the work
    from .send import LeftOut

    entries = _entries(components, family, config or [], seed)
    rows = work.pieces(
        file, labels, format=format, time=time, weight=weight, columns=names(columns),
        drop=names(drop) or (), limit=limit, on_refused=LeftOut(),
    )  # fmt: skip
    with progress("comparing") as tell:
        result = work.compare(rows, entries, stability=stability, progress=tell)
    words = work.verdict(result)
    if picture is not None:
        from stream_mix.compare.picture import draw

        draw(picture, result, _title(result, file))
    if json:
        chosen = None if result.chosen is None else result.lines[result.chosen].name
        lines = [asdict(line) for line in result.lines]
        print_json({"rows": result.rows, "models": lines, "chosen": chosen, "words": words})
        return OK
    _print(result, file)
    if picture is not None:
        print(f"picture: {picture}")
    print(f"\n{words}")
    return OK


def _entries(components: str | None, family: str, configs: list[Path], seed: int) -> list[Entry]:
    """What is to be compared: every family with every number, then the models of the configurations."""
    from stream_mix.compare import Entry
    from stream_mix.config import load
    from stream_mix.mixture import Spec, named_family

    entries = []
    if components is not None or not configs:
        for kind in names(family) or []:
            for k in numbers(components or _DEFAULT):
                entries.append(Entry(f"{kind} {k}", Spec(k, **named_family(kind), random_state=seed)))
    for path in configs:
        entries += [Entry(model.name, model.spec()) for model in load(path).models]
    return entries


def numbers(text: str) -> list[int]:
    """The numbers that a person meant, rising, each once.

    >>> numbers("2..4,8")
    [2, 3, 4, 8]
    """
    found: set[int] = set()
    for part in text.split(","):
        first, dots, last = part.strip().partition("..")
        try:
            low = int(first)
            high = int(last) if dots else low
        except ValueError:
            low, high = 1, 0
        if not 1 <= low <= high:
            raise ValueError(f"--components {text!r}: expected numbers such as 2..12 or 2,4,8")
        found.update(range(low, high + 1))
    return sorted(found)


def _print(result: Result, file: str) -> None:
    from rich.console import Console
    from rich.table import Table

    named = any(line.name != f"{line.family} {line.components}" for line in result.lines)
    columns = [("model", "name", "s")] * named + [
        column for column in _COLUMNS
        if column[1] not in _OPTIONAL or any(getattr(line, column[1]) is not None for line in result.lines)
    ]  # fmt: skip
    table = Table(title=_title(result, file), title_justify="left")
    for head, _, form in columns:
        table.add_column(head, justify="left" if form == "s" else "right", no_wrap=True)
    for place, line in enumerate(result.lines):
        style = "bold" if place == result.chosen else None
        table.add_row(*(_cell(line, *column[1:]) for column in columns), style=style)
    width = None if Console().is_terminal else 160
    Console(width=width).print(table)
    print(_NOTES)


def _title(result: Result, file: str) -> str:
    d = len(result.features)
    return f"{file}: {result.rows:,} rows of {d} feature{'s' * (d != 1)}"


def _cell(line: Line, name: str, form: str) -> str:
    value = getattr(line, name)
    return "-" if value is None else format(value, form)
