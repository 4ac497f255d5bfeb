"""Frames and rows out of a journal."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from stream_mix.ports.journal import JournalError, JournalFrame, JournalReader
from stream_mix.protocol import Frame, Limits, ProtocolError, decode_frame

JOURNAL_LIMITS: Final = Limits(
    frame_bytes=1 << 32, rows=1 << 28, features=1 << 20, cells=1 << 32, string=1 << 20
)
"""For frames that an engine, with whatever limits it had, has already accepted."""


class StoredRow(NamedTuple):
    """One row: offset, features without the missing ones, event time, weight and id (None if it has none)."""

    offset: int
    x: dict[str, float]
    t: float | None
    w: float | None
    id: str | int | None


def iter_frames(
    path: str | os.PathLike[str],
    start: int | None = None,
    stop: int | None = None,
    since: float | None = None,
    until: float | None = None,
    source: str | None = None,
    *,
    last: float | None = None,
    clock: str = "received",
) -> Iterator[tuple[int, Frame]]:
    """(offset of its first row, frame) for the rows at offsets start <= offset < stop of a journal.

    Frames at the ends are cut to the range (their `refused` is then empty); times, `last` seconds and source
    choose whole frames, as `JournalReader.frames` says. JournalError names the offset of what cannot be read.
    """
    with JournalReader.open(path) as reader:
        yield from frames_of(reader, start, stop, since, until, source, last=last, clock=clock)


def frames_of(
    reader: JournalReader,
    start: int | None = None,
    stop: int | None = None,
    since: float | None = None,
    until: float | None = None,
    source: str | None = None,
    *,
    last: float | None = None,
    clock: str = "received",
) -> Iterator[tuple[int, Frame]]:
    """The same from an open reader."""
    first = start or 0
    found = reader.frames(start, stop, since=since, until=until, source=source, last=last, clock=clock)
    for stored in found:
        frame = decode_stored(stored, reader.path)
        low = max(first - stored.offset, 0)
        high = stored.n if stop is None else min(stop - stored.offset, stored.n)
        yield stored.offset + low, frame if (low, high) == (0, stored.n) else cut(frame, low, high)


def decode_stored(stored: JournalFrame, path: str) -> Frame:
    """The frame in a journal's record; JournalError where it is not what the record says."""
    try:
        frame = decode_frame(stored.raw, JOURNAL_LIMITS)
    except ProtocolError as error:
        raise JournalError(path, f"frame {stored.id} cannot be decoded: {error}", stored.offset) from None
    if len(frame.x) != stored.n:
        said = f"frame {stored.id} has {len(frame.x)} good rows, {stored.n} were recorded"
        raise JournalError(path, said, stored.offset)
    return frame


def cut(frame: Frame, low: int, high: int) -> Frame:
    """The frame with only its accepted rows low to high - 1."""
    return replace(
        frame,
        x=frame.x[low:high],
        n_sent=high - low,
        t=None if frame.t is None else frame.t[low:high],
        w=None if frame.w is None else frame.w[low:high],
        id=None if frame.id is None else frame.id[low:high],
        refused=(),
    )


def iter_rows(
    path: str | os.PathLike[str],
    start: int | None = None,
    stop: int | None = None,
    since: float | None = None,
    until: float | None = None,
    source: str | None = None,
    *,
    last: float | None = None,
    clock: str = "received",
) -> Iterator[StoredRow]:
    """(offset, features, t, w, id) of each row of a journal, chosen as by `iter_frames`.

    Missing features are left out. The names of features that were sent by position are the journal's own
    ("features" in its description, a JSON array) or x0, x1, ...
    """
    with JournalReader.open(path) as reader:
        known = own_names(reader)
        for offset, frame in frames_of(reader, start, stop, since, until, source, last=last, clock=clock):
            names = names_of(frame, known)
            t = [None] * frame.n if frame.t is None else frame.t.tolist()
            w = [None] * frame.n if frame.w is None else frame.w.tolist()
            ids = frame.id or [None] * frame.n
            whole = not np.isnan(frame.x).any()
            for k, values in enumerate(frame.x.tolist()):
                x = dict(zip(names, values, strict=True))
                if not whole:
                    x = {name: value for name, value in x.items() if value == value}
                yield StoredRow(offset + k, x, t[k], w[k], ids[k])


def own_names(reader: JournalReader) -> tuple[str, ...]:
    """The feature names in the journal's description, or none."""
    try:
        names = json.loads(reader.meta.get("features", "[]"))
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def names_of(frame: Frame, known: Sequence[str]) -> tuple[str, ...]:
    """The names of a frame's d columns."""
    if frame.features is not None:
        return frame.features
    return tuple(known[j] if j < len(known) else f"x{j}" for j in range(frame.d))
