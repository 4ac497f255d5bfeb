"""The demonstration's engine: a child process of `stream-mix run` on ports that the system chooses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .stream import BATCH, COARSE, FINE

CONFIG = f"""\
# The engine of `stream-mix demo`; the ports are any that are free.
[engine]
name = "demo"

[ingest]
push = "tcp://127.0.0.1:*"
acked = ""

[publish]
bind = "tcp://127.0.0.1:*"
snapshot_every_seconds = 0.25

[query]
bind = "tcp://127.0.0.1:*"

[metrics]
bind = ""

[journal]
path = "{{journal}}"

# Two models of one stream.
[[models]]
name = "coarse"
family = "full"
n_components = {COARSE}
batch_size = {BATCH}

[[models]]
name = "fine"
family = "full"
n_components = {FINE}
batch_size = {BATCH}
"""
OWN = """\
# An engine for a stream of your own: rows in at 5555, clusters out at 5556, questions at 5557.
[journal]
path = "{journal}"

[[models]]
n_components = 5
"""
STOP_SECONDS = 10.0


class DemoError(ValueError):
    """The demonstration cannot go on; the message is one line."""


def configure(out: Path) -> tuple[Path, Path]:
    """Write the engine's configuration, and one for a stream of one's own; the former and its journal."""
    out.mkdir(parents=True, exist_ok=True)
    journal = out / "shuttle.journal"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{journal}{suffix}").unlink(missing_ok=True)
    config = out / "demo.toml"
    config.write_text(CONFIG.format(journal=quoted(journal)))
    (out / "own.toml").write_text(OWN.format(journal=quoted(out / "own.journal")))
    return config, journal


def quoted(path: Path) -> str:
    """The path inside a TOML text in quotes, absolute: the engine may be started elsewhere."""
    return str(path.absolute()).replace("\\", "\\\\").replace('"', '\\"')


@contextmanager
def running(config: Path) -> Iterator[dict[str, str]]:
    """An engine for as long as the block lasts; yields its endpoints by key, as it says them at its start."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_MIX_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_mix.cli", "run", str(config)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ,
        start_new_session=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line.strip())
            if line.startswith("journal: "):
                break
        else:
            raise DemoError(f"the engine did not start: {' '.join(said) or 'it said nothing'}")
        yield dict(re.findall(r"(\w+) (tcp://[\d.]+:\d+)", said[0]))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
