"""A slow subscriber hurts nobody."""

from __future__ import annotations

from pathlib import Path

from tests.soak.keeping import kept


def test_promise(tmp_path: Path) -> None:
    figures = kept("slow", tmp_path)
    assert figures["stopped"] == 3
    assert figures["published"] > 0
