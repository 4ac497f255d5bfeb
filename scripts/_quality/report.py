"""What a person gets to read: tables in text and Markdown, and pictures beside the Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from _bench import table

from . import plots
from .family import Family, Record

Shown = tuple[Family, list[str], Sequence[Record]]
"""A family, the lines above its table, and its records."""


def text(shown: Shown) -> str:
    """The table for a terminal."""
    family, head, records = shown
    body = table.text(*_cells(family, records)) if records else "no data for it here"
    return "\n".join([family.title, *head, "", body, ""])


def write_markdown(out: Path, parts: Sequence[Shown], closing: Sequence[str]) -> None:
    """All tables in one file, and a picture of each beside it."""
    written: list[str] = []
    for family, head, records in parts:
        lines = [f"## {family.title}", "", "\n".join(head), ""]
        if records:
            picture = out.with_name(f"{out.stem}-{family.name}.png")
            plots.write(family, records, picture)
            lines += [table.markdown(*_cells(family, records)), "", f"![{family.title}]({picture.name})", ""]
        written.append("\n".join(lines))
    out.write_text("\n".join([*written, "## Missed", "", *closing, ""]), encoding="utf-8")


def _cells(family: Family, records: Sequence[Record]) -> tuple[list[str], list[list[object]]]:
    """Heading and rows of the table."""
    columns = [("set", "set"), ("learner", "learner"), *family.columns, ("reach", "reach"), ("met", "met")]
    rows = [[_verdict(row) if key == "met" else row.get(key) for key, _ in columns] for row in records]
    return [heading for _, heading in columns], rows


def _verdict(row: Record) -> str:
    return "" if row["met"] is None else "met" if row["met"] else "MISSED"
