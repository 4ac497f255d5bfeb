"""A journal from a table of rows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from stream_mix.ports.journal import Journal, JournalFrame
from stream_mix.protocol import DEFAULT_LIMITS, Limits, ProtocolError, encode_points
from stream_mix.recording.blocks import Block, OnRefused, RecordingError, Refusal
from stream_mix.recording.tables import read_rows

_COMMIT_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What came in: rows and frames journalled, rows refused, and the journal's offset after them."""

    rows: int
    frames: int
    refused: int
    offset: int


def import_rows(
    file: str | os.PathLike[str],
    journal: str | os.PathLike[str],
    format: str | None = None,
    *,
    time: str | None = None,
    weight: str | None = None,
    id: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    source: str | None = None,
    block: int = 1024,
    limits: Limits = DEFAULT_LIMITS,
    durability: str = "fsync",
    now: Callable[[], float] = time.time,
    on_refused: OnRefused | None = None,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Append the rows of a table (as `read_rows` reads it) to a journal, in frames of at most `block` rows.

    A frame counts as received at its latest event time, or `now()` where its rows have none. `progress` is
    told the rows so far. RecordingError and JournalError as reading and writing raise them; what was
    committed stays.
    """
    refused = 0

    def count(refusal: Refusal) -> None:
        nonlocal refused
        refused += 1
        if on_refused is not None:
            on_refused(refusal)

    blocks = read_rows(
        file,
        format,
        time=time,
        weight=weight,
        id=id,
        columns=columns,
        drop=drop,
        block=block,
        on_refused=count,
    )
    # Read first: a table that is none leaves no journal behind.
    head = list(islice(blocks, 1))
    with Journal.open(journal, durability=durability) as out:
        first_id, first_offset, size = out.next_id, out.next_offset, 0
        for part in chain(head, blocks):
            for piece, raw in _encoded(os.fspath(file), part, source, limits):
                t_min, t_max = (
                    (None, None) if piece.t is None else (float(piece.t.min()), float(piece.t.max()))
                )
                received = now() if t_max is None else t_max
                frame = JournalFrame(
                    out.next_id, out.next_offset, len(piece.x), source, None, received, t_min, t_max, raw
                )
                out.append([frame])
                size += len(raw)
            if size >= _COMMIT_BYTES:
                out.commit()
                size = 0
            if progress is not None:
                progress(out.next_offset - first_offset)
        out.commit()
        return Imported(out.next_offset - first_offset, out.next_id - first_id, refused, out.next_offset)


def _encoded(file: str, block: Block, source: str | None, limits: Limits) -> Iterator[tuple[Block, bytes]]:
    """The block as one frame, or as halves of it where it is too large for the limits."""
    try:
        raw = encode_points(
            block.x, source=source, t=block.t, w=block.w, id=block.id, features=block.features, limits=limits
        )
    except ProtocolError as error:
        n = len(block.x)
        if error.code not in ("limit", "too_large") or n == 1:
            raise RecordingError(f"{file}: a row cannot be journalled: {error}") from None
        for part in (slice(0, n // 2), slice(n // 2, n)):
            half = Block(
                block.features,
                block.x[part],
                None if block.t is None else block.t[part],
                None if block.w is None else block.w[part],
                None if block.id is None else block.id[part],
            )
            yield from _encoded(file, half, source, limits)
        return
    yield block, raw
