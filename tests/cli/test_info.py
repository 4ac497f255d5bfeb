"""`stream-mix info` and the engine's first lines say which kernels compute, and why none better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from stream_mix.mixture.kernels import available
from tests.cli.commands import COMMAND, call, told

# Python's own way to say that a module is not there.
WITHOUT = "import sys; sys.modules['stream_mix.mixture.kernels._native'] = None\n"
INFO = "from stream_mix.cli import app; app(['info'])"
START = """
from stream_mix.config import Settings
from stream_mix.ports.service import Service
off = {"bind": ""}
rows = {"push": "tcp://127.0.0.1:*", "acked": ""}
with Service(Settings(ingest=rows, publish=off, query=off, metrics=off)) as service:
    print(service.lines()[1])
"""


def run(*command: str, kernels: str = "") -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "STREAM_MIX_KERNELS": kernels}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("name", available())
def test_the_environment_chooses(name: str) -> None:
    done = run(*COMMAND, "info", "--json", kernels=name)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kernels"] == f"{name} ({'NumPy' if name == 'reference' else 'C++'})"
    assert found["kernels_available"] == list(available())
    started = run(sys.executable, "-c", START, kernels=name)
    assert f"kernels: {found['kernels']}" in started.stdout, started.stderr


def test_without_a_word_the_best_is_taken() -> None:
    found = json.loads(run(*COMMAND, "info", "--json").stdout)
    assert found["kernels"].startswith(f"{available()[0]} (")
    assert (found["kernels_not_compiled"] is None) == (len(available()) > 1)
    assert f"kernels     {told('info')['kernels']}; " in call("info").stdout


@pytest.mark.parametrize("name", ["sse9", "AVX2", "avx2 "])
def test_an_unknown_name_is_refused_in_one_line(name: str) -> None:
    done = run(*COMMAND, "info", kernels=name)
    assert (done.returncode, done.stdout) == (2, "")
    line = f"error: STREAM_MIX_KERNELS is {name!r}, expected one of {', '.join(available())}"
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_without_the_extension_both_say_why() -> None:
    why = "not compiled: no C++ compiler, or one that failed, when stream_mix was installed"
    done = run(sys.executable, "-c", WITHOUT + INFO)
    assert f"kernels     reference (NumPy); {why}\n" in done.stdout, done.stderr
    done = run(sys.executable, "-c", WITHOUT + START)
    assert done.stdout.endswith(f"kernels: reference (NumPy), {why}\n"), done.stderr
    done = run(sys.executable, "-c", WITHOUT + INFO, kernels="baseline")
    assert f"STREAM_MIX_KERNELS is 'baseline', expected one of reference ({why})\n" in done.stderr


def test_an_extension_that_does_not_load_is_no_reason_to_stop(tmp_path: Path) -> None:
    """A file of that name which is no module, found where the compiled one would be."""
    (tmp_path / f"_native{EXTENSION_SUFFIXES[0]}").write_bytes(b"not an extension module")
    where = f"""
import importlib.machinery, sys
class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name == "stream_mix.mixture.kernels._native":
            return importlib.machinery.PathFinder.find_spec("_native", [{str(tmp_path)!r}])
sys.meta_path.insert(0, Finder)
"""
    done = run(sys.executable, "-c", where + INFO)
    assert "reference (NumPy); compiled, but not to be loaded: " in done.stdout, done.stderr
