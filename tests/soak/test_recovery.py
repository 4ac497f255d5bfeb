from __future__ import annotations

from tests.soak.quick import figures


def test_recovery_is_quick() -> None:
    found = figures("recovery")
    assert found["rows"] >= 200_000
    assert found["slowest ready"] < 5.0 + found["interval"]
