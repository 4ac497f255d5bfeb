"""One line for people from whatever a settings library found wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

NUMBER = "a number"
"""What the library calls the one of two kinds of value that has bounds; no part of a key."""


class ConfigError(ValueError):
    """A configuration that cannot be used, in one line: file, key, what was found, what was expected."""


# What pydantic calls a failed check -> what was expected; {} names are the check's own bounds.
_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "literal_error": "{expected}",
    "tuple_type": "a list in square brackets",
    "model_type": "a table",
    "model_attributes_type": "a table",
}


def explain(
    error: ValidationError, settings: type[BaseModel], source: str, origins: Mapping[str, str]
) -> ConfigError:
    """Turn the first failed check into one line; ``origins``: keys set by the environment, and the names."""
    found = error.errors(include_url=False)
    if len(found) > 1:  # a list whose entries failed is reported as too short besides
        found = [entry for entry in found if entry["type"] != "too_short"]
    # An unknown key comes first: it is often the reason why another one is missing.
    first = min(found, key=lambda entry: entry["type"] != "extra_forbidden")
    loc = tuple(part for part in first["loc"] if part != NUMBER)
    key = key_path(loc)
    steps = (key_path(loc[: i + 1]) for i in range(len(loc)))
    where = next((f"environment {origins[step]}" for step in steps if step in origins), source)
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return ConfigError(f"{where}: {f'{key}: ' if key else ''}{_sentence(first, settings)}{more}")


def key_path(loc: Iterable[int | str]) -> str:
    """Write a path of keys as a person would.

    >>> key_path(("models", 0, "half_life"))
    'models[0].half_life'
    """
    path = ""
    for part in loc:
        path += f"[{part}]" if isinstance(part, int) else f"{'.' if path else ''}{part}"
    return path


def unknown_key(key: str, loc: tuple[int | str, ...], settings: type[BaseModel]) -> str:
    """Say what an unknown key may have been meant to be."""
    here = list(table_at(settings, loc).model_fields)
    close = difflib.get_close_matches(key, here, n=1, cutoff=0.6)
    if close:
        return f"unknown key, did you mean {close[0]}?"
    elsewhere = {
        leaf: f"{table}.{leaf}"
        for table in settings.model_fields
        for leaf in table_at(settings, (table,)).model_fields
    }
    close = difflib.get_close_matches(key, elsewhere, n=1, cutoff=0.8)
    if close:
        return f"unknown key here, did you mean {elsewhere[close[0]]}?"
    return f"unknown key, expected one of {', '.join(here)}"


def table_at(settings: type[BaseModel], loc: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the record that holds the keys at ``loc``; a list of tables counts as its table."""
    table = settings
    for part in loc:
        if isinstance(part, int):
            continue
        annotation = table.model_fields[part].annotation
        inner = [annotation, *get_args(annotation)]
        table = next(kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel))
    return table


def _sentence(entry: Any, settings: type[BaseModel]) -> str:
    kind, context, loc = entry["type"], entry.get("ctx", {}), entry["loc"]
    if kind == "extra_forbidden":
        return unknown_key(str(loc[-1]), loc[:-1], settings)
    if kind == "rule":
        return str(context["message"])
    if kind == "value_error":
        expected = str(context["error"])
    elif loc == ("models",):
        expected = "one [[models]] table for each model"
    else:
        bounds = {name: f"{it:g}" if isinstance(it, float) else it for name, it in context.items()}
        expected = _EXPECTED.get(kind, entry["msg"]).format(**bounds)
    return f"found {_shown(entry['input'])}, expected {expected}"


def _shown(value: object) -> str:
    """Write a value as TOML has it, shortened.

    >>> _shown("x"), _shown(True), _shown({"a": 1}), _shown([1, 2])
    ("'x'", 'true', 'a table', '[1, 2]')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, BaseModel)):
        return "a table"
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."
