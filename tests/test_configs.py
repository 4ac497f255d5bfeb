"""Every file of configs/ loads, is described beside it, and keeps to this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_mix.config import load

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
FILES = sorted(CONFIGS.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_loads(path: Path) -> None:
    settings = load(path, {})
    assert not settings.security.allow_insecure
    # Started one after another in one folder, no engine resumes another's journal.
    assert settings.journal.path == f"{path.stem}.journal"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_is_described(path: Path) -> None:
    assert f"**{path.name}**" in (CONFIGS / "README.md").read_text()
    assert f"stream-mix run configs/{path.name}" in path.read_text()
