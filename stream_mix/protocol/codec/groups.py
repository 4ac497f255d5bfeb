"""Assignments of many frames at once: what a model says of a group of rows, cut into a message per frame.

Frames of one row cost as much as their messages do, so nothing is made here but the bytes: each column of the
group is turned into bytes once, and a message takes its slice of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import numpy as np

from ...mixture.kernels import columns
from ..messages import F4, F8, I8, Frame
from .answers import as_bin
from .wire import VERSION

_F8, _F4, _I8 = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i8")


def encode_assignments(
    model: str,
    offset: int,
    frames: Sequence[Frame],
    bounds: Sequence[int],
    generations: Sequence[int],
    components: tuple[int, ...],
    label: I8,
    p: F4 | None,
    log_density: F8,
    outlier: F4,
) -> Iterator[bytes]:
    """Yield the map of each frame's assignment, the same bytes as `encode_published` gives for it.

    Frame i has rows bounds[i] to bounds[i + 1] of the group, whose first row is row `offset` of the stream,
    and was judged by generation generations[i]; label, log_density and outlier are (n,), p is (n, k).
    """
    together = columns(label, p, log_density, outlier)
    if together is None:
        together = _Columns(label, p, log_density, outlier)
    packed = msgpack.Packer().pack
    body: dict[str, Any] = {"kind": "assignment", "v": VERSION, "model": model}
    fields = len(body) + 9 + (p is not None)
    for i, frame in enumerate(frames):
        first, last = bounds[i], bounds[i + 1]
        head = packed({
            **body, "source": frame.source, "seq": frame.seq, "offset": offset + first,
            "n": last - first, "generation": generations[i], "components": components,
        })  # fmt: skip
        rest: dict[str, Any] = {}
        if frame.id is not None:
            rest["id"] = frame.id
        if frame.refused:
            rest["refused"] = tuple(row for row, _, _ in frame.refused)
        # A map of up to 15 keys begins with one byte that counts them.
        head = bytes((0x80 | fields + len(rest),)) + head[1:]
        yield together.message(head, first, last, packed(rest)[1:] if rest else b"")


class _Columns:
    """`kernels.columns` in Python."""

    def __init__(self, label: I8, p: F4 | None, log_density: F8, outlier: F4) -> None:
        wide = 0 if p is None else 4 * p.shape[1]
        found = (
            ("label", label, _I8, 8), ("p", p, _F4, wide), ("log_density", log_density, _F8, 8),
            ("outlier", outlier, _F4, 4),
        )  # fmt: skip
        self._columns = [(name, as_bin(a, dtype), width) for name, a, dtype, width in found if a is not None]

    def message(self, head: bytes, first: int, last: int, tail: bytes) -> bytes:
        """`head`, the columns of rows first <= i < last, and `tail`."""
        columns = {name: data[width * first : width * last] for name, data, width in self._columns}
        packed: bytes = msgpack.packb(columns)
        return b"".join((head, packed[1:], tail))
