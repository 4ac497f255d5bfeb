"""SQLite's log, looked at where SQLite does not look: behind the first record that it cannot believe.

SQLite reads its log up to there and takes the rest for the torn end of a commit that never was. It is that
where one commit lies behind: a commit is written only after the one before it was synced. Where two or more
do, the first of them had been acknowledged: the log is damaged in its middle.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from typing import Final

from stream_mix.ports.journal.records import JournalError

_MAGIC: Final = (0x377F0682, 0x377F0683)
_HEADER: Final = 32
_FRAME: Final = 24


def check_log(db: sqlite3.Connection, path: str) -> None:
    """JournalError where commits that were synced can be read no more; for a journal opened just now.

    What SQLite believes is folded into the file meanwhile; the log stays as it is until the next commit.
    """
    log = f"{path}-wal"
    if not os.path.exists(log) or os.path.getsize(log) <= _HEADER:
        return
    try:
        believed = int(db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1])
    except sqlite3.OperationalError:
        # A full disk, which is no damage: the next commit tells.
        return
    if behind := _commits_behind(log, max(believed, 0)):
        raise JournalError(
            path,
            f"damaged: its log breaks off before {behind} commits that had been made; after a power cut "
            'with durability "os" or "off" that is no wonder, and opening it so accepts the loss',
        )


def _commits_behind(log: str, believed: int) -> int:
    """Commits in the log behind its first `believed` records, if more than one."""
    with open(log, "rb") as file:
        head = file.read(_HEADER)
        magic, _, size = struct.unpack(">III", head[:12])
        sound = magic in _MAGIC and _sum(head[:24], magic & 1) == struct.unpack(">II", head[24:])
        if not sound:
            return _any_commits(file.read(), head)
        file.seek(_HEADER + believed * (_FRAME + size))
        commits = []
        while len(frame := file.read(_FRAME + size)) == _FRAME + size:
            if frame[8:16] == head[16:24]:
                commits.append(frame)
        # Cheap first: nearly always there is nothing, or the rest of one commit.
        if sum(frame[4:8] != bytes(4) for frame in commits) < 2:
            return 0
        return _most_in_a_row(commits, magic & 1)


def _most_in_a_row(frames: list[bytes], big: int) -> int:
    """The most commits among records that follow one another, each check sum made from the one before it.

    What is left of a torn commit, and was overwritten by another in part, is no row.
    """
    most = commits = 0
    before: bytes | None = None
    for frame in frames:
        follows = before is not None and struct.pack(
            ">II", *_sum(frame[:8] + frame[_FRAME:], big, struct.unpack(">II", before[16:24]))
        ) == frame[16:24]
        commits = (commits if follows else 0) + (frame[4:8] != bytes(4))
        most, before = max(most, commits), frame
    return most if most > 1 else 0


def _any_commits(rest: bytes, head: bytes) -> int:
    """A log whose head is damaged counts as one with commits behind it, unless there is nothing in it."""
    return 2 if head.strip(b"\0") and rest.strip(b"\0") else 0


def _sum(data: bytes, big: int, seed: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """SQLite's check sum of its log, going on from one: two sums over words of 32 bits."""
    words = struct.unpack((">" if big else "<") + f"{len(data) // 4}I", data)
    first, second = seed
    for k in range(0, len(words), 2):
        first = (first + words[k] + second) & 0xFFFFFFFF
        second = (second + words[k + 1] + first) & 0xFFFFFFFF
    return first, second
