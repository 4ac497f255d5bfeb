"""Tables for a terminal and for Markdown, from rows of plain values."""

from __future__ import annotations

from collections.abc import Sequence


def shown(value: object) -> str:
    """A value as a cell: numbers to three or four digits, nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return str(value)


def number(value: float) -> str:
    """Four significant digits, thousands apart, powers of ten only where it is very small or large.

    >>> number(1234567.0), number(0.0), number(3.14159), number(2.5e-12)
    ('1,234,567', '0', '3.142', '2.50e-12')
    """
    if value != value:
        return "-"
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e9:
        return f"{value:.2e}"
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def text(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table in columns of spaces; a column in which every cell is a number is flushed right."""
    cells, right = _cells(header, rows)
    width = [max(len(line[j]) for line in cells) for j in range(len(header))]
    lines = []
    for line in cells:
        padded = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, width, right, strict=True)]
        lines.append("  ".join(padded).rstrip())
    lines.insert(1, "  ".join("-" * w for w in width))
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table as GitHub reads it."""
    cells, right = _cells(header, rows)
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("---:" if r else "---" for r in right) + "|")
    return "\n".join(lines)


def _cells(header: Sequence[str], rows: Sequence[Sequence[object]]) -> tuple[list[list[str]], list[bool]]:
    numbers = (int, float, type(None))
    right = [all(isinstance(row[j], numbers) for row in rows) for j in range(len(header))]
    return [list(header), *([shown(value) for value in row] for row in rows)], right
