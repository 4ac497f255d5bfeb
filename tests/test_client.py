"""The client against an engine, and against nobody."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from stream_mix.client import ClientError, Producer, Query, Subscriber
from stream_mix.protocol import Limits, Snapshot
from tests.workers.serving import assigned, heard, rows, serving, settings, until

NOBODY = "tcp://127.0.0.1:9"


def test_round_trips_in_every_form_of_rows() -> None:
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with Subscriber(ends["publish"], model="m") as ears, Query(ends["query"]) as query:
            assert ears.connected()
            with Producer(ends["push"], source="me", features=("a", "b", "c")) as producer:
                producer.send({"a": 1.0, "b": 2.0, "c": 3.0}, t=1e9, id="one")
                producer.send([{"a": 1.0}, {"b": 2.0, "c": 3.0}], w=[1.0, 2.0])
                producer.send([0.0, 1.0, 2.0])
                producer.send(rows(400), t=np.arange(400.0), id=list(range(400)))
                assert (producer.seq, producer.rows_sent) == (4, 404)
            messages = heard(
                ears, lambda seen: len(assigned(seen)) == 4 and any(isinstance(m, Snapshot) for m in seen)
            )
            answers = assigned(messages)
            assert [(m.seq, m.offset, m.n) for m in answers] == [(0, 0, 1), (1, 1, 2), (2, 3, 1), (3, 4, 400)]
            assert answers[0].id == ("one",)
            snapshot = query.snapshot("m")
            assert snapshot.features == ("a", "b", "c")
            assert query.health().offset == 404
            prediction = query.predict(rows(5), features=("a", "b", "c"))
            assert prediction.p is not None
            np.testing.assert_allclose(prediction.p.sum(axis=1), 1.0, rtol=1e-5)
            np.testing.assert_array_equal(query.score(rows(5)).log_density, prediction.log_density)
            assert query.predict([{"a": 1.0}]).n == 1
            with pytest.raises(ClientError, match="snapshot: model: 'other' is not known, expected m"):
                query.snapshot("other")


def test_rows_wait_for_their_batch_and_nothing_is_lost_on_close() -> None:
    with serving(settings()) as service:
        with Producer(service.sockets.endpoints["push"], source="s", batch_rows=100) as producer:
            for row in rows(1050):
                producer.send(row)
            assert producer.rows_sent == 1000
            producer.send({"f0": 1.0, "f1": 1.0, "f2": 1.0})
        until(lambda: service.state.offset == 1051)
        assert service.state.counters.frames == 12


def test_what_is_too_long_for_a_frame_is_cut() -> None:
    limits = Limits(frame_bytes=4096, rows=100)
    config = settings(limits={"frame_bytes": 4096, "rows": 100})
    with serving(config) as service, Producer(service.sockets.endpoints["push"], limits=limits) as producer:
        producer.send(rows(1000), id=[f"row number {i}" for i in range(1000)])
        producer.send([{"f0": 1.5, "f1": 2.5, "f2": 3.5}] * 500)
        until(lambda: service.state.offset == 1500)
        assert not service.loop.tally.rejected


def test_rows_that_are_none_are_said() -> None:
    with serving(settings()) as service, Producer(service.sockets.endpoints["push"]) as producer:
        for bad, why in (
            ("text", "neither maps of features nor an array"),
            ([[1.0, np.inf]], "expected numbers of magnitude"),
            ([{"a": "seven"}], "expected a number, got 'seven'"),
            ([{"a": 1.0}, 3], "expected a map"),
        ):
            with pytest.raises(ClientError, match=why):
                producer.send(bad)  # type: ignore[arg-type]  # that is the point
        with pytest.raises(ClientError, match="t has 2 values, expected 1"):
            producer.send([1.0], t=[1.0, 2.0])
        with pytest.raises(ClientError, match="w: expected a weight above 0"):
            producer.send([1.0], w=-1.0)


def test_a_feature_that_is_none_is_missing() -> None:
    with serving(settings()) as service:
        with Producer(service.sockets.endpoints["push"]) as producer:
            producer.send({"a": 1.0, "b": None})
            producer.send([{"a": None, "b": 2.0}, {"a": 1.0, "b": 3.0}])
            with pytest.raises(ClientError, match="no good row"):
                producer.send({"a": None})
        until(lambda: service.state.offset == 3)
        assert service.state.features == ("a", "b")


def test_nobody_there_is_one_line_in_time() -> None:
    start = time.monotonic()
    with (
        Producer(NOBODY, timeout=0.1) as producer,
        pytest.raises(ClientError, match=r"nobody took a frame within 0\.1 s"),
    ):
        producer.send([1.0])
    with Query(NOBODY, timeout=0.1) as query, pytest.raises(ClientError, match=r"no answer within 0\.1 s"):
        query.health()
    with Subscriber(NOBODY, timeout=0.1) as ears:
        assert list(ears) == []
        assert not ears.connected(0.1)
    assert time.monotonic() - start < 5


def test_what_cannot_be_an_endpoint_is_one_line() -> None:
    with pytest.raises(ClientError, match="nonsense: cannot be connected to"):
        Producer("nonsense")
    with pytest.raises(ClientError, match="kinds is"):
        Subscriber(kinds=("assignments",))
    with pytest.raises(ClientError, match="batch_rows is 0"):
        Producer(NOBODY, batch_rows=0)


def test_closed_is_closed() -> None:
    producer = Producer(NOBODY)
    producer.close()
    producer.close()
    with pytest.raises(ClientError, match="closed"):
        producer.send([1.0])


def test_refuses_to_be_used_after_a_fork() -> None:
    with serving(settings()) as service, Producer(service.sockets.endpoints["push"]) as producer:
        # The child does nothing but ask, and leaves without cleaning up what is the parent's.
        pid = os.fork()
        if pid == 0:
            try:
                producer.send([1.0])
            except ClientError as error:
                os._exit(7 if "after a fork" in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        producer.send([1.0])
        until(lambda: service.state.offset == 1)
