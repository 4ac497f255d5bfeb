"""The command in processes of its own: an engine end to end, Ctrl-C, broken pipes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from stream_mix.client import Producer
from tests.cli.commands import COMMAND, csv_of, process, told
from tests.workers.serving import PATIENCE, rows, serving, settings, toml

CONFIG = settings(journal={"path": "e.journal"}, metrics={"bind": "127.0.0.1:*"})


def started(folder: Path) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """An engine that listens."""
    (folder / "e.toml").write_text(toml(CONFIG))
    engine = process("run", "e.toml", folder=folder)
    assert engine.stdout is not None
    line = engine.stdout.readline()
    assert line, engine.communicate()
    while not engine.stdout.readline().startswith("journal"):
        assert engine.poll() is None
    return engine, dict(re.findall(r"(push|publish|query|metrics) (\S+?)(?:,|$)", line.strip()))


def test_an_engine_from_start_to_replay(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(300))
    engine, ends = started(tmp_path)
    with engine:
        again = process("run", "e.toml", folder=tmp_path)
        out, err = again.communicate(timeout=PATIENCE)
        assert (again.returncode, out, err.count("\n")) == (2, "", 1), "the journal has one writer"
        assert "e.journal" in err
        with table.open() as rows_in:
            command = [*COMMAND, "send", "-", "--to", ends["push"], "--json"]
            sent = subprocess.run(command, stdin=rows_in, capture_output=True, check=True)
        assert json.loads(sent.stdout) == {"rows": 300, "frames": 2, "refused": 0}
        while told("query", "health", "--endpoint", ends["query"])["offset"] < 300:
            assert engine.poll() is None
        live = told("query", "snapshot", "--endpoint", ends["query"])
        engine.send_signal(signal.SIGINT)
        out, err = engine.communicate(timeout=PATIENCE)
        assert (engine.returncode, out, err) == (0, "stopped at offset 300\n", "")
    replayed = told("replay", tmp_path / "e.journal")
    assert replayed["rows"] == 300
    assert replayed["models"]["m"]["generation"] == live["generation"]
    assert told("replay", tmp_path / "e.journal", "--verify")["ok"] is True


def interrupted(running: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and error output after Ctrl-C."""
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=PATIENCE)
    return running.returncode, err


def test_ctrl_c_of_replay_watch_and_send(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    told("journal", "import", csv_of(tmp_path / "rows.csv", rows(100)), path)
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with process("watch", ends["publish"], "--json", folder=tmp_path) as watcher:
            assert watcher.stdout is not None
            assert watcher.stdout.readline(), "it hears"
            assert interrupted(watcher) == (130, "")
        endless = ("--to", ends["push"], "--loop", "0", "--pace", "1000/s")
        with process("replay", path, *endless, folder=tmp_path) as run:
            while service.state.offset < 100:
                assert run.poll() is None
            assert interrupted(run) == (130, "")
        with process("send", "-", "--to", ends["push"], folder=tmp_path, stdin=subprocess.PIPE) as sender:
            assert sender.stdin is not None
            sender.stdin.write("a,b,c\n1,2,3\n")
            sender.stdin.flush()
            while not any(source.startswith("stdin-") for source in service.state.marks):
                assert sender.poll() is None
            assert interrupted(sender) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_record_ends_cleanly(tmp_path: Path, number: int) -> None:
    out = tmp_path / "r.journal"
    with process("record", out, "--push", "tcp://127.0.0.1:*", "--json", folder=tmp_path) as recorder:
        assert recorder.stderr is not None
        found = re.search(r"push (tcp://\S+)", recorder.stderr.readline())
        assert found
        with Producer(found[1], source="s") as producer:
            producer.send(rows(40))
        deadline = time.monotonic() + PATIENCE
        while not out.exists() or told("journal", "info", out)["rows"] < 40:
            assert time.monotonic() < deadline
        recorder.send_signal(number)
        said, err = recorder.communicate(timeout=PATIENCE)
    assert (recorder.returncode, err) == (0, "")
    assert json.loads(said) == {"rows": 40, "frames": 1, "refused": 0, "offset": 40}


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    told("journal", "import", csv_of(tmp_path / "rows.csv", rows(20_000)), path)
    with process("journal", "export", path, "-", folder=tmp_path) as exporter:
        assert exporter.stdout is not None
        assert exporter.stdout.readline() == "a,b,c\n"
        exporter.stdout.close()
        assert exporter.stderr is not None
        assert exporter.stderr.read() == ""
    assert exporter.returncode == 0


def test_on_a_terminal_there_is_a_bar_and_red(tmp_path: Path) -> None:
    told("journal", "import", csv_of(tmp_path / "rows.csv", rows(20_000)), tmp_path / "a.journal")
    (tmp_path / "c.toml").write_text("[[models]]\n")
    seen = on_terminal("replay", "a.journal", "--config", "c.toml", folder=tmp_path)
    assert "replaying" in seen
    assert "\033[31merror: nix.csv: cannot be read" in on_terminal("send", "nix.csv", folder=tmp_path)


def on_terminal(*arguments: str, folder: Path) -> str:
    """What a command writes to a terminal as its error output."""
    master, slave = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=slave, cwd=folder, env=environ
    ) as running:
        os.close(slave)
        seen = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        running.wait(PATIENCE)
    os.close(master)
    return seen.decode(errors="replace")
