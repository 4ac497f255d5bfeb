from __future__ import annotations

from tests.soak.quick import figures


def test_damage_is_refused_or_leaves_a_prefix() -> None:
    assert figures("damage")["mutations"] >= 200
