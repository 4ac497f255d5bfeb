"""One configuration over another."""

from __future__ import annotations

from typing import Any


def overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Tables of plain values with others laid over them, table by table.

    >>> overlay({"engine": {"name": "a", "log": "text"}}, {"engine": {"name": "b"}})
    {'engine': {'name': 'b', 'log': 'text'}}
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
