"""Engines for tests: in a thread of this process, or in one of their own that can be killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_mix.client import Subscriber
from stream_mix.config import Settings
from stream_mix.protocol import Assignment, Published
from stream_mix.workers.beside import Child, serving

__all__ = [
    "CENTRES", "LOCAL", "PATIENCE", "Process", "assigned", "heard", "rows", "serving", "settings", "toml",
    "until",
]  # fmt: skip

LOCAL = "tcp://127.0.0.1:*"
PATIENCE = 20.0
CENTRES = np.array([[0.0, 0.0, 0.0], [12.0, 0.0, 3.0], [0.0, 12.0, -3.0]])


def rows(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Rows (n, 3) of three round clusters."""
    rng = np.random.default_rng(seed)
    return CENTRES[rng.integers(0, 3, n)] + rng.normal(size=(n, 3))


def settings(**sections: Mapping[str, Any]) -> Settings:
    """Settings of a small engine on ports that the system chooses; no journal and no metrics unless asked
    for."""
    some: dict[str, Any] = {
        "ingest": {"push": LOCAL, "acked": ""},
        "publish": {"bind": LOCAL, "heartbeat_seconds": 0.05, "snapshot_every_seconds": 0.2},
        "query": {"bind": LOCAL},
        "metrics": {"bind": ""},
        "models": [{"name": "m", "n_components": 3, "family": "diag", "batch_size": 64}],
    }
    for key, section in sections.items():
        some[key] = {**some.get(key, {}), **section} if isinstance(section, Mapping) else section
    return Settings(**some)


def toml(config: Settings) -> str:
    """The settings as a configuration file."""
    lines: list[str] = []
    for name, section in config.model_dump(exclude_none=True).items():
        for table in section if isinstance(section, list | tuple) else [section]:
            lines.append(f"[[{name}]]" if isinstance(section, list | tuple) else f"[{name}]")
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Process(Child):
    """An engine in a process of its own, its configuration written into a folder."""

    def __init__(self, config: Settings, folder: Path) -> None:
        path = folder / "engine.toml"
        path.write_text(toml(config))
        super().__init__(path)


def heard(subscriber: Subscriber, enough: Callable[[list[Published]], bool]) -> list[Published]:
    """Messages until there are enough of them; fails when they do not come."""
    messages: list[Published] = []
    deadline = time.monotonic() + PATIENCE
    while not enough(messages):
        assert time.monotonic() < deadline, f"{len(messages)} messages, and no more came"
        message = subscriber.receive(0.5)
        if message is not None:
            messages.append(message)
    return messages


def assigned(messages: list[Published]) -> list[Assignment]:
    """The assignments among messages."""
    return [message for message in messages if isinstance(message, Assignment)]


def until(true: Callable[[], bool]) -> None:
    """Wait for a condition, and fail where it does not come about."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        threading.Event().wait(0.01)
