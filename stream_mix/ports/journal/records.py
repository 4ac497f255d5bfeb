"""What a journal holds, as plain records; nothing here knows SQLite."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class JournalError(ValueError):
    """A journal cannot be opened, written or believed; the message is one line that names the file.

    `offset` is the number of rows before the damage, or None where the trouble is not at one place in the
    stream.
    """

    def __init__(self, path: str | os.PathLike[str], reason: str, offset: int | None = None) -> None:
        self.path = os.fspath(path)
        self.offset = offset
        self.reason = " ".join(reason.split())
        place = self.path if offset is None else f"{self.path}, offset {offset}"
        super().__init__(f"{place}: {self.reason}")


class JournalUnavailable(JournalError):
    """The journal takes nothing now: the disk is full, or fails. What was committed stands; `reopen` it."""


class JournalFrame(NamedTuple):
    """One frame as it came in, and the header by which it is found again.

    id counts frames from 0; offset is the number of accepted rows before this frame, n those in it; received
    is Unix seconds; t_min and t_max span the rows' event times, None where there are none.

    A named tuple and not a dataclass because one is made for every frame: 0.3 us against 1.2 us.
    """

    id: int
    offset: int
    n: int
    source: str | None
    seq: int | None
    received: float
    t_min: float | None
    t_max: float | None
    raw: bytes


class Output(NamedTuple):
    """What was published for one frame by one model: labels (n,) int32 or int64, log_density (n,) float32."""

    frame: int
    model: str
    generation: int
    labels: NDArray[Any]
    log_density: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The engine's state after exactly `offset` rows."""

    offset: int
    blob: bytes


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that was refused: when, by whom if known, why, its size in bytes, and its first 4 KiB."""

    id: int
    received: float
    source: str | None
    code: str
    reason: str
    size: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class JournalInfo:
    """A journal in numbers.

    Attributes:
        frames, rows, outputs: written since it was made, whether they are kept or not.
        begins: offset of the first row that is kept; above 0 where older ones were dropped.
        segments: kept.
        first_received, last_received: when the first and the last kept frame came, Unix seconds.
        t_first, t_last: the least event time of the first kept frame and the greatest of the last.
        checkpoints: offsets of those that are kept, newest first.
        dead_letters: kept.
        bytes: on disk.
    """

    path: str
    format: int
    frames: int
    rows: int
    begins: int
    segments: int
    first_received: float | None
    last_received: float | None
    t_first: float | None
    t_last: float | None
    checkpoints: tuple[int, ...]
    outputs: int
    dead_letters: int
    bytes: int


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What `verify` found: how many sound records came before the first damage, and that damage in one line.

    Where `damage` is None everything was read and believed, and the counts are of all that is kept. `begins`
    is the offset of the first row, above 0 where older ones were dropped.
    """

    path: str
    begins: int
    frames: int
    rows: int
    checkpoints: int
    outputs: int
    dead_letters: int
    damage: str | None
    offset: int | None

    @property
    def ok(self) -> bool:
        """Whether nothing was damaged."""
        return self.damage is None
