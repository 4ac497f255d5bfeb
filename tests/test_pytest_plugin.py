"""The `replay` fixture, in runs of pytest of its own, on real journals."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from stream_mix.pytest_plugin import difference
from stream_mix.recording import import_rows

ROOT = Path(__file__).resolve().parent.parent
pytest_plugins = ["pytester"]

TEST = """
def test_engine(replay):
    state = replay("rows.journal", "engine.toml", golden="golden/engine.json")
    assert state.offset == 600

def test_spec(replay):
    from stream_mix.mixture import Spec
    state = replay("rows.journal", Spec(n_components=2, batch_size=50), golden="golden/spec.json")
    assert list(state.learners) == ["mixture"]

def test_river(replay):
    from stream_mix.river import GaussianMixture
    model = GaussianMixture(n_components=2, seed=1)
    assert replay("rows.journal", model, golden="golden/river.json") is model
    assert model.learned_rows == 600

def test_pipeline(replay):
    from river import preprocessing
    from stream_mix.river import GaussianMixture
    model = preprocessing.StandardScaler() | GaussianMixture(n_components=2, seed=1)
    replay("rows.journal", model, "golden/pipeline.json")

def test_sklearn(replay):
    from stream_mix.sklearn import GaussianMixture
    into = GaussianMixture(n_components=2, random_state=0)
    model = replay("rows.journal", into, golden="golden/sklearn.json")
    assert model.means_.shape == (2, 2)
"""
CONFIG = '[[models]]\nname = "two"\nn_components = 2\nbatch_size = 50\n'


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal([[0, 0], [9, 9]], 1, (300, 2, 2)).reshape(-1, 2)
    rows = "\n".join(f"{a!r},{b!r}" for a, b in x.tolist())
    (pytester.path / "rows.csv").write_text(f"a,b\n{rows}\n")
    import_rows(pytester.path / "rows.csv", pytester.path / "rows.journal", block=70)
    (pytester.path / "engine.toml").write_text(CONFIG)
    (pytester.path / "test_it.py").write_text(TEST)
    return pytester.path


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Pytest as a user has it, with this plugin and no other."""
    command = [sys.executable, "-m", "pytest", "-p", "stream_mix.pytest_plugin", "-q", *arguments]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": ""}
    done = subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_golden_files_are_written_kept_to_and_differences_told(folder: Path) -> None:
    code, said = run(folder, "-k", "engine")
    assert code == 1
    assert "no golden file; pytest --update-golden writes it" in said
    assert not (folder / "golden").exists(), "without the option nothing is written"

    code, said = run(folder, "--update-golden")
    assert (code, "5 passed" in said) == (0, True), said
    assert {path.name for path in (folder / "golden").iterdir()} == {
        "engine.json", "spec.json", "river.json", "pipeline.json", "sklearn.json",
    }  # fmt: skip
    code, said = run(folder)
    assert code == 0, said

    golden = json.loads((folder / "golden" / "engine.json").read_text())
    golden["two"]["means"][1][0] += 0.5
    (folder / "golden" / "engine.json").write_text(json.dumps(golden))
    (folder / "golden" / "spec.json").write_text("no json")
    code, said = run(folder, "-k", "engine or spec")
    assert code == 1
    component = golden["two"]["components"][1]
    assert f"two, component {component}, means[0]: golden" in said
    assert "off by 0.5" in said
    assert "not a golden file; pytest --update-golden writes it anew" in said
    assert "Traceback" not in said


def test_a_missing_recording_is_one_line(folder: Path) -> None:
    (folder / "test_it.py").write_text("def test_it(replay):\n    replay('nix.journal')\n")
    code, said = run(folder)
    assert code == 1
    assert "nix.journal: cannot be opened" in said


def test_differences_name_component_number_and_distance() -> None:
    want = {"m": {"components": [3, 5], "weights": [0.5, 0.5], "means": [[1.0], [2.0]], "rows": 10}}
    assert difference(want, want, 0.0) == ""
    got = {"m": {"components": [3, 5], "weights": [0.5, 0.5], "means": [[1.0], [float("nan")]], "rows": 11}}
    assert difference(want, got, 1e-9).splitlines() == [
        "m, component 5, means[0]: golden 2.0, got nan, off by nan",
        "m, rows: golden 10, got 11",
    ]
    other = {"m": {"components": [3, 7], "weights": [0.4, 0.6], "means": [[1.0], [2.0]], "rows": 10}}
    assert "m, components[1]: golden 5, got 7" in difference(want, other, 1e-9)
    assert difference(want, {"n": {}}, 1e-9).splitlines() == ["m: missing", "n: not in the golden file"]


def test_many_differences_are_cut_short() -> None:
    want = {"m": {"components": [0], "means": [[0.0] * 30]}}
    got = {"m": {"components": [0], "means": [[1.0] * 30]}}
    assert difference(want, got, 1e-9).splitlines()[-1] == "... and 18 more"


def test_pytest_finds_the_plugin() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"stream_mix": "stream_mix.pytest_plugin"}
