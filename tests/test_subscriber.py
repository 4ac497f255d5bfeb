"""What a subscriber missed is noticed, and made good."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zmq

from stream_mix.client import Gaps, Producer, Subscriber
from stream_mix.client.gaps import Continuity
from stream_mix.protocol import Assignment, Heartbeat, Snapshot, encode_published
from tests.workers.serving import LOCAL, assigned, heard, rows, serving, settings, until


def test_shows_the_model_first_to_who_comes_late() -> None:
    config = settings(publish={"bind": LOCAL, "heartbeat_seconds": 0.05, "snapshot_every_seconds": 1000.0})
    with serving(config) as service:
        ends = service.sockets.endpoints
        with Producer(ends["push"]) as producer:
            producer.send(rows(640))
            until(lambda: service.state.offset == 640)
            with Subscriber(ends["publish"], query=ends["query"], kinds=("assignment", "snapshot")) as ears:
                first = heard(ears, lambda seen: len(seen) == 1)[0]
                assert isinstance(first, Snapshot)
                assert first.offset == 640
                producer.send(rows(30))
                answers = assigned(heard(ears, lambda seen: len(assigned(seen)) == 1))
                assert answers[0].offset == 640
                assert (ears.gaps.rows, ears.gaps.restarts, ears.gaps.snapshots) == (0, 0, 1)
                assert ears.silence < 5


def test_what_was_dropped_is_told_and_asked_for_again() -> None:
    config = settings(publish={"high_water_mark": 1}, models=[
        {"name": "m", "n_components": 3, "family": "diag", "batch_size": 64}
    ])  # fmt: skip
    with serving(config) as service:
        ends = service.sockets.endpoints
        with (
            Subscriber(ends["publish"], query=ends["query"], high_water_mark=1) as ears,
            Producer(ends["push"]) as producer,
        ):
            heard(ears, lambda seen: bool(seen) or service.state.offset == 0)
            # Far more than queues and the system's buffers hold: it goes on being published, and is dropped.
            sent = 0
            while ears.gaps.rows == 0 and sent < 6000:
                for i in range(200):
                    producer.send(rows(1000, seed=i % 7))
                sent += 200
                until(lambda: service.state.offset == 1000 * sent)  # noqa: B023  # called in this round
                while ears.receive(0.05) is not None and ears.gaps.rows == 0:
                    continue
            assert ears.gaps.rows > 0
            shown = ears.gaps.snapshots
            assert shown >= 1
            messages = heard(ears, lambda seen: any(
                isinstance(m, Snapshot) and m.offset >= 1000 * sent - 1064 for m in seen
            ))  # fmt: skip
            offsets = [message.offset for message in messages if isinstance(message, Snapshot)]
            assert offsets == sorted(offsets)


def test_an_engine_that_begins_anew_is_noticed(tmp_path: Path) -> None:
    where = {name: f"ipc://{tmp_path}/{name}" for name in ("push", "publish", "query")}
    config = settings(
        ingest={"push": where["push"]}, publish={"bind": where["publish"]}, query={"bind": where["query"]}
    )
    with Subscriber(where["publish"], query=where["query"], kinds=("snapshot", "heartbeat")) as ears:
        for turn in range(2):
            with serving(config) as service, Producer(where["push"]) as producer:
                producer.send(rows(128 * (turn + 1)))
                until(lambda: service.state.offset)
                heard(ears, lambda seen: any(isinstance(m, Snapshot) for m in seen))
                heard(ears, lambda seen: len(seen) > 3)
        assert ears.gaps.restarts == 1


def test_no_engine_is_silence() -> None:
    context = zmq.Context()
    feed = context.socket(zmq.XPUB)
    port = feed.bind_to_random_port("tcp://127.0.0.1")
    with Subscriber(f"tcp://127.0.0.1:{port}", kinds=["heartbeat"]) as ears:
        assert feed.poll(5000)
        for number in (3, 4, 9):
            feed.send_multipart(encode_published(Heartbeat(number, 0, None)))
        assert len(heard(ears, lambda seen: len(seen) == 3)) == 3
        assert ears.gaps == Gaps(messages=4)
        before = ears.silence
        assert ears.receive(0.2) is None
        assert ears.silence >= before + 0.15
    feed.close(linger=0)
    context.term()


@pytest.mark.parametrize(
    ("pub_seq", "offset", "new"), [(5, 10, False), (6, 10, True), (5, 11, True), (4, 9, False)]
)
def test_only_what_is_newer_is_news(pub_seq: int, offset: int, new: bool) -> None:
    def shot(number: int, at: int) -> Snapshot:
        empty = np.zeros((0,))
        return Snapshot("m", number, 1, at, None, "diag", None, (), empty, empty, empty)

    follow = Continuity()
    follow.asked(shot(5, 10))
    assert follow.news(shot(pub_seq, offset)) is new
    assert follow.news(Heartbeat(1, 0, None))


def test_a_heartbeat_tells_of_rows_behind_the_last_assignment() -> None:
    def told(offset: int, n: int, model: str = "m") -> Assignment:
        column = np.zeros(n)
        return Assignment(
            model=model, offset=offset, generation=1, components=(0,), label=column.astype(int), p=None,
            log_density=column, outlier=column, source=None, seq=None,
        )  # fmt: skip

    follow = Continuity()
    assert not follow.heard(Heartbeat(0, 100, None)), "nothing was heard of a model yet"
    assert not follow.heard(told(100, 10))
    assert not follow.heard(Heartbeat(1, 110, None))
    assert follow.heard(Heartbeat(2, 150, None))
    assert follow.gaps.rows == 40
    assert not follow.heard(Heartbeat(3, 150, None)), "it is told once"
    assert not follow.heard(told(150, 10)), "and not again by what comes next"
    assert not follow.heard(told(150, 10, "other"))
    assert follow.heard(Heartbeat(5, 170, None))
    assert (follow.gaps.rows, follow.gaps.messages) == (60, 1)
