"""The scripts that measure, on little data of their own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"


def run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """What scripts/NAME runs once its environment stands."""
    return python("-m", module, *arguments)


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_bench_measures_both_sides_and_judges() -> None:
    done = run("_bench", "--quick", "--repetitions", 1, "--only", "centred,partial-fit", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert all(limit["gflops"] > 0 and limit["gbs"] > 0 for limit in report["limits"].values())
    centred = [record for record in report["records"] if record["group"] == "centred"]
    assert all(record["ours"] <= 1e-8 < record["theirs"] for record in centred)
    assert [record["target"] for record in centred] == [["ours", "<=", 1e-8]] * 2
    # A quick run shows what was wanted and judges nothing.
    assert {record["met"] for record in report["records"]} == {None}
    beside = [record for record in report["records"] if record["group"] == "partial-fit"]
    assert all(record["ratio"] > 0 < record["share"] for record in beside)


def test_bench_judges_what_it_measured() -> None:
    done = run("_bench", "--repetitions", 1, "--only", "centred")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" met ") == 2
    assert done.stdout.endswith("\nall targets met\n")


def test_bench_writes_its_tables_between_the_marks_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n")
    done = run("_bench", "--quick", "--only", "centred", "--markdown", file)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    wanted = r"before\n<!-- bench:begin -->\n.*\| <= 1e-08 \|\n<!-- bench:end -->\nafter\n"
    assert re.fullmatch(wanted, file.read_text(), re.DOTALL)
    file.write_text("no marks")
    done = run("_bench", "--quick", "--only", "centred", "--markdown", file)
    assert (done.returncode, file.read_text()) == (2, "no marks")
    assert "expected the lines <!-- bench:begin -->" in done.stderr


def test_bench_misses_a_target_that_is_not_reached() -> None:
    code = (
        "import sys; from _bench import __main__ as bench, centred\n"
        "centred.MOST = 0.0\n"
        "sys.argv[1:] = ['--only', 'centred']\n"
        "sys.exit(bench.main())"
    )
    done = python("-c", code)
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("MISSED") == 2
    assert done.stdout.endswith("\n2 targets missed\n")


def test_the_readme_shows_the_rows_that_bench_measures() -> None:
    names = json.loads(run("_bench", "--names").stdout)
    text = (ROOT / "README.md").read_text()
    table = text.split("<!-- bench:begin -->")[1].split("<!-- bench:end -->")[0]
    lines = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| ")]
    shown = [[cell.strip() for cell in line] for line in lines]
    assert [line for line in shown if line != ["work", "beside"]] == names


@pytest.mark.slow
def test_bench_quick_measures_every_group_within_a_minute() -> None:
    began = time.monotonic()
    done = run("_bench", "--quick", "--json")
    assert time.monotonic() - began < 120  # twice what it may take on a machine that does nothing else
    assert done.returncode == 0, done.stderr
    groups = {record["group"] for record in json.loads(done.stdout)["records"]}
    known = run("_bench", "--only", "?").stderr.split("expected some of ")[1]
    assert groups == set(known.strip().split(", "))


def test_bench_refuses_an_unknown_group() -> None:
    done = run("_bench", "--only", "speed")
    assert done.returncode == 2
    assert "no group 'speed', expected some of one-row, " in done.stderr


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
