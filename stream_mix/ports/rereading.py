"""What a running engine takes of a configuration that was changed, and what waits for its restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Settings

TAKEN = frozenset(
    (
        "engine.log", "engine.log_level",
        "limits.frame_bytes", "limits.rows", "limits.string", "limits.nesting", "limits.memory_bytes",
        "security.clients",
    )
)  # fmt: skip
"""Keys that change nothing of what was learned, recorded or bound."""


def changed(before: Settings, after: Settings) -> tuple[list[str], list[str]]:
    """The keys that differ: those that a running engine takes, and those that it does not.

    >>> from stream_mix.config import Settings
    >>> changed(Settings(), Settings(limits={"rows": 9}, journal={"path": "x"}))
    (['limits.rows'], ['journal.path'])
    """
    old, new = _flat(before), _flat(after)
    keys = [key for key in new if old.get(key) != new[key]] + [key for key in old if key not in new]
    return [key for key in keys if key in TAKEN], [key for key in keys if key not in TAKEN]


def merged(before: Settings, after: Settings, keys: list[str]) -> Settings:
    """The settings before, with these keys as they are after."""
    tree = before.model_dump()
    for key in keys:
        section, name = key.split(".")
        tree[section][name] = after.model_dump()[section][name]
    return type(before)(**tree)


def _flat(settings: Settings) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, keys in settings.model_dump().items():
        if isinstance(keys, dict):
            flat |= {f"{section}.{name}": value for name, value in keys.items()}
        else:
            flat[section] = keys
    return flat
