"""Promise 3: each row changes the model exactly once, whatever happened in between."""

from __future__ import annotations

from .cycles import counted
from .promise import Figures, Promise, Trial, at_most


def trial(trial: Trial) -> Figures:
    """After every kill -9 under load: what recovery leads to, beside a clean replay of the journal."""
    return counted(trial, compare=True)


def broken(figures: Figures) -> list[str]:
    """The same to the last bit, marks included, after every kill."""
    return at_most(figures, {"unequal": 0, "lost": 0, "twice": 0, "other": 0})


PROMISE = Promise(3, "once", "each row changes the model exactly once", "kills", 1000, 2, trial, broken)
