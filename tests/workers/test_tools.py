"""Feed, replay and watch against engines."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from stream_mix.client import ClientError, Producer, Subscriber
from stream_mix.engine import state_hash
from stream_mix.ports.pacing import Pace, Range
from stream_mix.protocol import Snapshot
from stream_mix.workers import feed, replay, watch
from tests.workers.serving import rows, serving, settings, until


def table(path: Path, n: int = 600) -> Path:
    lines = ["a,b,c,t", *(f"{a},{b},{c},{1e9 + i}" for i, (a, b, c) in enumerate(rows(n).tolist()))]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, str]:
    """A journal of 600 rows, and the state hash of the engine that made it."""
    path = tmp_path / "a.journal"
    with serving(settings(journal={"path": str(path)})) as service:
        sent = feed.run(
            table(tmp_path / "rows.csv"), endpoint=service.sockets.endpoints["push"], batch_rows=25
        )
        assert (sent.rows, sent.frames, sent.refused) == (600, 24, 0)
        until(lambda: service.state.offset == 600)
    assert service.state.features == ("a", "b", "c")
    return path, state_hash(service.state)


def test_feeds_standard_input_and_says_what_was_left_out() -> None:
    refused = []
    with serving(settings()) as service:
        sent = feed.run(
            "-", endpoint=service.sockets.endpoints["push"], stdin=BytesIO(b"a,b\n1,2\n3,inf\n5,6\n7,8\n"),
            format="csv", limit=2, on_refused=refused.append,
        )  # fmt: skip
        until(lambda: service.state.offset == 2)
    assert (sent.rows, len(refused)) == (2, sent.refused)


def test_replays_the_same_state_at_any_pace(recorded: tuple[Path, str]) -> None:
    path, known = recorded
    assert replay.run(path).state_hash == known
    assert replay.run(path, group=1).state_hash == known
    slept: list[float] = []
    assert replay.run(path, pace=Pace.of("100000/s"), sleep=slept.append).state_hash == known
    assert replay.run(path, pace=Pace.of("x10"), sleep=slept.append).state_hash == known
    part = replay.run(path, wanted=Range(limit=130))
    assert (part.rows, part.frames) == (130, 6)
    steps = iter((True, True, False))
    assert replay.run(path, step=lambda frame: next(steps)).rows == 50
    assert replay.check(path).ok


def test_replays_into_a_running_engine(recorded: tuple[Path, str]) -> None:
    path, known = recorded
    with serving(settings()) as service:
        done = replay.run(path, to=service.sockets.endpoints["push"])
        assert (done.rows, done.frames) == (600, 24)
        until(lambda: service.state.offset == 600)
        assert state_hash(service.state) == known
        replay.run(path, to=service.sockets.endpoints["push"], wanted=Range(590), loop=3)
        until(lambda: service.state.offset == 630)
    with pytest.raises(ValueError, match="needs a running engine"):
        replay.run(path, loop=2)


def test_exit_codes_mean_something(recorded: tuple[Path, str], tmp_path: Path) -> None:
    path, known = recorded

    def ended(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "stream_mix.workers.replay", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
        return done.returncode, done.stdout, done.stderr

    assert ended(str(path)) == (0, f"600 rows replayed in 24 frames\nstate {known}\n", "")
    code, out, _ = ended(str(path), "--verify")
    assert (code, out.startswith("same: 600 rows"), known in out) == (0, True, True)
    (tmp_path / "other.toml").write_text('[[models]]\nname = "m"\nfamily = "diag"\nn_components = 2\n')
    code, out, _ = ended(str(path), "--verify", "--config", "other.toml")
    assert (code, out.startswith("different: ")) == (1, True)
    code, out, said = ended("none.journal")
    assert (code, out, said.count("\n")) == (2, "", 1)


def test_main_of_feed_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert feed.main([str(tmp_path / "none.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_watch_shows_what_is_heard() -> None:
    console = Console(file=StringIO(), width=100, force_terminal=False)
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        x = rows(2000)
        x[1500] = (500.0, 500.0, 500.0)
        with Producer(ends["push"], features=("a", "b", "c")) as producer:
            clock = iter(np.arange(0.0, 1000.0, 0.05).tolist())

            def tick() -> float:
                now = next(clock)
                if now < 2.0:
                    i = round(now / 0.05) * 50
                    producer.send(x[i : i + 50], id=[f"row-{j}" for j in range(i, i + len(x[i : i + 50]))])
                return now

            models = watch.run(endpoint=ends["publish"], seconds=8.0, console=console, clock=tick)
    seen = models["m"]
    assert seen.rows > 0
    assert seen.snapshot is not None
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "component" in text
    assert "strangest" in text
    with pytest.raises(ClientError, match="nobody publishes there"):
        watch.run(endpoint="tcp://127.0.0.1:9", seconds=1.0, timeout=0.1)


def test_watch_of_an_engine_without_rows_shows_that_it_lives_and_its_model() -> None:
    console = Console(file=StringIO(), width=100, force_terminal=False)
    with serving(settings()) as service:
        endpoint = service.sockets.endpoints["publish"]
        assert watch.run(endpoint=endpoint, seconds=0.5, console=console) == {}
        with Producer(service.sockets.endpoints["push"], features=("a", "b", "c")) as producer:
            producer.send(rows(200))
        until(lambda: service.state.published.get("snapshot/m", 0) > 0)
        # A second one, so that the topic is not new to the socket.
        with Subscriber(endpoint, kinds=("snapshot",)) as first, Subscriber(endpoint) as second:
            assert isinstance(first.receive(20.0), Snapshot)
            assert isinstance(second.receive(20.0), Snapshot)
            models = watch.run(endpoint=endpoint, model="m", seconds=1.0, console=console)
        with pytest.raises(ClientError, match="no model 'nosuch', expected one of m"):
            watch.run(endpoint=endpoint, model="nosuch", seconds=20.0, console=console)
    assert models["m"].snapshot is not None
    assert models["m"].rows == 0
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "the engine lives, offset 0; no rows heard" in text
    assert "the engine lives, offset 200" in text
    assert "nothing heard" not in text
