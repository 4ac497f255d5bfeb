"""Imports run one way: mixture <- protocol <- engine <- ports <- workers; the core stays pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

CORE = {"mixture", "features", "protocol", "engine"}
SERVICE = CORE | {"config", "keys", "ports", "recording"}
# part of stream_mix -> the parts that it may import, besides itself and stream_mix's own __init__
MAY = {
    "mixture": set(),
    "keys": set(),
    "keepalive": set(),
    "features": {"mixture"},
    "protocol": {"mixture"},
    "engine": {"mixture", "features", "protocol"},
    "config": {"mixture", "protocol"},
    "ports": CORE | {"config", "keys", "keepalive"},
    "recording": CORE | {"config", "ports"},
    "client": {"mixture", "features", "protocol", "keys", "keepalive"},
    "river": {"mixture", "features", "recording"},
    "sklearn": {"mixture", "features"},
    "workers": SERVICE | {"client"},
    "pytest_plugin": SERVICE | {"client", "workers"},
    "demo": SERVICE | {"client", "workers", "river", "sklearn"},
    "compare": SERVICE | {"demo"},
    "cli": SERVICE | {"client", "workers", "river", "sklearn", "demo", "compare"},
    "command": {"cli"},
}
# No sockets, files, clocks, logging, and no randomness but a generator that was handed in.
WORLD = {
    "asyncio", "datetime", "http", "io", "logging", "multiprocessing", "os", "pathlib", "random", "select",
    "selectors", "shutil", "signal", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time",
    "urllib",
}  # fmt: skip
# How the work is done may be asked of the environment, as BLAS does: no answer depends on it.
ASKS = {"stream_mix.mixture.kernels.choice": {"os"}, "stream_mix.mixture.kernels.threads": {"os"}}
PURE = {"mixture": {"numpy"}, "features": {"numpy"}, "protocol": {"numpy", "msgpack"}, "engine": {"numpy"}}


def modules() -> list[tuple[str, Path]]:
    found = [("stream_mix", path) for path in sorted((ROOT / "stream_mix").rglob("*.py"))]
    found += [("stream_mix.workers", path) for path in sorted((ROOT / "workers").rglob("*.py"))]
    return found


def name_of(package: str, path: Path) -> str:
    base = ROOT / ("workers" if package == "stream_mix.workers" else "stream_mix")
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join([package, *parts])


def imported(name: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and absolute name of each import, in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = name.split(".")[: -node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}" if source == "stream_mix" else source


MODULES = [pytest.param(name_of(*module), module[1], id=name_of(*module)) for module in modules()]


@pytest.mark.parametrize(("name", "path"), MODULES)
def test_imports_run_one_way(name: str, path: Path) -> None:
    part = name.split(".")[1]
    if part == "__init__":
        assert {source for _, source in imported(name, path)} <= {"__future__"}, "import stream_mix is free"
        return
    assert part in MAY, f"{name}: give its imports a line in MAY"
    for line, source in imported(name, path):
        top, *rest = source.split(".")
        assert top != "workers", f"{path}:{line} imports workers: its name is stream_mix.workers"
        if top == "stream_mix" and rest and not rest[0].startswith("__"):
            assert rest[0] == part or rest[0] in MAY[part], f"{path}:{line} {part} imports {source}"


@pytest.mark.parametrize(("name", "path"), MODULES)
def test_inner_parts_touch_nothing_outside(name: str, path: Path) -> None:
    allowed = PURE.get(name.split(".")[1])
    for line, source in imported(name, path):
        top = source.split(".")[0]
        if allowed is not None and top != "stream_mix":
            assert top in allowed or top in sys.stdlib_module_names, f"{path}:{line} imports {source}"
            assert top not in WORLD - ASKS.get(name, set()), f"{path}:{line} imports {source}"


def test_the_table_has_no_circle() -> None:
    seen: set[str] = set()
    while len(seen) < len(MAY):
        free = {part for part, needs in MAY.items() if part not in seen and needs <= seen}
        assert free, f"in a circle: {sorted(set(MAY) - seen)}"
        seen |= free
