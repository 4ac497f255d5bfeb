from __future__ import annotations

from tests.soak.quick import figures


def test_clocks_may_jump() -> None:
    assert figures("clocks")["jumps"] >= 20
