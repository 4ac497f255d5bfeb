"""A journal that takes nothing: of those frames nothing is said, no more are read, and none are lost."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
import zmq

from stream_mix.client import Query, Subscriber
from stream_mix.engine import state_hash
from stream_mix.ports.journal import (
    Journal,
    JournalError,
    JournalFrame,
    JournalReader,
    JournalUnavailable,
    connect,
)
from stream_mix.ports.replaying import replay_into_model
from stream_mix.ports.service import Service
from stream_mix.protocol import encode_points
from tests.workers.serving import assigned, heard, rows, settings, until


class Full:
    """A disk that has no more pages to give while `full` is set, to open connections and to new ones."""

    def __init__(self) -> None:
        self.full = False
        self.open: list[sqlite3.Connection] = []

    def connect(self, path: str, *, writer: bool) -> sqlite3.Connection:
        db = connect(path, writer=writer)
        if writer:
            self.open = [db]
            self.set(self.full)
        return db

    def set(self, full: bool) -> None:
        self.full = full
        for db in self.open:
            pages = db.execute("PRAGMA page_count").fetchone()[0]
            db.execute(f"PRAGMA max_page_count={max(pages, 1) if full and pages else 1 << 30}")


def engine_journal(path: Path) -> Path:
    with Journal.open(path, meta={"settings": settings().text()}) as journal:
        for i in range(20):
            raw = encode_points(rows(10, seed=i), source="s", seq=i)
            journal.append([JournalFrame(i, i * 10, 10, "s", i, float(i), None, None, raw)])
    return path


def frame(i: int, size: int = 30_000) -> JournalFrame:
    return JournalFrame(i, i, 1, "s", i, float(i), None, None, bytes([i % 251]) * size)


def test_a_journal_says_why_it_takes_nothing_and_goes_on_with_what_was_committed(tmp_path: Path) -> None:
    path, disk = tmp_path / "j", Full()
    with Journal.open(path, connect=disk.connect) as journal:
        assert journal.unavailable is None
        assert not journal.reopen()
        journal.append([frame(0)])
        assert journal.committed == 0
        journal.commit()
        assert journal.committed == 1
        disk.set(True)
        journal.append([frame(1)])
        with pytest.raises(JournalUnavailable, match="full"):
            journal.commit()
        assert journal.unavailable is not None
        assert "full" in journal.unavailable
        with pytest.raises(JournalUnavailable, match="cannot be written any more"):
            journal.append([frame(1)])
        # Opened again it can be read, and is as full as before.
        assert not journal.reopen()
        assert (journal.next_id, journal.unavailable) == (1, None)
        journal.append([frame(1)])
        with pytest.raises(JournalUnavailable):
            journal.commit()
        disk.set(False)
        assert not journal.reopen()
        journal.append([frame(1), frame(2)])
        journal.commit()
    with JournalReader.open(path) as reader:
        assert list(reader.frames()) == [frame(0), frame(1), frame(2)]
        assert reader.verify().ok


def test_a_commit_that_was_made_although_it_failed_is_not_made_twice(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal.open(path) as journal:
        journal.append([frame(0)])
        journal.commit()
        journal.append([frame(1)])
        # The disk took the commit, and its word to us was lost.
        journal.commit()
        journal._kept = journal._kept._replace(frames=1, rows=1)
        journal._failed = "disk I/O error"
        assert journal.reopen()
        assert (journal.next_id, journal.next_offset) == (2, 2)
        journal.append([frame(2)])
    with JournalReader.open(path) as reader:
        assert list(reader.frames()) == [frame(0), frame(1), frame(2)]


def test_a_journal_that_is_another_when_it_is_opened_again_is_refused(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j") as journal:
        journal.append([frame(0)])
        journal.commit()
        journal._kept = journal._kept._replace(frames=7, rows=7)
        journal.next_id = 8
        journal._failed = "disk I/O error"
        with pytest.raises(JournalError, match="opened again it has 1 rows, not those committed"):
            journal.reopen()


def test_an_engine_holds_what_it_cannot_keep_and_reads_no_more(tmp_path: Path) -> None:
    path, disk = tmp_path / "a.journal", Full()
    config = settings(
        journal={"path": str(path), "commit_frames": 8}, ingest={"high_water_mark": 4}, query={},
    )  # fmt: skip
    stop = threading.Event()
    context = zmq.Context()
    push = context.socket(zmq.PUSH)
    push.set(zmq.SNDHWM, 4)
    push.set(zmq.SNDBUF, 8192)
    with Service(config, connect=disk.connect) as service:
        ends = service.sockets.endpoints
        push.connect(ends["push"])
        worker = threading.Thread(target=service.run, args=(stop.is_set,))
        with Subscriber(ends["publish"]) as ears, Query(ends["query"]) as query:
            worker.start()
            assert ears.connected()
            sent = 0

            def send() -> None:
                nonlocal sent
                push.send(encode_points(rows(400, seed=sent), source="s", seq=sent))
                sent += 1

            send()
            heard(ears, lambda seen: len(assigned(seen)) == 1)
            disk.set(True)
            send()
            until(lambda: query.health().status == "degraded")
            report = query.health()
            assert "full" in report.engine["journal"]
            assert (report.offset, service.journal and service.journal.next_offset) == (400, 800)
            # The sender is made to wait: what is not read fills its way here.
            while push.poll(300, zmq.POLLOUT):
                send()
            assert sent < 400
            assert service.state.offset == 400
            with JournalReader.open(path) as reader:
                assert reader.end().frames == 1
            disk.set(False)
            messages = heard(ears, lambda seen: len(assigned(seen)) == sent - 1)
            assert [message.seq for message in assigned(messages)] == list(range(1, sent))
            until(lambda: query.health().status != "degraded")
        stop.set()
        worker.join(20.0)
    push.close(linger=0)
    context.term()
    with JournalReader.open(path) as reader:
        assert [one.seq for one in reader.frames()] == list(range(sent))
    assert state_hash(replay_into_model(path)) == state_hash(service.state)


def test_an_engine_does_not_start_on_damage_and_says_where_it_is(tmp_path: Path) -> None:
    path = engine_journal(tmp_path / "a.journal")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE frame SET raw=x'00' WHERE id=5")
        db.execute("DELETE FROM checkpoint")
    db.close()
    wanted = "offset 50: damaged: the bytes of frame 5 .*; `stream-mix journal repair` writes what can be"
    with pytest.raises(JournalError, match=wanted):
        Service(settings(journal={"path": str(path)}))


def test_an_engine_that_must_stop_while_it_holds_frames_says_so(tmp_path: Path) -> None:
    path, disk = tmp_path / "a.journal", Full()
    context = zmq.Context()
    push = context.socket(zmq.PUSH)
    with Service(settings(journal={"path": str(path)}), connect=disk.connect) as service:
        push.connect(service.sockets.endpoints["push"])
        disk.set(True)
        push.send(encode_points(rows(400), source="s", seq=0))
        with pytest.raises(JournalUnavailable, match=r"1 frames that were taken are not kept: .*full"):
            service.run(lambda: service.loop.holding.group is not None)
    push.close(linger=0)
    context.term()
    with JournalReader.open(path) as reader:
        assert reader.end().frames == 0
