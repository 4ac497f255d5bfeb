"""Which rows of a frame are fit to learn from: one vectorised judgement for every form of frame."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import Code, ProtocolError
from ..limits import VALUE_MAX, Limits
from ..messages import F8, Frame, Refused, RowId

Fault = tuple[Code, str]

BAD_X: Fault = ("value", "x: expected numbers of magnitude at most 1e+100, or NaN for a missing one")
NO_X: Fault = ("value", "x: expected at least one value, got none")
BAD_T: Fault = ("value", "t: expected a finite time of magnitude at most 1e+100")
BAD_W: Fault = ("value", "w: expected a weight above 0 and at most 1e+100")
BAD_ID: Fault = ("type", "id: expected a string or an integer")


def within(a: F8) -> bool:
    """Return whether all of a non-empty array lies in [-1e100, 1e100], so that none of it is NaN.

    >>> within(np.array([1.0, -2.0])), within(np.array([1.0, np.nan])), within(np.array([np.inf]))
    (True, False, False)
    """
    return bool(a.min() >= -VALUE_MAX and a.max() <= VALUE_MAX)


def judge(
    x: F8, t: F8 | None, w: F8 | None, bad_id: npt.NDArray[np.bool_] | None = None
) -> tuple[F8, list[Refused]]:
    """Return x with every NaN made the same quiet one, and the rows to refuse, each with its first fault.

    x is (n, d), t and w are (n,); the order of the faults is x, no value, t, w, id.
    """
    nan = np.isnan(x)
    if nan.any():
        # A signalling NaN from outside would raise floating-point warnings wherever it is used.
        x = np.where(nan, np.nan, x)
    in_range = nan | (np.abs(x) <= VALUE_MAX)
    empty = np.ascontiguousarray(nan.T).all(axis=0)  # whole columns at a time
    verdict = np.zeros(len(x), np.int8)
    faults = (BAD_X, NO_X, BAD_T, BAD_W, BAD_ID)
    if bad_id is not None:
        verdict[bad_id] = 5
    if w is not None:
        verdict[~((w > 0) & (w <= VALUE_MAX))] = 4
    if t is not None:
        verdict[~(np.abs(t) <= VALUE_MAX)] = 3
    verdict[empty] = 2
    if not in_range.all():
        verdict[~in_range.all(axis=1)] = 1
    if not verdict.any():
        return x, []
    refused: list[Refused] = []
    for number, (code, reason) in enumerate(faults, 1):
        rows = np.flatnonzero(verdict == number)
        refused += map(Refused, rows.tolist(), repeat(code), repeat(reason))
    refused.sort()
    return x, refused


def keep_good(frame: Frame, bad_id: npt.NDArray[np.bool_] | None = None) -> Frame:
    """Return the frame without the rows that are not fit to learn from, each listed in `refused`.

    Raises ProtocolError("value") where no row is left.
    """
    with np.errstate(invalid="ignore"):  # comparisons of a signalling NaN
        x, refused = judge(frame.x, frame.t, frame.w, bad_id)
    if not refused:
        return _with(frame, x, None, ())
    if len(refused) == len(x):
        raise none_left(refused)
    keep = np.ones(len(x), bool)
    keep[[row for row, _, _ in refused]] = False
    return _with(frame, x[keep], keep, tuple(refused))


def none_left(refused: list[Refused]) -> ProtocolError:
    """Return the error for a frame of which no row is good."""
    first = refused[0]
    return ProtocolError("value", f"no good row of {len(refused)}; row {first.row}: {first.reason}")


def _with(frame: Frame, x: F8, keep: npt.NDArray[np.bool_] | None, refused: tuple[Refused, ...]) -> Frame:
    ids = frame.id
    if ids is not None and keep is not None:
        ids = tuple(item for item, good in zip(ids, keep.tolist(), strict=True) if good)
    t, w = (a if a is None or keep is None else a[keep] for a in (frame.t, frame.w))
    return Frame(x, frame.n_sent, frame.source, frame.seq, frame.features, t, w, ids, refused)


def check_cells(n: int, d: int, limits: Limits) -> None:
    """Raise ProtocolError("limit") where (n, d) has more features or cells than the limits allow."""
    if d > limits.features:
        raise ProtocolError("limit", f"features: expected at most {limits.features}, got {d}")
    if n * d > limits.cells:
        raise ProtocolError("limit", f"{n} rows of {d} features: expected at most {limits.cells} cells")


def row_ids(value: list[Any]) -> tuple[tuple[RowId, ...], npt.NDArray[np.bool_] | None]:
    """Return the ids of n rows and, where some are neither str nor int, an (n,) mask of those."""
    if {str, int}.issuperset(map(type, value)):
        return tuple(value), None
    return tuple(value), np.array([type(item) is not str and type(item) is not int for item in value])
