"""What a promise is: a name, a trial of some size, and what its figures must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

Figures: TypeAlias = dict[str, float]
"""What a trial came to, by name: counts, seconds, bytes."""


class BrokenError(RuntimeError):
    """What was promised did not come about, and the trial cannot go on; one line."""


@dataclass(frozen=True)
class Trial:
    """How a trial is run: so much of it, with this seed, in this empty folder; `say` reports on the way."""

    size: int
    seed: int
    folder: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Promise:
    """One promise of the service.

    Attributes:
        number: its place in the table of promises.
        name: what it is called on the command line.
        says: the promise, in one line.
        unit: what its size counts.
        full: the size at which the promise is held to be kept.
        short: the size that the tests run.
        trial: does it, and returns the figures.
        broken: what the figures say was not kept, a line each; none where the promise was kept.
    """

    number: int
    name: str
    says: str
    unit: str
    full: int
    short: int
    trial: Callable[[Trial], Figures]
    broken: Callable[[Figures], list[str]]


def at_most(figures: Figures, limits: dict[str, float]) -> list[str]:
    """Which of the figures are above their limits, a line each; one that is missing or NaN is too."""
    return [
        f"{name} is {figures.get(name, float('nan')):g}, expected at most {limit:g}"
        for name, limit in limits.items()
        if not figures.get(name, float("nan")) <= limit
    ]


def at_least(figures: Figures, limits: dict[str, float]) -> list[str]:
    """Which of the figures are below their limits, a line each; one that is missing or NaN is too."""
    return [
        f"{name} is {figures.get(name, float('nan')):g}, expected at least {limit:g}"
        for name, limit in limits.items()
        if not figures.get(name, float("nan")) >= limit
    ]
