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

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream_mix.config.endpoints import check_endpoints
from stream_mix.config.errors import ConfigError, explain
from stream_mix.config.model import Model
from stream_mix.config.overlay import overlay
from stream_mix.config.sections import (
    Engine,
    FrameLimits,
    Ingest,
    Journal,
    Metrics,
    Publish,
    Query,
    Security,
)
from stream_mix.config.values import rule

PREFIX = "STREAM_MIX_"


class Settings(BaseModel):
    """The settings of one engine. ``Settings()`` has every default; ``load`` reads file and environment.

    >>> settings = Settings(models=[{"name": "fast", "half_life": 1000}])
    >>> settings.models[0].n_components, settings.ingest.push
    (8, 'tcp://127.0.0.1:5555')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Engine = Engine()
    ingest: Ingest = Ingest()
    publish: Publish = Publish()
    query: Query = Query()
    metrics: Metrics = Metrics()
    journal: Journal = Journal()
    limits: FrameLimits = FrameLimits()
    security: Security = Security()
    models: Annotated[tuple[Model, ...], Field(min_length=1)] = (Model(),)

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
        with path.open("rb") as file:
            tables = tomllib.load(file)
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
    merged = overlay(tables, _environment(environ, origins))
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise explain(error, Settings, source, origins) from None


def _environment(environ: Mapping[str, str], origins: dict[str, str]) -> dict[str, Any]:
    """What the environment sets, if anything does: then only what reads it is imported."""
    if not any(name.upper().startswith(PREFIX) for name in environ):
        return {}
    from stream_mix.config.environment import read

    return read(environ, origins)
