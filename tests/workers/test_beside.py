"""Engines beside a program: what they raise is raised where they were started, and nothing is left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from stream_mix.ports.loop import Loop
from stream_mix.workers.beside import Child, EngineError, serving
from tests.workers.serving import settings, toml


def test_what_an_engine_raises_is_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(loop: Loop) -> None:
        raise LookupError("it broke")

    monkeypatch.setattr(Loop, "_turn", broken)
    with pytest.raises(LookupError, match="it broke"), serving(settings()) as service:
        pass
    assert service.sockets.context.closed


def test_an_engine_that_does_not_stop_is_said_and_not_closed_under_its_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stream_mix.workers.beside.PATIENCE", 0.05)
    go, turn = threading.Event(), Loop._turn

    def stuck(loop: Loop) -> None:
        go.wait()
        turn(loop)

    monkeypatch.setattr(Loop, "_turn", stuck)
    with pytest.raises(EngineError, match=r"did not stop within 0.05 s"), serving(settings()) as service:
        threads = [thread for thread in threading.enumerate() if "work" in thread.name]
    assert not service.sockets.context.closed
    go.set()
    for thread in threads:
        thread.join()
    service.close()


def test_an_engine_that_does_not_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[ingest]\npusch = 1\n")
    with pytest.raises(EngineError, match=r"ingest.pusch: unknown key"):
        Child(tmp_path / "a.toml")


def test_a_child_is_gone_when_the_block_is(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(toml(settings()))
    with Child(tmp_path / "a.toml") as engine:
        assert set(engine.endpoints) == {"push", "publish", "query"}
        assert engine.popen.poll() is None
        assert (engine.resumed, engine.ready > 0.0) == (0, True)
    assert engine.popen.poll() is not None
