"""Memory that is given back is kept for what comes next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import resource, sys
from stream_mix.ports.heap import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def pages():
    for _ in range(20):
        pieces = [bytearray(8 << 20) for _ in range(6)]
        del pieces
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = pages()
print(pages() - before)
"""


def pages(what: str) -> int:
    """Pages asked of the system for memory that had been had before."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, what], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_memory_is_not_asked_for_again() -> None:
    assert pages("keep") < 100 < pages("plain")
