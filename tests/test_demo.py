"""The demonstration: it runs, and what it prints to be pasted works."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from sklearn.metrics import adjusted_rand_score

from stream_mix.config import load
from stream_mix.demo.engine import DemoError, configure, running
from stream_mix.demo.live import Screen, Seen, table
from stream_mix.demo.picture import Fitted, draw, telling
from stream_mix.demo.stream import COARSE, FINE, Stream, rand_index, shuttle
from stream_mix.demo.words import PYTHON
from stream_mix.protocol import Assignment

COMMAND = [sys.executable, "-m", "stream_mix.cli"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, float]:
    """Folder, output and seconds of one run, as from a script."""
    out = tmp_path_factory.mktemp("a folder")
    start = time.monotonic()
    command = [*COMMAND, "demo", "--out", out / "demo", "--seconds", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return out / "demo", done.stdout, time.monotonic() - start


def test_it_ends_with_one_picture_and_a_table(demo: tuple[Path, str, float]) -> None:
    folder, said, seconds = demo
    assert seconds < 60, "30 s where nothing else runs"
    assert [path.name for path in folder.glob("*.png")] == ["shuttle.png"]
    assert (folder / "shuttle.png").read_bytes()[:4] == b"\x89PNG"
    for method in ("mixture", "stream_mix KMeans", "River KMeans", "River DBSTREAM", "MiniBatchKMeans"):
        assert method in said
    assert "49,097 of 49,097 rows" in said
    assert "strangest rows so far" in said
    assert "Traceback" not in said


def figures(said: str, method: str, k: int) -> tuple[float, float | None]:
    """Rand index and log-likelihood of a line of the table."""
    found = re.search(rf"│ {re.escape(method)} +│ +{k} │ +(-?[\d.]+) │ +(-?[\d.]*) │", said)
    assert found, said
    return float(found[1]), None if found[2] == "-" else float(found[2])


def test_the_mixture_is_at_its_best(demo: tuple[Path, str, float]) -> None:
    _, said, _ = demo
    index, density = figures(said, "stream_mix mixture, not scaled", COARSE)
    assert index > 0.9
    assert density is not None
    raw, raw_density = figures(said, "stream_mix KMeans, not scaled", COARSE)
    assert abs(raw) < 0.1
    _, scaled_density = figures(said, "stream_mix KMeans", COARSE)
    assert raw_density is not None
    assert scaled_density is not None
    assert density > max(raw_density, scaled_density) + 5
    fine = figures(said, "stream_mix mixture, not scaled", FINE)[1]
    assert fine is not None
    assert fine > density
    pure = r"K = 2, its components: [\d,]+ rows with 0 anomalies; [\d,]+ rows with 3,511 anomalies"
    assert re.search(pure, said)


def test_the_replay_command_works_when_pasted(demo: tuple[Path, str, float], tmp_path: Path) -> None:
    folder, said, _ = demo
    paste = said[said.index("This stream again") :].split("\n\n")[1].strip()
    pasted = subprocess.run(
        ["/bin/sh", "-c", paste], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert pasted.returncode == 0, pasted.stderr
    state = re.search(r"learned to the same state \(49097 rows, ([0-9a-f]{32})\)", said)
    assert state
    assert "49097 rows replayed" in pasted.stdout
    assert pasted.stdout.endswith(f"state {state[1]}\n")
    command = [*COMMAND, "replay", folder / "shuttle.journal", "--verify"]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    assert verified.stdout.startswith("same: 49097 rows replayed, 98194 assignments"), verified.stdout


def test_the_configuration_for_ones_own_rows_is_sound(demo: tuple[Path, str, float]) -> None:
    folder, said, _ = demo
    own = load(folder / "own.toml", {})
    assert own.ingest.push == "tcp://127.0.0.1:5555", "where `send` sends when nothing is said"
    assert own.journal.path == str(folder / "own.journal")
    line = said[said.index("one line:") :].split("\n\n")[1].strip()
    assert re.fullmatch(r"\S+.* run '?.*own.toml'? & \S+.* send yours.csv", line)


def test_the_six_lines_run(tmp_path: Path) -> None:
    assert PYTHON.count("\n") == 5
    rng = np.random.default_rng(0)
    lines = "\n".join(f"{a},{b}" for a, b in rng.normal(size=(50, 2)))
    (tmp_path / "yours.csv").write_text(f"a,b\n{lines}\n")
    done = subprocess.run(
        [sys.executable, "-c", PYTHON], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.count("\n")) == (0, 50), done.stderr


def test_a_second_run_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config, journal = configure(Path("quo\"ted"))
    journal.write_text("an older one")
    (tmp_path / "mine").write_text("stays")
    assert configure(Path("quo\"ted")) == (config, journal)
    assert not journal.exists()
    assert (tmp_path / "mine").exists()
    own = load(tmp_path / "quo\"ted" / "own.toml", {})
    assert Path(own.journal.path).is_absolute(), "it may be started elsewhere"
    settings = load(config, {})
    assert [model.n_components for model in settings.models] == [COARSE, FINE]
    assert settings.journal.path == str(journal.absolute())


def test_an_engine_that_does_not_start_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[nix]")
    failed = pytest.raises(DemoError, match=r"the engine did not start: error: .*c.toml: nix: unknown key")
    with failed, running(tmp_path / "c.toml"):
        raise AssertionError


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60))
def test_rand_index_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    assert rand_index(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)


def test_the_data_are_those_that_are_told_of() -> None:
    stream = shuttle()
    assert (stream.x.shape, int(stream.anomaly.sum())) == ((49_097, 9), 3_511)


def small() -> Stream:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    x[300:, 1:] += 9
    return Stream(x, ("a", "b", "c"), np.arange(600) >= 590)


def test_the_telling_features_are_those_that_part_the_components(tmp_path: Path) -> None:
    stream = small()
    p = np.repeat(np.eye(2), 300, axis=0)
    means = np.array([[0.0, 0, 0], [0, 9, 9]])
    fitted = Fitted(np.array([0.5, 0.5]), means, np.array([np.eye(3)] * 2), p, [3, 595])
    assert telling(stream.x, fitted) == (1, 2)
    assert draw(tmp_path / "a.png", stream, fitted, None) == ("b", "c")
    assert draw(tmp_path / "b.png", stream, fitted, np.arange(600) // 300) == ("b", "c")
    assert (tmp_path / "b.png").stat().st_size > (tmp_path / "a.png").stat().st_size > 10_000


def heard(seen: Seen, offset: int, n: int) -> None:
    label = np.where(np.arange(offset, offset + n) < 100, -1, 4)
    density = -np.arange(offset, offset + n, dtype=np.float64)
    seen.hear(Assignment("fine", offset, 0, (4,), label, None, density, np.full(n, 0.5, np.float32)), 2.0)


def test_what_was_heard_is_shown() -> None:
    seen = Seen(small(), 0.0)
    assert seen.headline() == "0 of 600 rows, 0 rows/s, warming up"
    heard(seen, 0, 300)
    heard(seen, 300, 300)
    assert seen.strangest(2) == [599, 598]
    assert seen.headline() == "600 of 600 rows, 300 rows/s, log-likelihood -349.50 per row"
    out = StringIO()
    Console(file=out, width=120).print(table(seen))
    assert re.search(r"599 │ +-599.0 │ +0.5000 │ anomaly", out.getvalue())


def test_a_terminal_gets_a_live_table_and_a_pipe_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    seen = Seen(small(), 0.0)
    heard(seen, 0, 600)
    out = StringIO()
    with Screen(seen, Console(file=out, force_terminal=True, width=120)) as screen:
        screen.show(1.0)
        screen.show(1.01)
        screen.show(9.0, last=True)
    assert "strangest rows so far" in out.getvalue()
    with Screen(seen, Console(file=out, force_terminal=False)) as screen:
        screen.show(100.0)
        screen.show(100.1)
    assert capsys.readouterr().out == f"{seen.headline()}\n"


def test_it_can_do_without_picture_and_comparison(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "demo", "--out", tmp_path / "d", "--seconds", "1", "--no-picture", "--no-compare"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "River DBSTREAM" not in done.stdout
    assert not list((tmp_path / "d").glob("*.png"))


def test_ctrl_c_leaves_nothing_running(tmp_path: Path) -> None:
    command = [*COMMAND, "demo", "--out", tmp_path / "d", "--seconds", "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running_demo:
        assert running_demo.stdout is not None
        while not running_demo.stdout.readline().startswith("engine: "):
            assert running_demo.poll() is None
        children = psutil.Process(running_demo.pid).children(recursive=True)
        assert len(children) == 2
        running_demo.send_signal(signal.SIGINT)
        _, said = running_demo.communicate(timeout=20)
    assert (running_demo.returncode, said) == (130, "")
    assert not any(child.is_running() for child in children)
