"""Every key with its type, default and meaning: what the README's configuration table is made of."""

from __future__ import annotations

import json
from types import NoneType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from stream_mix.config.errors import table_at
from stream_mix.config.settings import Settings

BEGIN, END = "<!-- config:begin -->", "<!-- config:end -->"

_KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false"}
_TYPES = {
    "half_life": 'number or `"auto"`',
    "time_half_life": "number or text",
    "lateness": "number or text",
    "keep_seconds": "number or text",
}


class Key(NamedTuple):
    """One key: its path, its type in words, its default as TOML has it ("" = absent), and what it means."""

    key: str
    type: str
    default: str
    meaning: str


def describe() -> list[Key]:
    """Return all keys in the order of the file.

    >>> describe()[0]
    Key(key='engine.name', type='text', default='"stream_mix"',
        meaning='names this engine in logs, metrics and snapshots')
    """
    keys = []
    for section in Settings.model_fields:
        for name, field in table_at(Settings, (section,)).model_fields.items():
            kind = _TYPES.get(name) or _kind(field.annotation)
            meaning = (field.description or "").strip()
            keys.append(Key(f"{section}.{name}", kind, _default(field.default), meaning))
    return keys


def markdown() -> str:
    """Return the table as Markdown, between the marks that a README carries."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in describe():
        default = f"`{key.default}`" if key.default else "absent"
        rows.append(f"| `{key.key}` | {key.type} | {default} | {key.meaning} |")
    return "\n".join([BEGIN, *rows, END])


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(choice)}`" for choice in arguments)
    if origin is tuple:
        return "list of text"
    if origin is Union and NoneType not in arguments:
        return " or ".join(map(_kind, arguments))
    if NoneType in arguments:
        return _kind(next(kind for kind in arguments if kind is not NoneType))
    if origin is not None and hasattr(annotation, "__metadata__"):
        return _kind(arguments[0])
    return _KINDS[annotation]


def _default(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(list(value) if isinstance(value, tuple) else value)
