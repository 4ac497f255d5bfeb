"""How late a row may come, in event time: a bound that depends on the rows and their order alone.

A row is late when its event time is more than `lateness` seconds before the newest one among all rows before
it. Late rows never move the newest time, so it does not matter how rows are grouped, nor whether those that
were left out are seen again: a replay decides alike. A row without an event time is never late. One from the
far future makes late all that follow it, which their number shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .arrays import Array, Bools
from .rows import Rows

if TYPE_CHECKING:
    from .model import Model


def check_lateness(seconds: object) -> float:
    """The bound as a float. Raises ValueError where it is no finite number of seconds >= 0."""
    number = isinstance(seconds, (int, float, np.number)) and not isinstance(seconds, bool)
    if not (number and 0.0 <= float(seconds) < math.inf):  # type: ignore[arg-type]  # a number, by the line above
        raise ValueError(f"lateness is {seconds!r}, expected a finite number of seconds >= 0")
    return float(seconds)  # type: ignore[arg-type]  # a number, by the lines above


def late(t: Array, newest: float, lateness: float) -> Bools:
    """Which rows with event times t (n,), NaN for none, are late after rows whose newest time was `newest`.

    >>> late(np.array([10.0, 4.0, np.nan, 12.0, 6.0]), math.nan, 5.0).tolist()
    [False, True, False, False, True]
    """
    before = np.fmax.accumulate(np.concatenate(([newest], t)))[:-1]
    behind: Bools = t < before - lateness  # false where either is NaN
    return behind


def newest(model: Model) -> float:
    """The newest event time that a model has taken, those of waiting rows included; NaN before any."""
    return model.pending.newest(model.t)


def on_time(model: Model, rows: Rows) -> tuple[Model, Rows]:
    """The rows that are not late, and the model with the others counted."""
    assert model.spec.lateness is not None
    out = late(rows.t, newest(model), model.spec.lateness)
    if not out.any():
        return model, rows
    return replace(model, late=model.late + int(out.sum())), Rows(rows.x[~out], rows.w[~out], rows.t[~out])


def stretches(out: Bools) -> Iterator[tuple[slice, bool]]:
    """The rows cut where those that are late (n,) begin and end, and whether they are.

    >>> list(stretches(np.array([False, True, True])))
    [(slice(0, 1, None), False), (slice(1, 3, None), True)]
    """
    edges = [0, *(np.flatnonzero(out[1:] != out[:-1]) + 1).tolist(), len(out)]
    for start, stop in pairwise(edges):
        if stop > start:
            yield slice(start, stop), bool(out[start])
