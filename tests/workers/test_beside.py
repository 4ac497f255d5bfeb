"""Engines beside a program: what they raise is raised where they were started, and nothing is left behind."""

from __future__ import annotations

import os
import signal
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


def standing_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> Path:
    """Let a script run where an engine is asked for; it stays until it is killed."""
    script = folder / "engine.sh"
    script.write_text("\n".join(["#!/bin/sh", *lines, "exec tail -f /dev/null", ""]))
    script.chmod(0o755)
    monkeypatch.setattr("stream_mix.workers.beside.sys.executable", str(script))
    return folder / "a.toml"


def test_an_engine_that_hangs_while_it_starts_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = standing_in(tmp_path, monkeypatch, "echo engine", "echo it hangs >&2", 'echo $$ >pid')
    with pytest.raises(EngineError, match=r"^the engine did not start within 1 s: it hangs"):
        Child(path, seconds=1.0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_however_much_a_child_complains_it_is_not_held_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = "head -c 1000000 /dev/zero | tr '\\0' x >&2"
    path = standing_in(tmp_path, monkeypatch, flood, "echo engine", "echo journal: off")
    with Child(path, seconds=20.0) as engine:
        assert engine.lines == ["engine", "journal: off"]
        code, _, said = engine.stop()
    assert (code, said) == (-signal.SIGTERM, "x" * 1_000_000)


def test_a_child_is_gone_when_the_block_is(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(toml(settings()))
    with Child(tmp_path / "a.toml") as engine:
        assert set(engine.endpoints) == {"push", "publish", "query"}
        assert engine.popen.poll() is None
        assert (engine.resumed, engine.ready > 0.0) == (0, True)
    assert engine.popen.poll() is not None
