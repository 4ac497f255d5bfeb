"""Assignments of many frames at once: what a model says of a group of rows, cut into a message per frame.

Frames of one row cost as much as their messages do, so nothing is made here but the bytes: each column of the
group is turned into bytes once, and a message takes its slice of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import numpy as np

from ..messages import F4, F8, I8, Frame
from .answers import as_bin
from .wire import VERSION

_F4, _I8 = np.dtype("<f4"), np.dtype("<i8")


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
    labels, densities, outliers = as_bin(label, _I8), as_bin(log_density), as_bin(outlier, _F4)
    shares = None if p is None else as_bin(p, _F4)
    wide = 4 * len(components)
    packed = msgpack.Packer().pack
    body: dict[str, Any] = {"kind": "assignment", "v": VERSION, "model": model}
    for i, frame in enumerate(frames):
        first, last = bounds[i], bounds[i + 1]
        message = {
            **body, "source": frame.source, "seq": frame.seq, "offset": offset + first,
            "n": last - first, "generation": generations[i], "components": components,
            "label": labels[8 * first : 8 * last],
        }  # fmt: skip
        if shares is not None:
            message["p"] = shares[wide * first : wide * last]
        message["log_density"] = densities[8 * first : 8 * last]
        message["outlier"] = outliers[4 * first : 4 * last]
        if frame.id is not None:
            message["id"] = frame.id
        if frame.refused:
            message["refused"] = tuple(row for row, _, _ in frame.refused)
        yield packed(message)
