"""The promises of acknowledged ingest, at a size that a test has time for; scripts/soak has the full one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.mark.parametrize("promise", ["death", "once", "resends", "stopping"])
def test_is_kept(promise: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "_soak", promise, "--quick", "--json"],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["promise"], found["broken"]) == (promise, [])


def test_the_trials_find_what_is_broken() -> None:
    """Figures of an engine that loses, doubles or hurries past rows are no kept promise."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from _soak import death, once, resends, stopping  # type: ignore[import-not-found]  # a script's package
    finally:
        sys.path.remove(str(SCRIPTS))
    good = {"lost": 0.0, "twice": 0.0, "other": 0.0, "unequal": 0.0, "rows_a_kill": 2e3}
    assert death.broken(good) == once.broken(good) == []
    assert death.broken({**good, "lost": 1.0}) == ["lost is 1, expected at most 0"]
    assert once.broken({**good, "unequal": 1.0}) == ["unequal is 1, expected at most 0"]
    clean = {**good, "unclean": 0.0, "unlearned": 0.0, "slowest": 0.5}
    assert stopping.broken(clean) == []
    assert stopping.broken({**clean, "slowest": 2.5}) == ["slowest is 2.5, expected at most 2"]
    none = dict.fromkeys(("gaps", "double", "other", "unequal", "exit_code"), 0.0)
    steady = {**none, "frames": 100.0, "resets": 1.0, "resets_wanted": 0.8, "duplicates": 10.0}
    assert resends.broken(steady) == []
    assert resends.broken({**steady, "double": 3.0}) == ["double is 3, expected at most 0"]
