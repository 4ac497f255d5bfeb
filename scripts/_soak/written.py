"""What trials write into a journal, and how they tell what they read from what they wrote."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from stream_mix.ports.journal import Journal, JournalFrame, JournalReader, Output

ROWS = 3


def frame(i: int, big: bool = True) -> JournalFrame:
    """The i-th frame: its number says all of it."""
    size = (i * 7919) % (60_000 if big and i % 11 == 0 else 3000)
    raw = (b"%d," % i * (1 + size // 3))[: 1 + size]
    return JournalFrame(i, ROWS * i, ROWS, f"s{i % 3}", i // 3, float(i), None, None, raw)


def output(i: int) -> Output:
    """What was published of it."""
    return Output(i, "m", i, np.full(ROWS, i % 5, np.int32), np.full(ROWS, i, np.float32))


def blob(offset: int) -> bytes:
    """The checkpoint there."""
    return b"state at %d" % offset * (1 + offset % 800)


def group(journal: Journal, rng: random.Random, big: bool = True) -> int:
    """Hand in one group, as an engine does; returns the frames that there are once it is committed."""
    first, count = journal.next_id, rng.choice((1, 1, 2, 5, 20))
    journal.append([frame(i, big) for i in range(first, first + count)])
    journal.outputs([output(first)])
    if rng.random() < 0.3:
        journal.checkpoint(journal.next_offset, blob(journal.next_offset))
    if rng.random() < 0.1:
        journal.dead_letter(float(first), "s", "crc", f"letter {first}", b"%d" % first)
    return journal.next_id


def wrong(reader: JournalReader, big: bool = True) -> Iterator[str]:
    """What a journal holds that nobody wrote, and what is missing between its first and last record."""
    end = reader.end()
    expected = end.first_frame
    for got in reader.frames():
        if got != frame(expected, big):
            yield f"frame {expected} is another"
        expected += 1
    if expected != end.frames or end.rows != ROWS * end.frames:
        yield f"{end.frames} frames of {ROWS} rows were promised, {expected} and {end.rows} rows found"
    for found in reader.outputs():
        wanted = output(found.frame)
        if found[:3] != wanted[:3] or found.labels.tobytes() != wanted.labels.tobytes():
            yield f"the output of frame {found.frame} is another"
    for checkpoint in reader.checkpoints():
        if checkpoint.blob != blob(checkpoint.offset) or not 0 <= checkpoint.offset <= end.rows:
            yield f"the checkpoint at {checkpoint.offset} is another"
    for letter in reader.dead_letters():
        if letter.reason != f"letter {int(letter.received)}":
            yield f"dead letter {letter.id} is another"
