"""The records as people read them: a table for a terminal, and the README's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from . import machine, table
from .record import SHAPES, Limits, Name, Record, at

HEADER = (
    "work", "size", "ours", "unit", "beside", "theirs", "ratio", "of machine", "wanted", "verdict", "note",
)  # fmt: skip
COLUMNS = tuple(at(d, k) for d, k in SHAPES)
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
"""The README's table stands between these lines."""


def described(limits: dict[str, Limits]) -> str:
    """The machine and what it can do."""
    rates = "; ".join(
        f"{word}: float64 matrix product {found.gflops:.0f} GFLOP/s, memory {found.gbs:.0f} GB/s"
        for word, found in limits.items()
    )
    return f"{machine.described()}\n{rates}"


def terminal(records: Sequence[Record], judged: bool) -> str:
    """A line for each record."""
    rows = [
        [
            r.name.work, r.name.shape, r.ours, r.unit, r.name.peer, r.theirs, r.ratio, _of_machine(r),
            "" if r.target is None else str(r.target), _verdict(r) if judged else "", r.note,
        ]
        for r in records
    ]  # fmt: skip
    return table.text(HEADER, rows)


def _verdict(record: Record) -> str:
    return {None: "", True: "met", False: "MISSED"}[record.met]


def _of_machine(record: Record) -> str:
    """Shares of the matrix-product rate and of the memory bandwidth."""
    shares = (record.share, record.traffic)
    return " ".join(f"{100 * share:.0f}%" if share is not None else "-" for share in shares).strip("- ")


def markdown(records: Sequence[Record], limits: dict[str, Limits], load: float | None) -> str:
    """The README's two tables: what is measured at three sizes, and the rest; no date and no verdicts."""
    by_name = {record.name: record for record in records}
    sized, single = split(by_name)
    first = [
        [work, peer, *(_cell(by_name, name) for name in at_sizes), _wanted(by_name, at_sizes)]
        for (work, peer), at_sizes in sized.items()
    ]
    last = [
        [
            r.name.work, r.name.peer, _figure(r.ours, r.unit), _figure(r.theirs, r.unit), _times(r),
            str(r.target or ""),
        ]
        for r in (by_name[name] for name in single)
    ]  # fmt: skip
    machine_lines = described(limits).replace("\n", "; ")
    busy = "" if load is None else f"; load average {load:.1f} when it began"
    parts = [
        f"{machine_lines}{busy}.",
        "Ours : theirs, **times better**, dense arithmetic as a share of the matrix-product rate:",
        table.markdown(("work", "beside", *COLUMNS, "wanted"), first) if first else "",
        table.markdown(("work", "beside", "ours", "theirs", "times better", "wanted"), last) if last else "",
    ]
    return "\n\n".join(part for part in parts if part)


def put(path: str, text: str) -> None:
    """Writes the tables between the marks of a file, or (-) prints them. Raises OSError without the marks."""
    if path == "-":
        print(text)
        return
    before, begin, rest = Path(path).read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise OSError(f"{path}: expected the lines {BEGIN} and {END}")
    Path(path).write_text(f"{before}{begin}\n{text}\n{end}{after}")


def split(names: Iterable[Name]) -> tuple[dict[tuple[str, str], list[Name | None]], list[Name]]:
    """The lines of the README's two tables, in order: (work, peer) with a name for each size, and names."""
    sized: dict[tuple[str, str], list[Name | None]] = {}
    single = []
    for name in names:
        if not name.shape:
            single.append(name)
            continue
        line = sized.setdefault((name.work, name.peer), [None] * len(COLUMNS))
        line[COLUMNS.index(name.shape)] = name
    return sized, single


def labels(names: Iterable[Name]) -> list[tuple[str, str]]:
    """(work, peer) of every line of the README's tables."""
    sized, single = split(names)
    return [*sized, *((name.work, name.peer) for name in single)]


def _cell(by_name: dict[Name, Record], name: Name | None) -> str:
    if name is None:
        return ""
    r = by_name[name]
    if r.ours is None:
        return "-"
    scale, unit = _scaled(r.ours, r.unit)
    theirs = "" if r.theirs is None else f" : {_short(r.theirs / scale)}"
    share = "" if r.share is None else f", {100 * r.share:.0f} %"
    times = f", {_times(r)}" if r.ratio is not None else ""
    return f"{_short(r.ours / scale)}{theirs} {unit}{times}{share}"


def _times(r: Record) -> str:
    return "" if r.ratio is None else f"**{_short(r.ratio)}x**"


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    scale, shown = _scaled(value, unit)
    return f"{_short(value / scale)} {shown}".strip()


def _scaled(value: float, unit: str) -> tuple[float, str]:
    """What to divide by, and the unit of the quotient."""
    return (1e6, f"M {unit}") if value >= 1e5 else (1.0, unit)


def _short(value: float) -> str:
    """Two or three digits are what such a figure is good for."""
    if value == 0 or not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}" if value else "0"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def _wanted(by_name: dict[Name, Record], names: list[Name | None]) -> str:
    """The targets of a line: once if they are alike."""
    found = [str(by_name[name].target or "") for name in names if name is not None]
    return found[0] if len(set(found)) == 1 else " / ".join(found)


