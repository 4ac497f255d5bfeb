"""The short form of a promise, as `scripts/soak --quick NAME` runs it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def kept(name: str, folder: Path) -> dict[str, float]:
    """The figures of a promise at its short size; fails where it was not kept."""
    if str(SCRIPTS) not in sys.path:
        sys.path.insert(0, str(SCRIPTS))
    promise = importlib.import_module(f"_soak.{name}").PROMISE
    trial = importlib.import_module("_soak.promise").Trial
    figures: dict[str, float] = promise.trial(trial(promise.short, 0, folder, print))
    assert not promise.broken(figures), (promise.broken(figures), figures)
    return figures
