"""The two clocks of an engine, as a value that can be handed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` runs only forward (s) and times what is due; `t` is the time of day (Unix s), which may jump."""

    now: Callable[[], float] = time.monotonic
    t: Callable[[], float] = time.time
