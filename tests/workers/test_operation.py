"""An engine as its operator sees it: signals, logs, health, and no secret anywhere."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from stream_mix.client import Producer, Query
from stream_mix.engine import state_hash
from stream_mix.keys import new_client, read_secret, revoke
from stream_mix.ports.metrics import STUCK_SECONDS, MetricsServer, Report
from stream_mix.ports.service import Service
from tests.ports.test_doors import locked
from tests.ports.test_metrics import get, values
from tests.workers.serving import Process, rows, serving, settings, toml, until


def line(engine: Process, wanted: str) -> str:
    """The next line of its log that has the words."""
    assert engine.popen.stdout is not None
    while wanted not in (said := engine.popen.stdout.readline()):
        assert said, f"ended without saying {wanted!r}"
    return said.strip()


def test_a_hangup_takes_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    config = settings(limits={"rows": 100})
    with Process(config, tmp_path) as engine:
        with Producer(engine.endpoints["push"]) as producer, Query(engine.endpoints["query"]) as query:
            producer.send(rows(100))
            until(lambda: query.health().offset == 100)
            changes = {"limits": {"rows": 10}, "journal": {"path": "new.journal"}}
            (tmp_path / "engine.toml").write_text(toml(settings(**changes)))
            engine.popen.send_signal(signal.SIGHUP)
            assert line(engine, "read again") == "configuration read again: took limits.rows"
            assert line(engine, "restart") == "configuration: journal.path changed; that needs a restart"
            producer.send(rows(100))
            until(lambda: query.health().engine["frames_refused"] == 1)
            (tmp_path / "engine.toml").write_text("[engine\n")
            engine.popen.send_signal(signal.SIGHUP)
            assert "warning: configuration not taken: " in line(engine, "not taken")
            assert query.health().offset == 100
        assert engine.stop()[0] == 0


def test_logs_are_json_on_request_and_hold_no_secret(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path / "keys", "press")
    config = locked(tmp_path / "keys", engine={"log": "json"}, journal={"path": str(tmp_path / "a.journal")})
    (tmp_path / "engine.toml").write_text(toml(config))
    import subprocess
    import sys

    command = [sys.executable, "-m", "stream_mix.workers.engine", str(tmp_path / "engine.toml")]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, cwd=tmp_path) as engine:
        assert engine.stdout is not None
        said = [engine.stdout.readline()]
        while "journal: " not in said[-1]:
            said.append(engine.stdout.readline())
        new_client(tmp_path / "keys", "late")
        said.append(engine.stdout.readline())
        revoke(tmp_path / "keys", "late")
        said.append(engine.stdout.readline())
        engine.send_signal(signal.SIGHUP)
        said.append(engine.stdout.readline())
        engine.terminate()
        out, errors = engine.communicate(timeout=20)
    records = [json.loads(text) for text in [*said, *out.splitlines()]]
    assert all(set(record) == {"t", "level", "message"} for record in records)
    messages = [record["message"] for record in records]
    assert "keys: asked for by every socket; 1 clients are let in" in messages
    assert "keys: let in from now on: late" in messages
    assert "keys: let in no more: late" in messages
    assert errors == ""
    kept = (path.read_bytes().decode("latin-1") for path in tmp_path.glob("*.journal*"))
    everything = "".join([*said, out, *kept])
    for path in (secret, tmp_path / "keys" / "server.secret", tmp_path / "keys" / "late.secret"):
        assert read_secret(path).secret not in everything
    assert read_secret(secret).public not in everything


def test_asking_changes_nothing(tmp_path: Path) -> None:
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with Producer(ends["push"]) as producer, Query(ends["query"]) as query:
            producer.send(rows(500))
            until(lambda: service.state.offset == 500)
            before = state_hash(service.state)
            for i in range(50):
                query.snapshot()
                query.health()
                query.predict(rows(200, seed=i))
                query.score(1e6 * rows(200, seed=i))
                query.predict({"f0": 1.0})
            assert state_hash(service.state) == before


def test_the_metrics_of_the_doors_and_the_queues(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press", ["push"])
    config = locked(tmp_path, metrics={"bind": "[::1]:0"}, journal={"path": str(tmp_path / "a.journal")})
    with serving(config) as service:
        assert service.metrics is not None
        url = service.metrics.url
        assert url.startswith("http://[::1]:")
        with (
            Producer(service.sockets.endpoints["push"], source="press", keys=secret) as producer,
            Query(service.sockets.endpoints["query"], keys=secret, timeout=1.0) as query,
        ):
            producer.send(rows(100))
            for _ in range(2):
                with pytest.raises(ValueError, match="does not let this key in"):
                    query.health()
        until(lambda: 'stream_mix_strangers_total{endpoint="query"' in get(f"{url}/metrics")[1])
        until(lambda: values(get(f"{url}/metrics")[1])["stream_mix_commits_total"] >= 1)
        seen = values(get(f"{url}/metrics")[1])
        assert seen["stream_mix_strangers_total query other endpoint"] >= 1
        assert seen["stream_mix_handshakes_total"] == 1
        assert seen["stream_mix_clients"] == 1
        assert seen["stream_mix_dropped_total"] == 0
        assert seen["stream_mix_unsaid_total"] == 0
        assert 0 <= seen["stream_mix_memory_level"] < 1
        assert 0 < seen["stream_mix_commit_seconds_total"] < 20
        assert 0 < seen["stream_mix_lag_seconds"] < 20


def test_an_engine_that_stands_still_is_neither_ready_nor_healthy() -> None:
    now = [0.0]
    server = MetricsServer("127.0.0.1", 0, lambda: now[0])
    try:
        server.show(Report(made=0.0, ready=True, status="ok"))
        assert (get(f"{server.url}/ready")[0], get(f"{server.url}/health")[0]) == (200, 200)
        now[0] = STUCK_SECONDS + 1
        assert get(f"{server.url}/ready")[0] == 503
        code, body = get(f"{server.url}/health")
        assert (code, json.loads(body)["status"]) == (503, "stuck")
        server.show(Report(made=now[0], ready=False, status="draining"))
        assert get(f"{server.url}/ready")[0] == 503
        assert json.loads(get(f"{server.url}/health")[1])["status"] == "draining"
    finally:
        server.close()


def test_a_stop_is_told_before_it_drains(tmp_path: Path) -> None:
    with Service(settings(metrics={"bind": "127.0.0.1:0"})) as service:
        assert service.metrics is not None
        url = f"{service.metrics.url}/ready"
        seen: list[int] = []
        take = service.loop._take

        def watched(sockets: list[object]) -> None:
            if service.loop.draining:
                seen.append(get(url)[0])
            take(sockets)  # type: ignore[arg-type]  # sockets, as they came

        service.loop._take = watched  # type: ignore[method-assign]  # to look while it drains
        push = service.sockets.push
        assert push is not None
        with Producer(service.sockets.endpoints["push"]) as producer:
            producer.send(rows(10))
            until(lambda: bool(push.poll(0)))
            service.run(lambda: True)
        assert seen == [503]
        assert service.state.offset == 10


def test_files_are_as_many_as_the_system_allows(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = min(64, soft)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(few, 256), hard))
    try:
        with Process(settings(), tmp_path) as engine:
            limits = Path(f"/proc/{engine.popen.pid}/limits")
            if not os.path.exists(limits):
                pytest.skip("this system does not tell the limits of a process")
            words = next(text for text in limits.read_text().splitlines() if "open files" in text).split()
            assert words[3] == words[4]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
