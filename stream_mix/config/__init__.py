"""One TOML file to validated, frozen settings; unknown keys are errors, and every error is one line.

``python -m stream_mix.config`` prints the table of all keys.
"""

from __future__ import annotations

from stream_mix.config.errors import ConfigError
from stream_mix.config.model import Model
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
from stream_mix.config.settings import Settings, from_text, load, loads
from stream_mix.config.table import Key, describe, markdown

__all__ = [
    "ConfigError",
    "Engine",
    "FrameLimits",
    "Ingest",
    "Journal",
    "Key",
    "Metrics",
    "Model",
    "Publish",
    "Query",
    "Security",
    "Settings",
    "describe",
    "from_text",
    "load",
    "loads",
    "markdown",
]
