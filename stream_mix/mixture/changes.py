"""What happens to components, and how they keep their ids through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array, Ints

_SAME = 1.0 / 3.0
"""A component is still itself if of all rows that were its own, or are, this share was and is."""


@dataclass(frozen=True)
class Change:
    """Something that happened to a component, or (component -1) to the whole model, before the row at
    `offset`."""

    kind: str
    component: int
    parents: tuple[int, ...]
    offset: int


@dataclass(frozen=True)
class Renamed:
    """A new mixture under the ids of the one before: `order` is which of its components each of the
    `components` is, `named` how many ids were given so far."""

    components: tuple[int, ...]
    order: tuple[int, ...]
    named: int
    changes: tuple[Change, ...]


def shared_rows(before: Ints, after: Ints, w: Array, shape: tuple[int, int]) -> Array:
    """What rows count, weights w (n,), by whose they were before (n,) and whose they are after (n,): a table
    of `shape` (k before, k after)."""
    rows = np.zeros(shape)
    np.add.at(rows, (before, after), w)
    return rows


def renamed(components: tuple[int, ...], named: int, rows: Array, offset: int) -> Renamed:
    """The ids of a new mixture, by whose rows its components took over.

    `rows` (k before, k after) counts the rows that a component had before and another has now. One that kept
    most of its rows keeps its id; every other is new, split from the one that had most of its rows. An old
    one that went is merged into the component that has half of its rows, or has died.
    """
    kept = _kept(rows)
    home = {new: old for old, new in kept.items()}
    free = [new for new in range(rows.shape[1]) if new not in home]
    ids: dict[int, int] = {new: components[old] for new, old in home.items()}
    ids |= {new: named + i for i, new in enumerate(free)}
    changes = [_arrival(ids[new], components, rows[:, new], offset) for new in free]
    for old in range(len(components)):
        if old not in kept:
            changes.append(_departure(components[old], ids, rows[old], offset))
    if rows.shape[0] == rows.shape[1]:
        others = iter(free)
        order = [kept[old] if old in kept else next(others) for old in range(len(components))]
    else:
        order = [kept[old] for old in sorted(kept)] + free
    return Renamed(tuple(ids[new] for new in order), tuple(order), named + len(free), tuple(changes))


def _kept(rows: Array) -> dict[int, int]:
    """Old components that stay themselves, each with the new one that it is; the surest first."""
    either = rows.sum(axis=1)[:, None] + rows.sum(axis=0) - rows
    alike = rows / np.where(either > 0.0, either, 1.0)
    kept: dict[int, int] = {}
    for at in np.argsort(-alike, axis=None, kind="stable"):
        old, new = (int(i) for i in np.unravel_index(at, alike.shape))
        if alike[old, new] < _SAME:
            break
        if old not in kept and new not in kept.values():
            kept[old] = new
    return kept


def _arrival(component: int, components: tuple[int, ...], rows: Array, offset: int) -> Change:
    """How a component came that was not there before; `rows` (k before,) is whose rows it has."""
    if not rows.any():
        return Change("born", component, (), offset)
    return Change("split", component, (components[int(rows.argmax())],), offset)


def _departure(component: int, ids: dict[int, int], rows: Array, offset: int) -> Change:
    """What became of a component that is no more; `rows` (k after,) is who has its rows."""
    heir = int(rows.argmax())
    if 2.0 * rows[heir] > rows.sum():
        return Change("merged", ids[heir], (ids[heir], component), offset)
    return Change("died", component, (), offset)
