"""Settings from the environment: ``STREAM_MIX_ENGINE__NAME`` is ``name`` of ``[engine]``.

Imported only where a variable of ours is set: pydantic-settings, which reads them, would be a fifth of the
time in which an engine starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from stream_mix.config.errors import ConfigError, table_at, unknown_key
from stream_mix.config.overlay import overlay
from stream_mix.config.settings import PREFIX, Settings


class _Table(Settings, BaseSettings):  # type: ignore[misc]  # both give it options: theirs and ours go together
    """The same settings as pydantic-settings takes them."""


class _Environment(EnvSettingsSource):
    """The environment as an argument: pydantic-settings would read the process's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name.lower(): value for name, value in environ.items()}
        super().__init__(_Table, env_prefix=PREFIX, env_nested_delimiter="__")

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environ


def read(environ: Mapping[str, str], origins: dict[str, str]) -> dict[str, Any]:
    """Collect what the environment sets; ``origins`` learns which variable set which key. Raises ConfigError.

    A name with the prefix that has no ``__`` and is no section is not ours to judge.
    """
    tables: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.upper().startswith(PREFIX):
            continue
        key = name[len(PREFIX) :].lower().replace("__", ".")
        section, dot, _ = key.partition(".")
        if section not in Settings.model_fields:
            if dot:
                raise ConfigError(f"environment {name}: {section}: {unknown_key(section, (), Settings)}")
            continue
        if section == "models" and dot:
            raise ConfigError(
                f"environment {name}: a key of a model cannot be set in the environment, expected it in the"
                f" file (or all models as JSON in {PREFIX}MODELS)"
            )
        origins[key] = name
        try:
            found = _Environment({name: value})()
        except SettingsError:
            raise ConfigError(f"environment {name}: {key}: found {value!r}, expected JSON") from None
        tables = overlay(tables, {section: _typed(section, table) for section, table in found.items()})
    return tables


def _typed(section: str, table: Any) -> Any:
    """Read text as the number or truth value that its key takes; text that is none stays, and is refused."""
    if not isinstance(table, dict):
        return table
    fields = table_at(Settings, (section,)).model_fields
    result = dict(table)
    for key, value in table.items():
        kind = fields[key].annotation if key in fields else None
        if isinstance(value, str) and kind in (int, float, bool):
            try:
                result[key] = TypeAdapter[Any](kind).validate_python(value)
            except ValidationError:
                continue
    return result
