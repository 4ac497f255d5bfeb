"""Acknowledged ingest behind keys, on a disk that fails: where three promises meet."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from stream_mix.client import ClientError, Producer, Query
from stream_mix.client.base import Client
from stream_mix.engine import Done, state_hash
from stream_mix.keys import new_client, read_secret, revoke
from stream_mix.ports.journal import JournalReader, JournalUnavailable
from stream_mix.ports.replaying import replay_into_model
from stream_mix.ports.service import Service
from tests.ports.peers import acked, peers
from tests.ports.test_doors import locked
from tests.ports.test_holding import Full
from tests.ports.test_metrics import get, values
from tests.workers.serving import LOCAL, PATIENCE, rows, serving, settings, until

FRAMES, ROWS = 12, 400


def test_a_producer_with_a_key_waits_for_a_full_disk_and_every_frame_is_learned_once(tmp_path: Path) -> None:
    path, disk = tmp_path / "a.journal", Full()
    secret, _ = new_client(tmp_path / "keys", "press")
    config = locked(
        tmp_path / "keys", ingest={"acked": LOCAL}, metrics={"bind": "127.0.0.1:0"},
        journal={"path": str(path), "commit_frames": 4},
    )  # fmt: skip
    stop = threading.Event()
    with Service(config, connect=disk.connect) as service:
        ends, acking = service.sockets.endpoints, service.loop.acking
        assert acking is not None
        assert service.metrics is not None
        worker = threading.Thread(target=service.run, args=(stop.is_set,))
        worker.start()
        producer = Producer(ends["acked"], acked=True, source="press", keys=secret, linger=PATIENCE)
        with Query(ends["query"], keys=read_secret(secret)) as query:
            producer.send(rows(ROWS))
            producer.wait(PATIENCE)
            disk.set(True)
            said = acking.tally.acks
            for i in range(1, 4):
                producer.send(rows(ROWS, seed=i))

            def degraded() -> bool:
                # A producer speaks when it is called: one that was told late of its connection asks first.
                producer.poll()
                return query.health().status == "degraded"

            until(degraded)
            # Nothing is acknowledged, and there is no credit for more.
            with pytest.raises(ClientError, match="3 frames on their way"):
                producer.wait(0.5)
            until(lambda: acking.credit == (0, 0))
            until(lambda: acking.tally.acks > said)
            # While it tries again it is ahead of the journal for a moment; whoever asks it is not told so.
            assert (acking.done, query.health().offset) == ({"press": Done(0)}, ROWS)
            metrics = f"{service.metrics.url}/metrics"
            until(lambda: values(get(metrics)[1])["stream_mix_credit_bytes"] == 0)
            with JournalReader.open(path) as reader:
                assert (reader.end().frames, reader.sources()) == (1, {"press": Done(0)})
            disk.set(False)
            for i in range(4, FRAMES):
                producer.send(rows(ROWS, seed=i))
            producer.wait(PATIENCE)
            assert producer.unsafe == (0, 0)
            until(lambda: query.health().status == "ok")
            assert acking.done == {"press": Done(FRAMES - 1)}
            until(lambda: values(get(metrics)[1])["stream_mix_credit_frames"] > 0)
            assert values(get(metrics)[1])["stream_mix_sources"] == 1
        producer.close()
        stop.set()
        worker.join(PATIENCE)
    with JournalReader.open(path) as reader:
        assert [frame.seq for frame in reader.frames()] == list(range(FRAMES))
        assert reader.sources() == {"press": Done(FRAMES - 1)}
        assert reader.verify().ok
    assert state_hash(replay_into_model(path)) == state_hash(service.state)
    # An engine without any trouble comes to the same.
    plain = settings(ingest={"acked": LOCAL}, journal={"path": str(tmp_path / "b.journal")})
    with (
        serving(plain) as other,
        Producer(other.sockets.endpoints["acked"], acked=True, source="press") as producer,
    ):
        for i in range(FRAMES):
            producer.send(rows(ROWS, seed=i))
    assert state_hash(other.state) == state_hash(service.state)


def test_what_is_held_at_a_stop_and_not_acknowledged_is_sent_again(tmp_path: Path) -> None:
    disk, config = Full(), acked(tmp_path)
    with (
        Service(config, connect=disk.connect) as service,
        Producer(service.sockets.endpoints["acked"], acked=True, source="s") as producer,
    ):
        producer.poll()
        stop = threading.Event()
        failed: list[JournalUnavailable] = []

        def work() -> None:
            try:
                service.run(stop.is_set)
            except JournalUnavailable as error:
                failed.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        disk.set(True)
        producer.send(rows(ROWS))
        until(lambda: service.loop.holding.group is not None)
        stop.set()
        worker.join(PATIENCE)
        assert "0 frames that were taken are not kept" in str(failed[0])
        assert producer.unsafe == (ROWS, 1)
        raw = producer._acked
        assert raw is not None
        raw.window._held.clear()  # the engine is gone; the rest of this test sends them anew
    with serving(config) as service:
        with Producer(service.sockets.endpoints["acked"], acked=True, source="s", start_seq=0) as producer:
            producer.send(rows(ROWS))
        assert service.state.offset == ROWS
    with JournalReader.open(config.journal.path) as reader:
        assert [frame.seq for frame in reader.frames()] == [0]


def test_those_who_ask_while_nothing_can_be_kept_are_told_so(tmp_path: Path) -> None:
    disk = Full()
    with Service(acked(tmp_path), connect=disk.connect) as service, peers(service, 2) as (first, second):
        first.send(0)
        until(lambda: bool(service.sockets.acked and service.sockets.acked.poll(0)))
        service.loop._turn()
        first.until(kind="ack", seq=0)
        disk.set(True)
        first.socket.send(first.frame(1, 4000))
        while service.loop.holding.group is None:
            service.loop._turn()
        assert first.until(kind="ack")[-1]["credit"] == 0
        second.hello("other", session=9, probe=7)
        until(lambda: service.loop._turn() is None and bool(second.socket.poll(0)))
        assert (ack := second.heard()) | {"credit": 0, "seq": -1, "probe": 7} == ack
        disk.set(False)
        while service.loop.holding.group is not None:
            service.loop._turn()
        assert first.until(kind="ack", seq=1)[-1]["seq"] == 1
        assert second.until(kind="ack", credit=256)[-1]["source"] == "other"


def test_a_key_is_bound_to_its_source_where_frames_are_acknowledged(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path / "keys", "press")
    other, _ = new_client(tmp_path / "elsewhere", "press")
    narrow, _ = new_client(tmp_path / "keys", "narrow", ["push"])
    config = locked(tmp_path / "keys", ingest={"acked": LOCAL})
    with serving(config) as service:
        to, doors = service.sockets.endpoints["acked"], service.sockets.doors
        assert doors is not None
        with (
            pytest.raises(ClientError, match="found 'oven', expected 'press'"),
            Producer(to, acked=True, source="oven", keys=secret) as producer,
        ):
            producer.send(rows(5))
        server = read_secret(secret).server
        for wrong in (narrow, replace(read_secret(other), server=server)):
            with (
                pytest.raises(ClientError, match="does not let this key in"),
                Producer(to, acked=True, source="press", keys=wrong) as producer,
            ):
                producer.send(rows(5))
        with Producer(to, acked=True, source="press/2", keys=secret) as producer:
            producer.send(rows(5))
            producer.wait(PATIENCE)
            assert service.state.offset == 5
            revoke(tmp_path / "keys", "press")
            until(lambda: doors.clients == 1)
            producer.send(rows(5))
            with pytest.raises(ClientError, match="no acknowledgement within"):
                producer.wait(0.5)
            until(lambda: doors.ignored.get("acked", 0) > 0)
            Client.close(producer)
        assert service.state.offset == 5
        assert service.loop.acking is not None
        assert set(service.loop.acking.done) == {"press/2"}
