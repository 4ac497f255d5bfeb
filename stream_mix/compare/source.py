"""The rows of a recording, journal or table, with the labels that somebody gave them set aside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stream_mix.ports.journal import JournalReader
from stream_mix.protocol import Frame, show
from stream_mix.recording import RecordingError, read_rows
from stream_mix.recording.blocks import OnRefused
from stream_mix.recording.stored import frames_of, names_of, own_names

Ints = npt.NDArray[np.int64]

_SQLITE = b"SQLite format 3\x00"
NONE = -1
"""The label of a row that has none: an empty cell, or a negative number, which says noise."""


class Piece(NamedTuple):
    """Rows, and a number for each one's label (n,), -1 where it has none."""

    frame: Frame
    truth: Ints


def pieces(
    path: str | os.PathLike[str],
    labels: str | None = None,
    *,
    format: str | None = None,
    time: str | None = None,
    weight: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    limit: int | None = None,
    on_refused: OnRefused | None = None,
) -> Iterator[Piece]:
    """The rows of a journal or a table, at most `limit`, in their order.

    `labels` names the column of a table, or the feature of a journal (`id`: what its rows are called), that
    no model is to see. JournalError and RecordingError as reading raises them.
    """
    known: dict[Any, int] = {}
    name = os.fspath(path)
    if is_journal(name):
        table = {"format": format, "time": time, "weight": weight, "columns": columns, "drop": drop or None}
        if given := [f"--{option}" for option, value in table.items() if value is not None]:
            raise RecordingError(f"{name}: a journal; {', '.join(given)} go with tables")
        found = _of_journal(name, labels, known)
    else:
        found = _of_table(
            name, labels, known, format=format, time=time, weight=weight, columns=columns, drop=drop,
            on_refused=on_refused,
        )  # fmt: skip
    left = limit
    for piece in found:
        if left is not None and piece.frame.n >= left:
            yield Piece(_rows(piece.frame, slice(left)), piece.truth[:left])
            return
        yield piece
        left = None if left is None else left - piece.frame.n


def is_journal(name: str) -> bool:
    """Whether the file is a journal, by its first bytes; one that cannot be read is none."""
    try:
        with open(name, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def _of_table(name: str, labels: str | None, known: dict[Any, int], **how: Any) -> Iterator[Piece]:
    for block in read_rows(name, id=labels, **how):
        frame = Frame(block.x, len(block.x), features=block.features, t=block.t, w=block.w)
        yield Piece(frame, _numbers(block.id if labels else None, len(block.x), known))


def _of_journal(name: str, labels: str | None, known: dict[Any, int]) -> Iterator[Piece]:
    met = labels in (None, "id")
    with JournalReader.open(name) as reader:
        own = own_names(reader)
        for _, frame in frames_of(reader):
            features = names_of(frame, own)
            if labels == "id":
                yield Piece(frame, _numbers(frame.id, frame.n, known))
            elif labels in features:
                met = True
                at = features.index(labels)
                kept = [j for j in range(frame.d) if j != at]
                if not kept:
                    raise RecordingError(f"{name}: no feature is left besides the labels {show(labels)}")
                values = [None if value != value else value for value in frame.x[:, at].tolist()]
                rest = replace(frame, x=frame.x[:, kept], features=tuple(features[j] for j in kept))
                good = ~np.isnan(rest.x).all(axis=1)
                truth = _numbers(values, frame.n, known)
                yield Piece(_rows(rest, good), truth[good])
            else:
                yield Piece(frame, np.full(frame.n, NONE))
    if not met:
        raise RecordingError(f"{name}: no feature {show(labels)}, expected one that holds the labels, or id")


def _rows(frame: Frame, which: Any) -> Frame:
    """Some of the rows of a frame."""
    t, w = (None if column is None else column[which] for column in (frame.t, frame.w))
    x = frame.x[which]
    return replace(frame, x=x, n_sent=len(x), t=t, w=w, id=None, refused=())


def _numbers(values: Sequence[Any] | None, n: int, known: dict[Any, int]) -> Ints:
    """A number for each label (n,), the same for the same one; `known` is a buffer of those met so far."""
    if values is None:
        return np.full(n, NONE)
    return np.array([NONE if _none(value) else known.setdefault(value, len(known)) for value in values])


def _none(value: Any) -> bool:
    if isinstance(value, str):
        try:
            return float(value) < 0
        except ValueError:
            return not value.strip()
    return value is None or value < 0
