"""Columns by name: which feature of a frame goes where, and which frames do not fit."""

from __future__ import annotations

import numpy as np

from ..protocol import Frame, ProtocolError
from .events import Array
from .state import Plan


def admitted(plan: Plan, known: tuple[str, ...], frame: Frame) -> tuple[str, ...]:
    """The features after a frame: those known and, where they are learned from the stream, its new ones
    behind them.

    A frame without names takes the known features, or names its columns f0, f1, ... where none is known yet.
    Raises ProtocolError: shape (another number of columns), value (a name that is not among the fixed ones),
    limit (more than a stream may bring, or more cells than a frame may have: a row of one feature becomes one
    of all that are known).
    """
    named = frame.features
    if named == known:
        return known
    if named is None:
        if known and frame.d != len(known):
            raise ProtocolError(
                "shape", f"d: expected {len(known)} columns, as many as known features, got {frame.d}"
            )
        named = known or tuple(f"f{j}" for j in range(frame.d))
    have = set(known)
    fresh = tuple(name for name in named if name not in have)
    if fresh and plan.features:
        raise ProtocolError(
            "value",
            f"features: {fresh[0]!a} is not one of the {len(known)} that the configuration fixes"[:200],
        )
    if len(known) + len(fresh) > plan.max_features:
        raise ProtocolError(
            "limit",
            f"features: {len(known)} known and {len(fresh)} new, expected at most {plan.max_features}",
        )
    wide = len(known) + len(fresh)
    if frame.d < wide and frame.n * wide > plan.max_cells:
        raise ProtocolError(
            "limit", f"{frame.n} rows of {wide} known features: expected at most {plan.max_cells} cells"
        )
    return known + fresh if fresh else known


def aligned(known: tuple[str, ...], frame: Frame, index: dict[tuple[str, ...], list[int]]) -> Array:
    """The rows of an admitted frame (n, d) in columns of the known features, NaN for those that it does not
    have.

    `index` is a buffer of the caller's that remembers the columns of each set of names.
    """
    named = frame.features
    if named is None or named == known:
        return frame.x
    columns = index.get(named)
    if columns is None:
        place = {name: j for j, name in enumerate(known)}
        columns = index[named] = [place[name] for name in named]
    x = np.full((frame.n, len(known)), np.nan)
    x[:, columns] = frame.x
    return x
