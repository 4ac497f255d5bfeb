"""A producer whose rows are acknowledged, against engines that are there, are not, die and come back."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_mix.client import ClientError, Producer, Query, Unsafe
from stream_mix.config import Settings
from stream_mix.engine import Done, state_hash
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.protocol import Limits, decode_frame
from tests.workers.serving import LOCAL, PATIENCE, Process, rows, serving, settings, until

NOBODY = "tcp://127.0.0.1:9"


def acked(folder: Path | None = None, *, to: str = LOCAL, **sections: Any) -> Settings:
    """Settings of an engine that acknowledges, at an endpoint that stays the same."""
    journal = {"path": str(folder / "a.journal")} if folder else {}
    return settings(ingest={"push": LOCAL, "acked": to}, journal=journal, **sections)


def free() -> str:
    """An endpoint that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{taken.getsockname()[1]}"


def journalled(config: Settings) -> tuple[list[int | None], np.ndarray[Any, Any]]:
    """The numbers of the frames in a journal, and their rows."""
    with JournalReader.open(config.journal.path) as reader:
        frames = list(reader.frames())
    return [frame.seq for frame in frames], np.concatenate([decode_frame(frame.raw).x for frame in frames])


def test_rows_are_safe_when_wait_returns(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service:
        with Producer(service.sockets.endpoints["acked"], acked=True, source="s", batch_rows=10) as producer:
            assert (producer.seq, producer.unsafe) == (0, Unsafe(0, 0))
            x = rows(105)
            producer.send(x[0], t=1.0, id="one")
            assert producer.unsafe == Unsafe(1, 0)
            for row in x[1:]:
                producer.send(row, t=1.0, id="more")
            assert producer.unsafe.rows >= 5
            producer.wait()
            assert (producer.unsafe, producer.seq, producer.rows_sent) == (Unsafe(0, 0), 11, 105)
            producer.send([{"f0": 1.0, "f1": 2.0}, {"f0": None, "f2": 2.0}])
        seqs, sent = journalled(config)
        assert seqs == list(range(12))
        np.testing.assert_array_equal(sent[:105], x)
        assert len(sent) == 107


def test_a_frame_leaves_when_it_is_large_or_old_enough() -> None:
    with serving(acked()) as service:
        end = service.sockets.endpoints["acked"]
        with Producer(end, acked=True, source="large", batch_rows=10_000, batch_bytes=24 * 50) as producer:
            for row in rows(100):
                producer.send(row)
            assert producer.seq == 2
        with Producer(end, acked=True, source="old", batch_rows=10_000, batch_seconds=0.05) as producer:
            producer.send(rows(1))
            until(lambda: producer.poll(0.01) or producer.seq == 1)  # type: ignore[func-returns-value]  # None
            until(lambda: producer.poll(0.01) or producer.unsafe.rows == 0)  # type: ignore[func-returns-value]  # None
    assert service.state.offset == 101


def test_nobody_there_is_one_line_in_time() -> None:
    start = time.monotonic()
    producer = Producer(NOBODY, acked=True, source="s", timeout=0.2, linger=0.2)
    why = r"no engine answered within 0\.2 s; does one acknowledge there\?; not taken: these rows; "
    with pytest.raises(ClientError, match=why):
        producer.send([1.0])
    assert producer.unsafe == Unsafe(0, 0), "what was not taken is not held"
    producer.close()
    with pytest.raises(ClientError, match="closed"):
        producer.send([1.0])
    assert time.monotonic() - start < 5
    with pytest.raises(ClientError, match="source: needed"):
        Producer(NOBODY, acked=True)
    with Producer(NOBODY) as push, pytest.raises(ClientError, match="nothing is acknowledged on PUSH"):
        push.wait()
    with Producer(NOBODY, acked=True, source="s") as held, pytest.raises(ClientError, match="expected send"):
        held.send_raw(b"")


def test_what_is_not_safe_is_said_and_becomes_safe_later(tmp_path: Path) -> None:
    to = free()
    config = acked(tmp_path, to=to)
    with Process(config, tmp_path) as engine:
        producer = Producer(to, acked=True, source="s", timeout=0.3, linger=0.3)
        producer.send(rows(10))
        producer.wait(PATIENCE)
        engine.kill()
    producer.send(rows(7, seed=1))
    with pytest.raises(ClientError, match=r"no acknowledgement within 0\.3 s; not safe: 7 rows, 1 frames on"):
        producer.wait()
    for i in range(300):
        try:
            producer.send(rows(1, seed=i))
        except ClientError as error:
            assert "not safe: 262 rows, 256 frames" in str(error)
            break
    assert producer.unsafe == Unsafe(262, 256), "no more than credit is held, and the rest is not taken"
    with Process(config, tmp_path):
        producer.wait(PATIENCE)
        assert producer.unsafe == Unsafe(0, 0)
        producer.close()
    seqs, _ = journalled(config)
    assert seqs == list(range(257))


def test_close_says_what_is_not_safe(tmp_path: Path) -> None:
    to = free()
    with Process(acked(tmp_path, to=to), tmp_path) as engine:
        producer = Producer(to, acked=True, source="s", linger=0.2)
        producer.send(rows(1))
        producer.wait()
        engine.kill()
    producer.send(rows(3))
    with pytest.raises(ClientError, match="not safe: 3 rows, 1 frames"):
        producer.close()
    producer.close()


def test_killed_again_and_again_nothing_is_lost_and_nothing_learned_twice(tmp_path: Path) -> None:
    to = free()
    config = acked(tmp_path, to=to)
    x = rows(60_000)
    sent, safe = 0, 0
    with Producer(to, acked=True, source="s", timeout=PATIENCE, linger=PATIENCE) as producer:
        for _ in range(4):
            with Process(config, tmp_path) as engine:
                goal = sent + 3000
                while sent < goal:
                    producer.send(x[sent : sent + 7])
                    sent += 7
                engine.kill()
            safe = sent - producer.unsafe.rows
            seqs, kept = journalled(config)
            assert len(kept) >= safe, "what was acknowledged is in the journal"
            assert seqs == list(range(len(seqs)))
        with Process(config, tmp_path) as engine:
            producer.wait(PATIENCE)
            assert engine.stop()[0] == 0
    seqs, kept = journalled(config)
    np.testing.assert_array_equal(kept, x[:sent])
    verdict = verify(config.journal.path)
    assert verdict.ok, verdict.line()
    with JournalReader.open(config.journal.path) as reader:
        assert reader.sources() == {"s": Done(len(seqs) - 1)}


def test_a_producer_that_begins_again_goes_on(tmp_path: Path) -> None:
    config = acked(tmp_path)
    x = rows(100)
    with serving(config) as service:
        end = service.sockets.endpoints["acked"]
        for start in range(0, 100, 20):
            with Producer(end, acked=True, source="s", batch_rows=5) as producer:
                producer.send(x[start : start + 20])
                producer.flush()
                assert producer.seq == start // 20 + 1
        # One that sends the same frames again, by its own count, goes on where it was.
        with Producer(end, acked=True, source="s", batch_rows=20, start_seq=0) as producer:
            for start in range(0, 140, 20):
                producer.send(rows(140)[start : start + 20] if start >= 100 else x[start : start + 20])
            producer.wait()
        ahead = Producer(end, acked=True, source="s", start_seq=9)
        with ahead, pytest.raises(ClientError, match="source s: frame 7 is the next, not 9"):
            ahead.send(x)
    seqs, kept = journalled(config)
    assert (seqs, len(kept)) == (list(range(7)), 140)


def test_a_second_producer_under_the_same_name_supersedes_the_first(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service:
        end = service.sockets.endpoints["acked"]
        first = Producer(end, acked=True, source="s", linger=0.5)
        first.send(rows(5))
        first.wait()
        with Producer(end, acked=True, source="s") as second:
            second.send(rows(5, seed=1))
            second.wait()
            first.send(rows(5, seed=2))
            with pytest.raises(ClientError, match=r"another producer has begun to speak.*safe: 5 rows"):
                first.wait(PATIENCE)
            second.send(rows(5, seed=3))
        with pytest.raises(ClientError, match="not safe: 5 rows"):
            first.close()
    _, kept = journalled(config)
    np.testing.assert_array_equal(kept, np.concatenate([rows(5), rows(5, seed=1), rows(5, seed=3)]))


def test_what_the_engine_refuses_is_raised_and_holds_up_nothing() -> None:
    with serving(acked(engine={"features": ["a", "b", "c"]})) as service:
        producer = Producer(service.sockets.endpoints["acked"], acked=True, source="s")
        producer.send(rows(5))
        producer.send([{"d": 1.0}, {"d": 2.0}])
        producer.send(rows(5))
        with pytest.raises(ClientError, match="1 frame refused, the last: features: 'd' is not one of the 3"):
            producer.wait()
        producer.wait()
        assert [(nack.seq, nack.code) for nack in producer.refused] == [(1, "value")]
        assert producer.unsafe == Unsafe(0, 0)
        producer.send([{"d": 3.0}])
        with pytest.raises(ClientError, match="1 frame refused"):
            producer.close()
    assert service.state.offset == 10


def test_a_bad_row_is_left_out_alone() -> None:
    with (
        serving(acked()) as service,
        Producer(service.sockets.endpoints["acked"], acked=True, source="s", batch_rows=100) as producer,
    ):
        x = rows(100)
        x[17] = np.inf
        with pytest.raises(ClientError, match="expected numbers of magnitude"):
            producer.send(x)
        x[18:30] = np.inf
        with pytest.raises(ClientError, match="13 rows are left out, the first"):
            producer.send(x)
        producer.wait()
    assert service.state.offset == 99 + 87


def test_what_is_too_long_for_a_frame_is_cut() -> None:
    limits = Limits(frame_bytes=4096, rows=100)
    with serving(acked(limits={"frame_bytes": 4096, "rows": 100})) as service:
        end = service.sockets.endpoints["acked"]
        with Producer(end, acked=True, source="s", limits=limits) as producer:
            producer.send(rows(1000), id=[f"row number {i}" for i in range(1000)])
            producer.send([{"f0": 1.5, "f1": 2.5, "f2": 3.5}] * 500)
    assert service.state.offset == 1500


def test_an_engine_without_a_journal_forgets_and_that_is_counted(tmp_path: Path) -> None:
    to = free()
    with Producer(to, acked=True, source="s", timeout=PATIENCE, linger=PATIENCE) as producer:
        for part in range(3):
            with Process(acked(to=to), tmp_path) as engine, Query(engine.endpoints["query"]) as query:
                producer.send(rows(10, seed=part))
                producer.send(rows(10, seed=part))
                producer.wait(PATIENCE)
                assert query.health().offset == 20
                assert producer.lost == 2 * part
                engine.kill()


def test_many_producers_at_once_keep_their_order(tmp_path: Path) -> None:
    config = acked(tmp_path)
    failed: list[BaseException] = []

    def work(number: int, end: str) -> None:
        try:
            with Producer(end, acked=True, source=f"p{number}", batch_rows=9, timeout=PATIENCE) as producer:
                for row in rows(2000, seed=number):
                    producer.send(row)
        except BaseException as error:
            failed.append(error)

    with serving(config) as service:
        threads = [
            threading.Thread(target=work, args=(i, service.sockets.endpoints["acked"])) for i in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # a producer never waits for ever
    assert not failed
    assert service.state.offset == 10_000
    assert (service.state.counters.gaps, service.state.counters.duplicates) == (0, 0)
    with JournalReader.open(config.journal.path) as reader:
        for number in range(5):
            kept = [decode_frame(frame.raw).x for frame in reader.frames(source=f"p{number}")]
            np.testing.assert_array_equal(np.concatenate(kept), rows(2000, seed=number))
    assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)


def test_what_cannot_be_an_endpoint_is_one_line() -> None:
    with pytest.raises(ClientError, match="nonsense: cannot be connected to"):
        Producer("nonsense", acked=True, source="s")


def test_refuses_to_be_used_after_a_fork() -> None:
    with (
        serving(acked()) as service,
        Producer(service.sockets.endpoints["acked"], acked=True, source="s") as producer,
    ):
        producer.send([1.0])
        pid = os.fork()
        if pid == 0:
            try:
                producer.wait()
            except ClientError as error:
                os._exit(7 if "after a fork" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        producer.wait()
    assert service.state.offset == 1
