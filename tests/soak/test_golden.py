from __future__ import annotations

from tests.soak.quick import figures


def test_files_of_every_format_open() -> None:
    assert figures("golden")["journals"] >= 4
