"""What an engine says of itself while it runs: a line for a person, or a JSON object for a program."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["info", "warning", "error"]
LEVELS: tuple[Level, ...] = ("info", "warning", "error")
Form: TypeAlias = Literal["words", "json"]


def _out(line: str) -> None:
    print(line, file=sys.stdout, flush=True)


class Log:
    """Writes lines of at least `level`, as words or as JSON; a line is one line whatever is in it.

    Nothing that is written comes from a key file but names and public keys.

    >>> lines = []
    >>> log = Log("json", "warning", lines.append, clock=lambda: 0.0)
    >>> log.say("ready"); log.warn("disk\\nfull")
    >>> lines
    ['{"t": "1970-01-01T00:00:00.000Z", "level": "warning", "message": "disk full"}']
    """

    def __init__(
        self,
        form: Form = "words",
        level: Level = "info",
        write: Callable[[str], None] = _out,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.form, self.level = form, level
        self._write, self._clock = write, clock

    def say(self, line: str, level: Level = "info") -> None:
        """Write one line."""
        if LEVELS.index(level) < LEVELS.index(self.level):
            return
        line = " ".join(line.split())
        if self.form == "words":
            self._write(line if level == "info" else f"{level}: {line}")
            return
        t = self._clock()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(t))}.{int(t % 1 * 1000):03d}Z"
        self._write(json.dumps({"t": stamp, "level": level, "message": line}, ensure_ascii=False))

    def warn(self, line: str) -> None:
        """Write a line that somebody should look at."""
        self.say(line, "warning")


def in_line(error: Exception) -> str:
    """An error's kind and words in one short line.

    >>> in_line(ValueError("shapes (3,4)\\nand (5,)"))
    'ValueError: shapes (3,4) and (5,)'
    """
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:120]
