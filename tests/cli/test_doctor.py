"""The doctor's findings, good and bad."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from stream_mix.keys import new_client
from tests.cli.commands import call

OFF = '[ingest]\npush = "{push}"\nacked = ""\n[publish]\nbind = ""\n[query]\nbind = ""\n'
OFF += '[metrics]\nbind = ""\n'


def findings(path: Path, text: str) -> tuple[int, dict[str, tuple[str, str]]]:
    path.write_text(text)
    done = call("doctor", path, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.exit_code, {item["what"]: (item["verdict"], item["line"]) for item in found}


def test_all_is_well_and_each_check_is_a_line(tmp_path: Path) -> None:
    new_client(tmp_path / "keys", "press")
    text = OFF.format(push=f"ipc://{tmp_path}/push") + f'[journal]\npath = "{tmp_path}/a.journal"\n'
    text += f'[security]\nserver_key = "{tmp_path}/keys/server.secret"\n'
    code, found = findings(tmp_path / "a.toml", text)
    assert code == 0
    assert {"libzmq", "SQLite", "ingest.push", "server key", "clients", "journal", "clock"} <= set(found)
    assert found["clients"][1].endswith("lets in press")
    done = call("doctor", tmp_path / "a.toml")
    assert len(done.stdout.splitlines()) == len(found)
    assert all(line.split()[0] in ("ok", "warn") for line in done.stdout.splitlines())


def test_what_would_go_wrong_is_said_before(tmp_path: Path) -> None:
    new_client(tmp_path / "keys", "press")
    (tmp_path / "keys" / "server.secret").chmod(0o644)
    (tmp_path / "keys" / "clients").chmod(0o777)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = OFF.format(push=f"tcp://127.0.0.1:{port}") + '[journal]\npath = "/no/such/folder/a.journal"\n'
        text += f'[security]\nserver_key = "{tmp_path}/keys/server.secret"\n'
        code, found = findings(tmp_path / "a.toml", text)
    assert code == 1
    failed = {what: line for what, (verdict, line) in found.items() if verdict == "fail"}
    assert set(failed) == {"ingest.push", "server key", "clients", "journal"}
    assert "cannot be bound (address already in use)" in failed["ingest.push"]
    assert "expected chmod 600" in failed["server key"]
    assert "others may write there" in failed["clients"]
    assert failed["journal"] == "/no/such/folder: no such folder"


def test_a_configuration_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = call("doctor", tmp_path / "none.toml")
    assert (done.exit_code, done.stdout) == (2, "")
