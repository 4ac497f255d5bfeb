from __future__ import annotations

from tests.soak.quick import figures


def test_a_failing_disk_loses_nothing_and_is_seen() -> None:
    assert figures("disk")["n"] >= 12
