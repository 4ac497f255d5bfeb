"""Who sent how much: marks of the sources that number their frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..protocol import Frame
from .state import MARKS, Mark


def marks_after(before: Mapping[str, Mark], run: Sequence[Frame]) -> tuple[dict[str, Mark], int, int]:
    """The marks after a run of frames, with the frames left out and those that came again."""
    marks = dict(before)
    gaps = duplicates = 0
    for source, seqs in _by_source(run):
        mark = marks.pop(source, Mark())
        marks[source] = after = mark.heard(*seqs)
        gaps += after.gaps - mark.gaps
        duplicates += after.duplicates - mark.duplicates
        if len(marks) > MARKS:
            del marks[next(iter(marks))]
    return marks, gaps, duplicates


def _by_source(run: Sequence[Frame]) -> Iterator[tuple[str, list[int]]]:
    """Numbered frames in stretches of one source."""
    source: str | None = None
    seqs: list[int] = []
    for frame in run:
        if frame.source is None or frame.seq is None:
            continue
        if frame.source != source:
            if source is not None:
                yield source, seqs
            source, seqs = frame.source, []
        seqs.append(frame.seq)
    if source is not None:
        yield source, seqs
