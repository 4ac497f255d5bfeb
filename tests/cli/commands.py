"""The command in this process, for its words, and in processes of its own, for exit codes and signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from stream_mix.cli import app

COMMAND = [sys.executable, "-m", "stream_mix.cli"]


def call(*arguments: str | Path, stdin: str | None = None) -> Result:
    """One command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def told(*arguments: str | Path, stdin: str | None = None) -> Any:
    """The JSON that a command line prints."""
    done = call(*arguments, "--json", stdin=stdin)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def process(*arguments: str | Path, folder: Path, **more: Any) -> subprocess.Popen[str]:
    """One command line in a process of its own."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environ = {**os.environ, "NO_COLOR": "1"}
    return subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=folder, env=environ, **pipes, **more)


def csv_of(path: Path, rows: Any) -> Path:
    """A table of rows (n, 3)."""
    lines = "\n".join(",".join(map(repr, row)) for row in rows.tolist())
    path.write_text(f"a,b,c\n{lines}\n")
    return path
