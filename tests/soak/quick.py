"""A promise at its short size, as `scripts/soak NAME --quick` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def figures(name: str, size: int | None = None) -> dict[str, float]:
    """The figures of a promise that was kept; fails with what was said where it was not."""
    how = ["--size", str(size)] if size else ["--quick"]
    command = [sys.executable, "-m", "_soak", name, "--json", *how]
    path = os.pathsep.join([str(ROOT / "scripts"), str(ROOT)])
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads(done.stdout)
    assert record["broken"] == []
    found: dict[str, float] = record["figures"]
    return found
