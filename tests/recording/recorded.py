"""Journals for tests of recordings, and their rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stream_mix.ports.journal import Journal, JournalFrame
from stream_mix.recording import (
    Block,
    iter_rows,
)

FORMATS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")
Row = tuple[dict[str, float], float | None, float | None, str | int | None]


def write(path: Path, messages: Sequence[tuple[int, bytes]], meta: dict[str, str] | None = None) -> None:
    """A journal of messages, each with the number of its good rows."""
    with Journal.open(path, durability="off", meta=meta) as journal:
        for n, raw in messages:
            journal.append(
                [JournalFrame(journal.next_id, journal.next_offset, n, f"s{journal.next_id % 2}", None,
                              float(journal.next_id), None, None, raw)]
            )  # fmt: skip


def rows_of(path: Path) -> list[Row]:
    return [(row.x, row.t, row.w, row.id) for row in iter_rows(path)]


def blocks_to_rows(blocks: Sequence[Block]) -> list[Row]:
    rows: list[Row] = []
    for features, x, t, w, id in blocks:
        for k, values in enumerate(x.tolist()):
            named = {name: v for name, v in zip(features, values, strict=True) if v == v}
            rows.append(
                (
                    named,
                    None if t is None else t[k],
                    None if w is None else w[k],
                    None if id is None else id[k],
                )
            )
    return rows
