"""No number turns bad."""

from __future__ import annotations

from pathlib import Path

from tests.soak.keeping import kept


def test_promise(tmp_path: Path) -> None:
    figures = kept("numbers", tmp_path)
    assert figures["rows"] >= 20_000
    assert figures["streams"] == 10
