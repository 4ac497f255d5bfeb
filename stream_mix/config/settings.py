"""All settings of an engine in one frozen record, read from a TOML file and the environment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from stream_mix.config.errors import ConfigError, explain, table_at, unknown_key
from stream_mix.config.sections import (
    Engine,
    FrameLimits,
    Ingest,
    Journal,
    Metrics,
    Model,
    Publish,
    Query,
    Security,
    check_endpoints,
    rule,
)

PREFIX = "STREAM_MIX_"


class Settings(BaseSettings):
    """The settings of one engine. ``Settings()`` has every default; ``load`` reads file and environment.

    >>> settings = Settings(models=[{"name": "fast", "half_life": 1000}])
    >>> settings.models[0].n_components, settings.ingest.push
    (8, 'tcp://127.0.0.1:5555')
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__"
    )

    engine: Engine = Engine()
    ingest: Ingest = Ingest()
    publish: Publish = Publish()
    query: Query = Query()
    metrics: Metrics = Metrics()
    journal: Journal = Journal()
    limits: FrameLimits = FrameLimits()
    security: Security = Security()
    models: Annotated[tuple[Model, ...], Field(min_length=1)] = (Model(),)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments alone: only ``load`` looks at the world."""
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> Settings:
        check_endpoints(self.ingest, self.publish, self.query, self.metrics, self.security)
        names: set[str] = set()
        for i, model in enumerate(self.models):
            if model.name in names:
                raise rule(
                    f"models[{i}].name: found {model.name!r} a second time, expected a name for each model"
                )
            names.add(model.name)
        return self

    def text(self) -> str:
        """Return all settings, defaults included, as JSON for a journal to keep; see ``from_text``."""
        return self.model_dump_json()

    def digest(self) -> str:
        """Return 16 hex digits that are equal for equal settings: the config hash of a snapshot.

        >>> Settings().digest() == Settings(models=[{}]).digest() != Settings(engine={"name": "b"}).digest()
        True
        """
        return hashlib.sha256(self.text().encode()).hexdigest()[:16]


def load(path: str | Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read a TOML file, and the environment over it: ``STREAM_MIX_ENGINE__NAME`` is ``name`` of ``[engine]``.

    ``environ``: by default the process's own; ``{}`` reads none. Raises ConfigError.
    """
    path = Path(path)
    if not path.is_file():
        found = "found a folder" if path.is_dir() else "no such file"
        raise ConfigError(f"{path}: {found}, expected a TOML configuration")
    try:
        tables = TomlConfigSettingsSource(Settings, toml_file=path)()
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(error, str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8, expected TOML") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}), expected a TOML file") from None
    return build(tables, str(path), os.environ if environ is None else environ)


def loads(text: str, source: str = "configuration") -> Settings:
    """Read TOML text, without the environment; ``source`` names it in errors. Raises ConfigError.

    >>> loads("[[models]]\\nn_components = 5").models[0].n_components
    5
    >>> loads("[engine]\\nnam = 5", "a.toml")
    Traceback (most recent call last):
    stream_mix.config.errors.ConfigError: a.toml: engine.nam: unknown key, did you mean name?
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(error, source) from None
    return build(tables, source, {})


def from_text(text: str, source: str = "journal") -> Settings:
    """Read what ``Settings.text`` wrote. Raises ConfigError."""
    try:
        tables = json.loads(text)
    except ValueError:
        tables = None
    if not isinstance(tables, dict):
        raise ConfigError(f"{source}: settings are not a JSON object, expected what an engine wrote there")
    return build(tables, source, {})


def _not_toml(error: tomllib.TOMLDecodeError, source: str) -> ConfigError:
    what, place = str(error), ""
    if at := re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", what):
        what = what[: at.start()]
        place = f"line {at[1]}, column {at[2]}" if at[1] else "end of file"
    return ConfigError(f"{source}: {place + ': ' if place else ''}not TOML: {what[:1].lower()}{what[1:]}")


def build(tables: dict[str, Any], source: str, environ: Mapping[str, str]) -> Settings:
    """Lay the environment over tables of plain values and check the whole. Raises ConfigError."""
    origins: dict[str, str] = {}
    merged = _overlay(tables, _environment(environ, origins))
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise explain(error, Settings, source, origins) from None


class _Environment(EnvSettingsSource):
    """The environment as an argument: pydantic-settings would read the process's own."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name.lower(): value for name, value in environ.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._environ


def _environment(environ: Mapping[str, str], origins: dict[str, str]) -> dict[str, Any]:
    """Collect what the environment sets; ``origins`` learns which variable set which key.

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
        tables = _overlay(tables, {section: _typed(section, table) for section, table in found.items()})
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


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
