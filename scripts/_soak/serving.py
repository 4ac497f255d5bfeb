"""Engines for trials that say nothing on standard output, which is for figures."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from stream_mix.config import Settings
from stream_mix.ports.log import Log
from stream_mix.ports.service import Service
from stream_mix.workers.beside import PATIENCE, Child
from stream_mix.workers.beside import serving as beside

__all__ = ["PATIENCE", "Child", "serving"]


def serving(config: Settings, **how: Any) -> AbstractContextManager[Service]:
    """An engine in a thread; what it raised is raised here."""
    return beside(config, log=Log(level="error"), **how)
