"""Hostile input never stops or slows an engine."""

from __future__ import annotations

from pathlib import Path

from tests.soak.keeping import kept


def test_promise(tmp_path: Path) -> None:
    figures = kept("hostile", tmp_path)
    assert figures["socket_refused"] > 1500
    assert figures["codec_refused"] > 15000
