"""scripts/quality, on little data of its own."""

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

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FAMILIES = (
    "centres", "sorted", "likelihood", "optima", "squared-error", "published", "steps", "drift",
    "anomalies", "unknown-k", "calibration", "covariance", "missing", "scales", "speed",
)  # fmt: skip


def quality(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What scripts/quality runs once its environment stands, in one process."""
    return python("-m", "_quality", "--jobs", 1, *arguments)


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def written(file: Path, header: list[str], rows: list[list[object]]) -> None:
    with gzip.open(file, "wt", newline="") as out:
        csv.writer(out).writerows([header, *rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Clusters far apart with noise, rows without labels, a stream that stands still, rows with holes."""
    rng = np.random.default_rng(0)
    label = rng.integers(1, 4, 900)
    x = 1000.0 + 50.0 * label[:, None] * [1.0, -1.0] + rng.normal(size=(900, 2))
    label[:9] = 0
    rows = [[*row, c] for row, c in zip(x.tolist(), label.tolist(), strict=True)]
    written(tmp_path / "three.csv.gz", ["a", "b", "label"], [*rows, ["", 1.0, 1]])
    with (tmp_path / "plain.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "b"], *x[:300].tolist()])
    side = rng.integers(0, 2, 1600)
    still = 9.0 * side[:, None] * [1.0, -1.0] + rng.normal(size=(1600, 2))
    written(
        tmp_path / "souza_2cdt.csv.gz", ["a", "b", "label"], np.column_stack([still, side]).tolist()
    )
    gaps = rng.random((400, 3)) < 0.2
    values = np.column_stack([still[:400], still[:400].sum(axis=1) + rng.normal(size=400)])
    holed = np.where(gaps, "", values.astype(str)).tolist()
    written(tmp_path / "air_quality.csv.gz", ["a", "b", "c"], holed)
    entry = {"name": "three", "labels": ["label"], "time": None, "k": 3, "note": "0 = noise class if present"}
    (tmp_path / "manifest.json").write_text(json.dumps([entry]))
    return tmp_path


def test_centres_and_likelihood_on_a_folder(folder: Path) -> None:
    out = folder / "table.md"
    done = quality(
        folder, "--quick", "--seeds", 1, "--sets", "three", "--only", "centres,likelihood", "--json",
        "--markdown", out,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["missed"] == []
    centres = {row["learner"]: row for row in report["families"]["centres"]["records"]}
    assert {"stream_mix KMeans", "stream_mix GaussianMixture", "River KMeans"} <= set(centres)
    full = centres["stream_mix GaussianMixture"]
    assert (full["n"], full["d"], full["k"], full["value"], full["met"]) == (900, 2, 3, 0, True)
    assert full["ari"] > 0.999
    density = report["families"]["likelihood"]["records"][0]
    # Three round Gaussians of spread 1 and equal size, in the data's units: -log 3 - log 2 pi - 1.
    assert density["log_density"] == pytest.approx(-3.94, abs=0.15)
    assert density["met"]
    text = out.read_text()
    for name in ("centres", "likelihood"):
        assert f"(table-{name}.png)" in text
        assert (folder / f"table-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "| three | stream_mix GaussianMixture |" in text
    assert text.endswith("## Missed\n\nnothing\n")


def test_a_missed_figure_is_named_and_is_the_exit_status(folder: Path) -> None:
    done = quality(folder, "--quick", "--seeds", 1, "--sets", "souza_2cdt", "--only", "centres,drift")
    assert done.returncode == 0, done.stdout  # two clusters that stand still
    code = (
        "import sys; from _quality import __main__ as quality, drift\n"
        "drift.STREAMS = (drift.Stream('souza_2cdt', drift.ARI, 400, 1.5),)\n"
        f"sys.argv[1:] = [{str(folder)!r}, '--jobs', '1', '--quick', '--seeds', '1', '--only', 'drift']\n"
        "sys.exit(quality.main())"
    )
    done = python("-c", code)
    assert done.returncode == 1, done.stderr
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("MISSED"))
    assert line.startswith("MISSED drift: souza_2cdt: stream_mix GaussianMixture (River): ")
    assert line.endswith(", expected >= 1.5")


def test_what_is_not_built_is_said_and_counts_as_missed() -> None:
    code = (
        "import sys; from _quality import __main__ as quality, ours\n"
        "def unknown_k(x, seed):\n"
        "    raise ours.NotBuilt('not built')\n"
        "ours.unknown_k = unknown_k\n"
        "sys.argv[1:] = ['--jobs', '1', '--quick', '--only', 'unknown-k', '--sets', 'wide', '--seeds', '1']\n"
        "quality.SHARED = quality.ROOT / 'nowhere'\n"
        "sys.exit(quality.main())"
    )
    done = python("-c", code)
    assert done.returncode == 1, done.stderr
    assert done.stdout.endswith(
        'MISSED unknown-k: wide: stream_mix GaussianMixture, n_components="auto": not built,'
        " expected 16 within 1\n"
    )


def test_holes_are_learned_as_they_are(folder: Path) -> None:
    done = quality(folder, "--quick", "--seeds", 1, "--only", "missing", "--json")
    assert done.returncode == 0, done.stdout
    rows = json.loads(done.stdout)["families"]["missing"]["records"]
    ours = [row for row in rows if row["met"] is not None]
    assert [row["set"] for row in ours] == ["air_quality", "air_quality, 20% more"]
    assert all(row["value"] > 0 for row in ours)
    assert 0.15 < ours[0]["holes"] < 0.25 < ours[1]["holes"]


def test_scales_change_no_label(folder: Path) -> None:
    done = quality(folder, "--seeds", 1, "--only", "scales", "--sets", "three,plain", "--json")
    assert done.returncode == 0, done.stdout
    rows = json.loads(done.stdout)["families"]["scales"]["records"]
    assert len(rows) == 6
    assert {row["value"] for row in rows} == {0.0}


def test_two_processes_find_what_one_does(folder: Path) -> None:
    arguments = (folder, "--quick", "--only", "calibration,centres", "--sets", "three", "--json")
    one, two = quality(*arguments), python("-m", "_quality", "--jobs", 2, *arguments)
    assert one.returncode == two.returncode == 0, two.stderr
    assert one.stdout == two.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "nowhere: no such folder"),
        ((".", "--sets", "four"), "no four.csv or four.csv.gz there, sets: "),
        ((".", "--only", "speeed"), "no family 'speeed', expected some of centres, "),
        ((".", "--seeds", "0"), "--seeds: 0 is too few, expected at least 1"),
    ],
)
def test_a_wrong_argument_is_one_line(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    done = quality(folder / arguments[0], *arguments[1:])
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("scripts/quality: ")
    assert said in last


def test_every_family_has_a_name_a_module_and_columns_of_its_records(folder: Path) -> None:
    said = quality("--only", "?").stderr.strip().split("expected some of ")[1]
    assert tuple(said.split(", ")) == FAMILIES
    done = quality(folder, "--quick", "--seeds", 1, "--sets", "three", "--json")
    families = json.loads(done.stdout)["families"]
    assert tuple(families) == FAMILIES
    assert all(families[name]["records"] for name in ("centres", "sorted", "likelihood", "scales"))


def test_measures() -> None:
    code = (
        "import numpy as np\n"
        "from _quality.calibration import calibration_error\n"
        "from _quality.measures import centroid_index\n"
        "from _quality.squared_error import squared_error\n"
        "truth = np.array([[0.0], [10.0], [20.0]])\n"
        "assert centroid_index(truth + 1, truth) == 0\n"
        "assert centroid_index(np.array([[0.0], [1.0], [15.1]]), truth) == 1\n"
        "assert abs(calibration_error(np.array([0.9, 0.9]), np.array([True, False])) - 0.4) < 1e-9\n"
        "rng = np.random.default_rng(0)\n"
        "p = rng.random(100_000)\n"
        "assert calibration_error(p, rng.random(100_000) < p) < 0.01\n"
        "x, centres = rng.normal(size=(1000, 3)), rng.normal(size=(4, 3))\n"
        "slow = sum(min(((row - c) ** 2).sum() for c in centres) for row in x)\n"
        "assert abs(squared_error(x, centres) / slow - 1) < 1e-12"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


def test_made_sets_are_alike_at_each_call_and_scaled() -> None:
    code = (
        "from _quality.datasets import scaled; from _quality.made import MAKERS, RECIPES, make\n"
        "import numpy as np\n"
        "for name in MAKERS:\n"
        "    one, two = make(name), make(name)\n"
        "    assert np.array_equal(one.x, two.x, equal_nan=True), name\n"
        "    assert abs(np.square(scaled(one).x).mean() - 1) < 1e-9, name\n"
        "    assert len(set(one.label)) == one.k, name"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
