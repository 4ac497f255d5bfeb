"""The commands before locked doors: with their keys, without, and with others'."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from stream_mix.keys import new_client
from stream_mix.protocol import Heartbeat
from stream_mix.workers.watch import Seen, table
from tests.cli.commands import call, csv_of, process, told
from tests.ports.test_doors import locked
from tests.workers.serving import rows, serving, until


def test_send_query_watch_and_replay_show_their_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = new_client(tmp_path / "keys", "press")
    gate, _ = new_client(tmp_path / "keys", "gate", ["push"], any_source=True)
    file = csv_of(tmp_path / "rows.csv", rows(300))
    with serving(locked(tmp_path / "keys", journal={"path": str(tmp_path / "a.journal")})) as service:
        ends = service.sockets.endpoints
        assert told("send", file, "--to", ends["push"], "--keys", secret)["rows"] == 300
        until(lambda: service.state.offset == 300)
        assert next(iter(service.state.marks)).startswith("press/rows.csv-")
        other = told("send", file, "--to", ends["push"], "--keys", secret, "--source", "oven")
        assert other["rows"] == 300, "PUSH cannot tell; the engine counts"
        until(lambda: service.loop.tally.rejected.get("forbidden") == 2)
        assert told("replay", tmp_path / "a.journal", "--to", ends["push"], "--keys", gate)["rows"] == 300
        until(lambda: service.state.offset == 600)
        refused = call("query", "health", "--endpoint", ends["query"], "--keys", gate, "--timeout", "2")
        assert (refused.exit_code, "does not let this key in" in refused.stderr) == (2, True)
        bare = call("query", "health", "--endpoint", ends["query"], "--timeout", "0.2")
        assert (bare.exit_code, "no answer within" in bare.stderr) == (2, True)
        monkeypatch.setenv("STREAM_MIX_KEYS", str(secret))
        assert told("query", "health", "--endpoint", ends["query"])["offset"] == 600
        with process("watch", ends["publish"], "--json", folder=tmp_path) as watcher:
            assert watcher.stdout is not None
            assert json.loads(watcher.stdout.readline())["kind"] in ("heartbeat", "snapshot")
            watcher.terminate()
            watcher.communicate()


def test_watch_says_when_it_is_idle_and_when_nobody_is_there() -> None:
    def shown(*told: object) -> str:
        out = StringIO()
        Console(file=out, width=120).print(table(*told))  # type: ignore[arg-type]  # as run gives them
        return out.getvalue()

    models = {"m": Seen(rows=10, rates=((1.0, 10),))}
    beat = Heartbeat(1, 10, None)
    assert "the engine lives, offset 10; idle, no rows for 99 s" in shown(models, 100.0, beat, 0.5)
    assert "idle" not in shown(models, 2.0, beat, 0.5)
    gone = shown(models, 9.0, beat, 7.0)
    assert "nothing heard for 7 s: the engine is stopped, or cannot be reached" in gone
    assert shown({}, 9.0, None, 9.0) == "nothing heard for 9 s\n"
