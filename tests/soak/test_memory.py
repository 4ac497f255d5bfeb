"""Memory is bounded."""

from __future__ import annotations

from pathlib import Path

from tests.soak.keeping import kept


def test_promise(tmp_path: Path) -> None:
    figures = kept("memory", tmp_path)
    assert figures["peers"] == 50
    assert figures["growth_mb"] < 60
