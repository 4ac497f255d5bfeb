"""Promise 1: an acknowledged row survives the death of the process."""

from __future__ import annotations

from .cycles import counted
from .promise import Figures, Promise, Trial, at_least, at_most

LEAST_ROWS = 1000
"""Rows to each kill: a thousand kills see a million."""


def trial(trial: Trial) -> Figures:
    """Kill -9 under load, at random moments; the producer keeps its own account of what was acknowledged."""
    figures = counted(trial, compare=False)
    return {**figures, "rows_a_kill": figures["rows"] / trial.size}


def broken(figures: Figures) -> list[str]:
    """Nothing acknowledged is lost, applied twice or changed. When the first ack comes is printed only."""
    return [
        *at_most(figures, {"lost": 0, "twice": 0, "other": 0}),
        *at_least(figures, {"rows_a_kill": LEAST_ROWS}),
    ]


PROMISE = Promise(
    1, "death", "an acknowledged row survives the process's death", "kills", 1000, 3, trial, broken
)
