"""The engine as a process: it can be killed, stopped, and told off in one line."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream_mix.client import Producer, Query, Subscriber
from stream_mix.engine import state_hash
from stream_mix.mixture import Model, Rows, learn
from stream_mix.mixture import state_hash as model_hash
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.protocol import Snapshot, decode_frame
from tests.workers.serving import Process, assigned, heard, rows, serving, settings, until


def test_killed_again_and_again_it_is_as_if_it_had_never_been(tmp_path: Path) -> None:
    config = settings(
        journal={"path": str(tmp_path / "a.journal"), "checkpoint_every_rows": 700},
        ingest={"high_water_mark": 50},
    )
    x = rows(40_000)
    rng = random.Random(0)
    sent = 0
    for _ in range(4):
        with Process(config, tmp_path) as engine:
            start = engine.resumed
            with Producer(engine.endpoints["push"], linger=0.0, source="s", timeout=10.0) as producer:
                with Query(engine.endpoints["query"]) as query:
                    goal = start + rng.randrange(500, 3000)
                    while query.health().offset < goal:
                        for _ in range(40):
                            producer.send(x[sent % 39_000 : sent % 39_000 + 7])
                            sent += 7
                engine.kill()
        with JournalReader.open(config.journal.path) as reader:
            assert reader.end().rows >= goal
    with Process(config, tmp_path) as engine:
        resumed = engine.resumed
        code, took, said = engine.stop()
        assert (code, said) == (0, "")
        assert took < 2.0
    # Whatever was journalled is what was learned: by a fold without a break, and by a loop of one's own.
    with JournalReader.open(config.journal.path) as reader:
        assert reader.end().rows == resumed
        last = reader.last_checkpoint()
        assert last is not None
        frames = [decode_frame(frame.raw) for frame in reader.frames()]
    verdict = verify(config.journal.path)
    assert verdict.ok, verdict.line()
    assert last.offset == resumed
    state = replay_into_model(config.journal.path)
    model = Model.new(config.models[0].spec(), 3)
    for frame in frames:
        model, _ = learn(model, Rows.of(frame.x))
    assert model_hash(state.learners["m"].model) == model_hash(model)
    assert state_hash(state) == verdict.state_hash


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly_under_load(tmp_path: Path, number: int) -> None:
    config = settings(
        journal={"path": str(tmp_path / "a.journal")}, publish={"snapshot_every_seconds": 1000.0},
        ingest={"high_water_mark": 100_000},
    )  # fmt: skip
    with Process(config, tmp_path) as engine, Subscriber(engine.endpoints["publish"]) as ears:
        assert ears.connected()
        with Producer(engine.endpoints["push"], source="s") as producer:
            for i in range(200):
                producer.send(rows(100, seed=i))
        heard(ears, lambda seen: len(assigned(seen)) >= 1)
        code, took, said = engine.stop(number)
        assert (code, said) == (0, "")
        assert took < 2.5
        # Nothing but the end made it publish a snapshot of all rows.
        heard(ears, lambda seen: any(isinstance(m, Snapshot) and m.offset == 19_968 for m in seen))
    with JournalReader.open(config.journal.path) as reader:
        found = reader.last_checkpoint()
        assert found is not None
        assert found.offset == reader.end().rows
        # PUSH promises nothing, but what had arrived when the signal came was taken.
        assert found.offset == 20_000


def engine(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stream_mix.workers.engine", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=folder, check=False)


def test_what_it_cannot_do_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with Process(settings(), tmp_path) as first:
        taken = first.endpoints["push"]
        (tmp_path / "b.toml").write_text(
            f'[ingest]\npush = "{taken}"\nacked = ""\n'
            '[publish]\nbind = ""\n[query]\nbind = ""\n[metrics]\nbind = ""\n'
        )
        again = engine("b.toml", folder=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    why = "the address is in use; is another engine running there?"
    assert again.stderr == f"engine: ingest.push: cannot bind {taken}: {why}\n"
    missing = engine("none.toml", folder=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert missing.stderr.startswith("engine: none.toml: no such file")


def test_says_that_components_have_heavy_tails() -> None:
    heavy = {"name": "m", "n_components": 3, "family": "diag", "degrees_of_freedom": 4}
    with serving(settings(models=[heavy])) as service:
        said = "models: m (diag, Student's t with 4 degrees of freedom, 3 components); kernels: "
        assert service.lines()[1].startswith(said)


def test_says_where_it_listens_and_what_it_learns(tmp_path: Path) -> None:
    with Process(settings(journal={"path": str(tmp_path / "a.journal")}), tmp_path) as engine:
        assert engine.lines[0].startswith("engine stream_mix: push tcp://127.0.0.1:")
        assert engine.lines[1].startswith("models: m (diag, 3 components); kernels: ")
        assert engine.lines[2].endswith("a.journal, new, durability fsync")
        with Producer(engine.endpoints["push"]) as producer:
            producer.send(rows(100))
        with Query(engine.endpoints["query"]) as query:
            until(lambda: query.health().offset == 100)
        engine.stop()
    with Process(settings(journal={"path": str(tmp_path / "a.journal")}), tmp_path) as engine:
        assert engine.lines[2].endswith("resumed at offset 100 from the checkpoint at 100 and 0 frames")
