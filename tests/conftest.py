"""What every test may ask for: data sets beside the checkout, slow tests on request, steady examples."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
NOT_FEATURES = {"label", "label_bayes", "row", "ts", "Time", "file", "user", "batch"}

# Examples are drawn from a fixed seed: a run that fails, fails again. --long looks further, at new examples.
COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("short", derandomize=True, max_examples=50, **COMMON)
settings.register_profile("long", max_examples=1000, **COMMON)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests marked slow")
    parser.addoption("--quick", action="store_true", help="no doctests, no README snippets")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "short")
    # Overrides of the person's own engine must not reach the engines under test, here or in child processes.
    # What computes may be chosen: STREAM_MIX_KERNELS=baseline scripts/test
    for name in [name for name in os.environ if name.upper().startswith("STREAM_MIX_")]:
        if name not in ("STREAM_MIX_KERNELS", "STREAM_MIX_THREADS"):
            del os.environ[name]


def is_doctest(item: pytest.Item) -> bool:
    return isinstance(item, pytest.DoctestItem)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        items[:] = [item for item in items if not is_doctest(item) and item.path.name != "test_readme.py"]
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: runs with scripts/test --long"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data sets that lies beside some checkouts; without it the test is skipped."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no data sets at {os.path.relpath(SHARED_DATA, ROOT)}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def dataset(shared_data: Path) -> Callable[[str], tuple[NDArray[np.float64], list[str]]]:
    """``dataset(name) -> (X (n, d), NaN for empty cells; labels: n texts, or none if the set has none)``."""

    def load(name: str) -> tuple[NDArray[np.float64], list[str]]:
        path = shared_data / f"{name}.csv.gz"
        if not path.is_file():
            pytest.skip(f"no data set {path.name} beside the checkout")
        with gzip.open(path, "rt", newline="") as file:
            header, *rows = csv.reader(file)
        columns = [j for j, column in enumerate(header) if column not in NOT_FEATURES]
        X = np.array([[float(row[j] or "nan") for j in columns] for row in rows], dtype=np.float64)
        return X, [row[header.index("label")] for row in rows] if "label" in header else []

    return load
