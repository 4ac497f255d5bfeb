"""The scripts that measure, on little data of their own."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What scripts/NAME runs once its environment stands."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets: three clusters far apart, with noise and a missing cell, and rows without labels."""
    rng = np.random.default_rng(0)
    label = rng.integers(1, 4, 900)
    x = 1000.0 + 50.0 * label[:, None] * [1.0, -1.0] + rng.normal(size=(900, 2))
    label[:9] = 0
    with gzip.open(tmp_path / "three.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "label"])
        writer.writerows([*row, c] for row, c in zip(x.tolist(), label.tolist(), strict=True))
        writer.writerow(["", 1.0, 1])
    with (tmp_path / "plain.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b"], *x[:300].tolist()])
    entry = {"name": "three", "labels": ["label"], "time": None, "k": 3, "note": "0 = noise class if present"}
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    return tmp_path


def test_quality_reads_a_folder_and_compares(folder: Path) -> None:
    done = run("_quality", folder, "--quick", "--seeds", 1, "--json", "--markdown", folder / "table.md")
    assert done.returncode == 0, done.stderr
    records = json.loads(done.stdout)["one-pass"]["records"]
    learners = {record["learner"]: record for record in records if record["set"] == "three"}
    assert {"stream_mix kmeans", "stream_mix full", "River KMeans"} <= set(learners)
    full = learners["stream_mix full"]
    assert (full["n"], full["d"], full["k"], full["ci_median"]) == (900, 2, 3, 0)
    assert full["ari"] > 0.999
    # Three round Gaussians of spread 1 and equal size, in the data's units: -log 3 - log 2 pi - 1.
    assert full["log_density"] == pytest.approx(-3.94, abs=0.15)
    assert all(record["ari"] is None for record in records if record["set"] == "plain")
    assert "| three |" in (folder / "table.md").read_text()


def test_quality_says_what_is_missing(folder: Path) -> None:
    for arguments, said in (
        ((folder / "nowhere",), "no such folder"),
        ((folder, "--sets", "four"), "no four.csv or four.csv.gz there, sets: plain, three"),
    ):
        done = run("_quality", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("scripts/quality: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_made_sets_are_alike_at_each_call_and_scaled() -> None:
    code = (
        "from _quality.datasets import RECIPES, make; import numpy as np\n"
        "for name in RECIPES:\n"
        "    (one,), (two,) = make((name,)), make((name,))\n"
        "    assert np.array_equal(one.x, two.x) and abs(np.square(one.x).mean() - 1) < 1e-9, name\n"
        "    assert len(set(one.label)) == one.k, name"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_bench_measures_both_sides_and_judges() -> None:
    done = run("_bench", "--quick", "--repetitions", 1, "--only", "centred,partial-fit", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["matrix_gflops"] > 0
    assert report["bandwidth_gbs"] > 0
    centred = [record for record in report["records"] if record["group"] == "centred"]
    assert [record["met"] for record in centred] == [True, True]
    assert all(record["theirs"] > 1e-8 for record in centred)
    assert all(record["ratio"] > 0 for record in report["records"] if record["group"] == "partial-fit")


@pytest.mark.slow
def test_bench_quick_prints_every_group() -> None:
    done = run("_bench", "--quick", "--repetitions", 1)
    assert done.returncode == 0, done.stderr
    for work in ("one EM pass, full", "learn_one, KMeans", "single-event frames", "memory growth", "p99 "):
        assert work in done.stdout


def test_bench_refuses_an_unknown_group() -> None:
    done = run("_bench", "--only", "speed")
    assert done.returncode == 2
    assert "no group 'speed', expected some of em, " in done.stderr


def test_pictures_are_small_and_up_to_date(tmp_path: Path) -> None:
    done = run("_pictures", tmp_path)
    assert done.returncode == 0, done.stderr
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (SCRIPTS / "images").iterdir()}
    assert all(0 < path.stat().st_size < 150_000 for path in tmp_path.iterdir())


@pytest.mark.parametrize("name", ["bench", "quality", "pictures"])
def test_the_entry_is_executable_and_its_module_is_there(name: str) -> None:
    entry = SCRIPTS / name
    assert os.access(entry, os.X_OK)
    assert f'-m _{name} "$@"' in entry.read_text()
    assert (SCRIPTS / f"_{name}" / "__main__.py").is_file()
    subprocess.run(["bash", "-n", str(entry)], check=True)
