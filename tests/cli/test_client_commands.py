"""send, query, watch, record, replay and journal, on real sockets and files."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest

from stream_mix import client
from stream_mix.cli import options
from stream_mix.client import Producer
from stream_mix.engine import state_hash
from tests.cli.commands import call, csv_of, process, told
from tests.workers.serving import rows, serving, settings, until


def test_default_endpoints_are_those_of_the_client() -> None:
    ours = (options.PUSH, options.ACKED, options.PUBLISH, options.QUERY)
    assert ours == (client.PUSH, client.ACKED, client.PUBLISH, client.QUERY)


def test_send_query_and_replay(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(500))
    config = settings(journal={"path": str(tmp_path / "a.journal")})
    with serving(config) as service:
        ends = service.sockets.endpoints
        sent = told("send", table, "--to", ends["push"], "--batch", "100")
        assert sent == {"rows": 500, "frames": 5, "refused": 0}
        until(lambda: service.state.offset == 500)
        ask = ("--endpoint", ends["query"])
        health = told("query", "health", *ask)
        assert (health["status"], health["offset"]) == ("ok", 500)
        assert "status" in call("query", "health", *ask).stdout
        snapshot = told("query", "snapshot", *ask)
        assert (snapshot["features"], len(snapshot["weights"])) == (["a", "b", "c"], 3)
        assert "component" in call("query", "snapshot", *ask, "--model", "m").stdout
        one = told("query", "predict", *ask, "--row", '{"a": 0, "b": 12, "c": -3}')
        assert one["p"][str(one["label"])] > 0.9
        assert 0 <= one["outlier"] <= 1
        many = call("query", "predict", table, *ask, "--json").stdout.splitlines()
        assert [json.loads(line)["row"] for line in many] == list(range(500))
        scores = told("query", "score", table, *ask)
        assert scores["mean"] == pytest.approx(sum(scores["log_density"]) / 500)
        mean = f"mean of 500 rows: {scores['mean']:.6f}\n"
        assert call("query", "score", table, *ask).stdout.endswith(mean)
        said = call("query", "predict", *ask, "--row", '{"a": 0, "b": 12}').stdout
        assert re.match(r"0: component \d \(.*\), log density -?\d", said)
    journal = tmp_path / "a.journal"
    replayed = told("replay", journal)
    assert (replayed["rows"], replayed["state_hash"]) == (500, state_hash(service.state))
    assert replayed["models"]["m"]["family"] == "diag"
    assert told("replay", journal, "--verify")["ok"] is True
    assert call("replay", journal, "--verify").stdout.startswith("same: 500 rows replayed")
    assert f"state {replayed['state_hash']}" in call("replay", journal).stdout
    part = told("replay", journal, "--from", "100", "--to-offset", "300", "--limit", "150", "--pace", "1e6/s")
    assert part["rows"] == 150
    none = call("replay", journal, "--since", "2000-01-01", "--until", "2000-01-02")
    assert (none.exit_code, none.stdout) == (2, "")
    assert "nothing matches --since 2000-01-01T00:00:00+00:00, --until" in none.stderr
    (tmp_path / "other.toml").write_text('[[models]]\nname = "other"\nn_components = 2\n')
    assert list(told("replay", journal, "--config", tmp_path / "other.toml")["models"]) == ["other"]


def test_replay_into_an_engine_loops_and_steps(tmp_path: Path) -> None:
    table, journal = csv_of(tmp_path / "rows.csv", rows(100)), tmp_path / "a.journal"
    made = told("journal", "import", table, journal)
    assert made == {"rows": 100, "frames": 1, "refused": 0, "offset": 100}
    with serving(settings()) as service:
        push = service.sockets.endpoints["push"]
        assert told("replay", journal, "--to", push, "--loop", "3")["rows"] == 300
        until(lambda: service.state.offset == 300)
        stepped = call("replay", journal, "--to", push, "--step", "--loop", "2", stdin="\nq\n")
        assert "100 rows replayed in 1 frames" in stepped.stdout
        assert "frame 0, offset 0, 100 rows [Enter, q]" in stepped.stderr
        until(lambda: service.state.offset == 400)


def test_journal_info_verify_export_and_import(tmp_path: Path) -> None:
    x = rows(50)
    table, journal = csv_of(tmp_path / "rows.csv", x), tmp_path / "a.journal"
    assert "50 rows in 1 frames written" in call("journal", "import", table, journal).stdout
    assert told("journal", "info", journal)["rows"] == 50
    assert "replay needs --config" in call("journal", "info", journal).stdout
    report = told("journal", "verify", journal)
    assert (report["ok"], report["rows"]) == (True, 50)
    assert call("journal", "export", journal, "-").stdout == table.read_text()
    assert "50 rows written" in call("journal", "export", journal, tmp_path / "b.csv.gz").stdout
    assert gzip.decompress((tmp_path / "b.csv.gz").read_bytes()).decode() == table.read_text()
    data = bytearray(journal.read_bytes())
    at = data.index(b"points") + 200
    data[at] ^= 1
    journal.write_bytes(data)
    damaged = call("journal", "verify", journal)
    assert damaged.exit_code == 1
    assert "sound before that: 0 frames" in damaged.stdout
    assert call("journal", "verify", journal, "--json").exit_code == 1


def test_a_different_recording_fails_verification(tmp_path: Path) -> None:
    journal = tmp_path / "a.journal"
    told("journal", "import", csv_of(tmp_path / "rows.csv", rows(50)), journal)
    (tmp_path / "a.toml").write_text("[[models]]\nn_components = 2\n")
    done = call("replay", journal, "--config", tmp_path / "a.toml", "--verify")
    assert (done.exit_code, done.stdout.startswith("nothing to compare")) == (1, True)


def test_rows_left_out_are_told_and_counted(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("a,b\n1,2\nx,3\n4,5\n" + "y,1\n" * 30)
    with serving(settings()) as service:
        done = call("send", tmp_path / "bad.csv", "--to", service.sockets.endpoints["push"])
        assert done.exit_code == 0
        assert "2 rows sent in 1 frames" in done.stdout
        assert "31 left out" in done.stdout
        first, *_, last = done.stderr.splitlines()
        assert re.search(r"bad.csv, line 3, column 'a': expected a number, got 'x'", first), first
        assert "more rows, counted only" in last
        until(lambda: service.state.offset == 2)


def test_rows_of_a_pipe_do_not_wait_for_more(tmp_path: Path) -> None:
    with serving(settings()) as service:
        push = service.sockets.endpoints["push"]
        with process("send", "-", "--to", push, "--json", folder=tmp_path, stdin=-1) as sender:
            assert sender.stdin is not None
            assert sender.stdout is not None
            for i in range(3):
                sender.stdin.write(f'{{"a": {i}, "b": 1}}\n')
                sender.stdin.flush()
                until(lambda rows=i + 1: service.state.offset == rows)  # type: ignore[misc]  # a default
            sender.stdin.close()
            assert json.loads(sender.stdout.read()) == {"rows": 3, "frames": 3, "refused": 0}
        assert sender.returncode == 0


def test_watch_as_json_lines(tmp_path: Path) -> None:
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with process("watch", ends["publish"], "--json", "--seconds", "20", folder=tmp_path) as watcher:
            assert watcher.stdout is not None
            assert json.loads(watcher.stdout.readline())["kind"] == "heartbeat"
            with Producer(ends["push"], source="s") as producer:
                producer.send(rows(200))
            kinds = set()
            while kinds != {"assignment", "snapshot"}:
                message = json.loads(watcher.stdout.readline())
                kinds.add(message["kind"])
                kinds.discard("heartbeat")
                kinds.discard("change")
                if message["kind"] == "assignment":
                    assert (len(message["label"]), message["source"]) == (200, "s")
            watcher.terminate()
            watcher.communicate()


def test_watch_shows_a_table() -> None:
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with Producer(ends["push"], source="s") as producer:
            producer.send(rows(200))
        done = call("watch", ends["publish"], "--seconds", "0.6")
        assert done.exit_code == 0


def test_record_keeps_frames_and_refusals(tmp_path: Path) -> None:
    out = tmp_path / "r.journal"
    with process("record", out, "--push", "tcp://127.0.0.1:*", "--rows", "150", folder=tmp_path) as recorder:
        assert recorder.stderr is not None
        assert recorder.stdout is not None
        said = recorder.stderr.readline()
        found = re.search(r"recording push (tcp://\S+) to", said)
        assert found, said
        with Producer(found[1], source="s") as producer:
            producer.send(rows(100))
            producer.send_raw(b"no frame")
            producer.send(rows(50))
        assert recorder.stdout.read() == "150 rows in 2 frames recorded, 1 frames refused; offset 150\n"
    assert recorder.returncode == 0
    info = told("journal", "info", out)
    assert (info["rows"], info["frames"], info["dead_letters"]) == (150, 2, 1)
    unknown = call("journal", "export", out, tmp_path / "x.foo")
    assert (unknown.exit_code, ".jsonl" in unknown.stderr, (tmp_path / "x.foo").exists()) == (2, True, False)
    letter = told("journal", "dead-letters", out, "--limit", "3")
    assert (letter["code"], letter["size"]) == ("not_msgpack", 8)
    assert re.search(r"\+00:00, 8 bytes, not_msgpack: \w", call("journal", "dead-letters", out).stdout)
    (tmp_path / "c.toml").write_text("[[models]]\nn_components = 3\nbatch_size = 50\n")
    assert told("replay", out, "--config", tmp_path / "c.toml")["rows"] == 150
    refused = call("replay", out)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.endswith("give a configuration\n")


def test_info_as_json_has_versions_and_defaults() -> None:
    found = told("info")
    assert found["families"] == ["diag", "full", "kmeans", "spherical", "tied"]
    assert found["defaults"]["ingest"]["push"] == options.PUSH
    assert found["defaults"]["ingest"]["acked"] == options.ACKED
    assert found["packages"]["numpy"]
    words = call("info").stdout
    assert "libzmq" in words
    assert "[[models]]" in words


def test_what_info_prints_as_defaults_is_a_configuration() -> None:
    from stream_mix.config import Settings, loads

    words = call("info").stdout
    assert loads(words[words.index("[engine]") :]) == Settings()
