"""Frames for tests of the journal."""

from __future__ import annotations

from pathlib import Path

from stream_mix.ports.journal import JournalFrame, JournalReader


def frames(count: int, first: int = 0, offset: int = 0, n: int = 3) -> list[JournalFrame]:
    return [
        JournalFrame(
            i,
            offset + n * (i - first),
            n,
            f"s{i % 3}",
            i // 3,
            1000.0 + i,
            5.0 * i,
            5.0 * i + 4,
            b"%d" % i * 9,
        )
        for i in range(first, first + count)
    ]


def read(path: Path) -> list[JournalFrame]:
    with JournalReader.open(path) as reader:
        return list(reader.frames())
