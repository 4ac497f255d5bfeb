"""`send --acked`: exit code 0 says that every row is durable, and nothing else does."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np

from stream_mix.config import Settings
from stream_mix.ports.journal import JournalReader
from stream_mix.protocol import decode_frame
from tests.cli.commands import call, csv_of, process, told
from tests.test_client_acked import free
from tests.workers.serving import LOCAL, Process, rows, serving, settings, until


def acked(folder: Path, to: str = LOCAL, **sections: Any) -> Settings:
    journal = {"path": str(folder / "a.journal")}
    return settings(ingest={"acked": to}, journal=journal, **sections)


def kept(config: Settings) -> Any:
    with JournalReader.open(config.journal.path) as reader:
        return np.concatenate([decode_frame(frame.raw).x for frame in reader.frames()])


def taken(config: Settings) -> int:
    with JournalReader.open(config.journal.path) as reader:
        return reader.end().rows


def test_a_file_is_safe_when_the_command_ends(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(500))
    config = acked(tmp_path)
    with serving(config) as service:
        to = service.sockets.endpoints["acked"]
        sent = told("send", table, "--acked", "--to", to, "--batch", "100")
        assert sent == {"rows": 500, "frames": 5, "refused": 0, "durability": "fsync", "known": 0}
        np.testing.assert_array_equal(kept(config), rows(500))
        # The same file again is a second file's worth of rows, but with --resume it is what is there already.
        again = call("send", table, "--acked", "--to", to, "--batch", "100", "--resume").stdout
        assert again.endswith("0 left out, 5 of the frames were there before, all acknowledged (fsync)\n")
        assert service.state.offset == 500
        said = call("send", table, "--acked", "--to", to, "--batch", "50").stdout
        assert said == f"500 rows sent in 10 frames to {to}, 0 left out, all acknowledged (fsync)\n"
        assert service.state.offset == 1000


def test_a_run_that_was_broken_off_is_resumed(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(5000))
    config = acked(tmp_path)
    with serving(config) as service:
        to = service.sockets.endpoints["acked"]
        how = ("send", table, "--acked", "--resume", "--to", to, "--batch", "10")
        slow = process(*how, "--rate", "2000", folder=tmp_path)
        until(lambda: service.state.offset > 200)
        slow.send_signal(signal.SIGINT)
        assert (slow.wait(20), slow.communicate()[1].strip()) == (130, "")
        assert 0 < service.state.offset < 5000
        assert told(*how)["known"] > 0
    np.testing.assert_array_equal(kept(config), rows(5000))


def test_no_engine_no_room_and_refused_rows_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(5))
    to = free()
    done = call("send", table, "--acked", "--to", to, "--timeout", "0.3")
    assert done.exit_code != 0
    alone = process("send", table, "--acked", "--to", to, "--timeout", "0.3", folder=tmp_path)
    _, said = alone.communicate(timeout=30)
    assert (alone.returncode, said.count("\n")) == (2, 1)
    assert said.startswith(f"error: {to}: no engine answered within 0.3 s; does one acknowledge there?")
    with serving(acked(tmp_path, engine={"features": ["x", "y"]})) as service:
        end = service.sockets.endpoints["acked"]
        refused = process("send", table, "--acked", "--to", end, folder=tmp_path)
        _, said = refused.communicate(timeout=30)
        why = "1 frame refused, the last: features: 'a' is not one of the 2 that the configuration fixes"
        assert (refused.returncode, said) == (2, f"error: {end}: {why}\n")
    push = process("send", table, "--resume", folder=tmp_path)
    assert "resume needs acked: nobody else knows what an engine has" in push.communicate(timeout=30)[1]
    assert push.returncode == 2


def test_an_engine_that_dies_in_the_middle_and_comes_back_gets_all(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(20_000))
    to = free()
    config = acked(tmp_path, to)
    with Process(config, tmp_path) as engine:
        how = ("--acked", "--to", to, "--batch", "20", "--timeout", "20")
        sending = process("send", table, *how, folder=tmp_path)
        until(lambda: taken(config) > 1000)
        engine.kill()
    with Process(config, tmp_path):
        said, error = sending.communicate(timeout=40)
        assert (sending.returncode, error) == (0, "")
        assert said.startswith("20000 rows sent in 1000 frames")
    np.testing.assert_array_equal(kept(config), rows(20_000))


def test_an_engine_that_dies_and_stays_away_is_said(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(20_000))
    to = free()
    config = acked(tmp_path, to)
    with Process(config, tmp_path) as engine:
        how = ("--acked", "--to", to, "--batch", "20", "--timeout", "1")
        sending = process("send", table, *how, folder=tmp_path)
        until(lambda: taken(config) > 1000)
        engine.kill()
        _, error = sending.communicate(timeout=40)
    assert sending.returncode == 2
    assert error.startswith(f"error: {to}: no acknowledgement within 1 s; ")
    assert "not safe: " in error
    assert error.count("\n") == 1
