from __future__ import annotations

from tests.soak.quick import figures


def test_an_acknowledged_row_survives_a_power_cut() -> None:
    assert figures("power")["cuts"] >= 60
