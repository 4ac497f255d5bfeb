"""Strangers stay out."""

from __future__ import annotations

from pathlib import Path

from tests.soak.keeping import kept


def test_promise(tmp_path: Path) -> None:
    figures = kept("strangers", tmp_path)
    assert figures["attempts"] == 36
    assert figures["refused"] >= 9
