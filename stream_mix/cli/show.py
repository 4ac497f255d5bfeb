"""What commands print: JSON for programs, progress for people, and nothing of the latter into a pipe."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


def plain(value: Any) -> Any:
    """The value as JSON knows it: records as objects, arrays as lists, numbers that are none as null.

    >>> plain({"a": (1, float("nan")), 2: b"xy"})
    {'a': [1, None], '2': '2 bytes'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def print_json(value: Any) -> None:
    """Print one line of JSON, at once."""
    print(json.dumps(plain(value), ensure_ascii=False, allow_nan=False), flush=True)


def print_pairs(pairs: Mapping[str, Any]) -> None:
    """Print names and values in two columns."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        print(f"{name:<{width}}  {value}")


Tell = Callable[..., None]
"""Told (done) or (done, total)."""


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Tell]:
    """A bar of rows on standard error where that is a terminal, and silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("rows, {task.fields[rate]}"), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total, rate="")

        def tell(done: int, whole: int | None = None) -> None:
            speed = bar.tasks[0].speed
            bar.update(
                task, completed=done, total=total if whole is None else whole,
                rate="" if speed is None else f"{speed:,.0f}/s",
            )  # fmt: skip

        yield tell


def names(text: str | None) -> list[str] | None:
    """A list of names written with commas between them, quoted where a name has one.

    >>> names('a, b,"c,d"')
    ['a', 'b', 'c,d']
    """
    import csv

    if text is None:
        return None
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
