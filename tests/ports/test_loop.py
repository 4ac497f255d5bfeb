"""The loop with real sockets: all good frames answered, hostile ones counted, what is journalled is what
was learned."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq

from stream_mix.client import Producer, Query, Subscriber
from stream_mix.engine import state_hash
from stream_mix.mixture import Model, Rows, learn
from stream_mix.mixture import state_hash as model_hash
from stream_mix.ports.folding import outputs_of, plan_of
from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader
from stream_mix.ports.pacing import Pace, Range, chosen, raw_of
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.ports.service import Service
from stream_mix.ports.sockets import SocketError
from stream_mix.protocol import Assignment, Heartbeat, Snapshot, decode_frame, encode_points
from tests.workers.serving import LOCAL, assigned, heard, rows, serving, settings, until

HOSTILE = (
    b"", b"\xc1garbage", msgpack.packb(7), b"\x91" * 5000 + b"\xc0", msgpack.packb({"kind": "nope", "v": 1}),
    msgpack.packb({"kind": "points", "v": 1, "n": 2**40, "d": 1, "dtype": "f8", "x": b""}),
    msgpack.packb({"kind": "points", "v": 1, "n": 1, "d": 1, "dtype": "O", "x": b"12345678"}),
    encode_points([[1.0, 2.0, 3.0, 4.0]], source="wide", seq=0), b"x" * ((1 << 20) + 1),
)  # fmt: skip


def test_good_frames_are_answered_between_hostile_ones(tmp_path: Path) -> None:
    config = settings(journal={"path": str(tmp_path / "a.journal")})
    x = rows(3000)
    with serving(config) as service:
        ends = service.sockets.endpoints
        with (
            Subscriber(ends["publish"]) as ears,
            Producer(ends["push"], source="good", features="abc") as good,
        ):
            assert ears.connected()
            with Producer(ends["push"]) as bad:
                for i in range(100):
                    good.send(x[i * 30 : i * 30 + 30], id=[f"row-{j}" for j in range(i * 30, i * 30 + 30)])
                    bad.send_raw(HOSTILE[i % len(HOSTILE)])
                messages = heard(ears, lambda seen: len(assigned(seen)) == 100)
        until(lambda: sum(service.loop.tally.rejected.values()) == 100)
        with Query(ends["query"]) as query:
            assert query.health().engine["frames"] == 100
            assert query.health().engine["frames_refused"] == 100
            assert query.predict({"a": 0.0, "b": 0.0, "c": 0.0}).n == 1
    answers = assigned(messages)
    assert [message.seq for message in answers] == list(range(100))
    assert [message.offset for message in answers] == list(range(0, 3000, 30))
    assert answers[7].id == tuple(f"row-{j}" for j in range(210, 240))
    with JournalReader.open(config.journal.path) as reader:
        letters = reader.dead_letters()
        assert len(letters) == 100
        assert {letter.code for letter in letters} == set(service.loop.tally.rejected)
        assert {letter.source for letter in letters if letter.code == "shape"} == {"wide"}
    # The same rows, learned in a loop of one's own, replayed, and through the sockets: one state.
    model, _ = learn(Model.new(config.models[0].spec(), 3), Rows.of(x))
    assert model_hash(service.state.learners["m"].model) == model_hash(model)
    assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)
    verdict = verify(config.journal.path)
    assert verdict.ok, verdict.line()
    assert verdict.compared == 3000


def test_multipart_frames_are_refused_and_feeds_have_topics(tmp_path: Path) -> None:
    context = zmq.Context()
    feed = context.socket(zmq.XPUB)
    port = feed.bind_to_random_port("tcp://127.0.0.1")
    config = settings(ingest={"push": LOCAL, "subscribe": [f"tcp://127.0.0.1:{port}"], "topics": ["rows"]})
    with serving(config) as service:
        assert feed.poll(5000)
        assert feed.recv() == b"\1rows"
        frame = encode_points(rows(5))
        feed.send_multipart([b"rows/a", frame])
        feed.send_multipart([b"other", frame])
        feed.send_multipart([b"rows/a", frame, frame])
        until(lambda: service.loop.tally.rejected == {"multipart": 1})
        push = context.socket(zmq.PUSH)
        push.connect(service.sockets.endpoints["push"])
        push.send_multipart([frame, frame, frame])
        push.send(frame)
        until(lambda: service.loop.tally.rejected == {"multipart": 2} and service.state.offset == 10)
        push.close(linger=0)
    feed.close(linger=0)
    context.term()


def test_a_flood_on_one_socket_does_not_silence_the_other(tmp_path: Path) -> None:
    context = zmq.Context()
    feed = context.socket(zmq.XPUB)
    port = feed.bind_to_random_port("tcp://127.0.0.1")
    journal = {"path": str(tmp_path / "a.journal"), "commit_frames": 4}
    config = settings(ingest={"push": LOCAL, "subscribe": [f"tcp://127.0.0.1:{port}"]}, journal=journal)
    with Service(config) as service:
        assert feed.poll(5000)
        with Producer(service.sockets.endpoints["push"]) as producer:
            for _ in range(400):
                producer.send(rows(1))
        feed.send(encode_points(rows(1), source="feed", seq=0))
        assert service.sockets.feed is not None
        assert service.sockets.feed.poll(5000)
        until(lambda: service.state.offset == 401 or service.loop._turn())  # type: ignore[func-returns-value]  # None
    with JournalReader.open(config.journal.path) as reader:
        assert next(frame.id for frame in reader.frames() if frame.source == "feed") < 50
    feed.close(linger=0)
    context.term()


def test_queries_that_are_none_get_an_error() -> None:
    with serving(settings()) as service:
        context = zmq.Context()
        ask = context.socket(zmq.DEALER)
        ask.connect(service.sockets.endpoints["query"])
        for data in (b"", b"junk", msgpack.packb({"kind": "nonsense", "v": 1})):
            ask.send_multipart([b"", data])
            assert ask.poll(5000)
            assert msgpack.unpackb(ask.recv_multipart()[-1])["kind"] == "error"
        ask.close(linger=0)
        context.term()


def test_resumes_where_a_clean_stop_left(tmp_path: Path) -> None:
    config = settings(journal={"path": str(tmp_path / "a.journal"), "checkpoint_every_rows": 500})
    x = rows(2000)
    for part in range(4):
        with serving(config) as service:
            assert service.state.offset == 500 * part
            with Producer(service.sockets.endpoints["push"], source="s", start_seq=50 * part) as producer:
                for i in range(500 * part, 500 * part + 500, 10):
                    producer.send(x[i : i + 10])
            until(lambda: service.state.offset == 500 * (part + 1))  # noqa: B023  # called in this round
    model, _ = learn(Model.new(config.models[0].spec(), 3), Rows.of(x))
    assert model_hash(service.state.learners["m"].model) == model_hash(model)
    assert (service.state.counters.gaps, service.state.marks["s"].seq) == (0, 199)
    assert verify(config.journal.path).checkpoints == 3
    assert verify(config.journal.path, group=1).ok


def test_another_model_folds_the_journal_from_its_start(tmp_path: Path) -> None:
    config = settings(journal={"path": str(tmp_path / "a.journal")})
    with serving(config) as service:
        with Producer(service.sockets.endpoints["push"]) as producer:
            producer.send(rows(300))
        until(lambda: service.state.offset == 300)
    other = settings(journal=config.journal.model_dump(), models=[{"name": "m", "n_components": 2}])
    with Service(other) as service:
        assert service.state.offset == 300
        assert "is not used: engine state: made by other models" in "\n".join(service.lines())
        model, _ = learn(Model.new(other.models[0].spec(), 3), Rows.of(rows(300)))
        assert model_hash(service.state.learners["m"].model) == model_hash(model)
        # A replay that is told no settings is one by those that the engine goes on with.
        assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)
    fixed = settings(journal=config.journal.model_dump(), engine={"features": ["p", "q"]})
    with pytest.raises(JournalError, match="recorded under other settings"):
        Service(fixed)
    assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)


def test_what_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    with Service(settings(journal={"path": str(tmp_path / "a.journal")})) as service:
        taken = service.sockets.endpoints["push"]
        with pytest.raises(SocketError, match=f"ingest.push: cannot bind {taken}: the address is in use"):
            Service(settings(ingest={"push": taken}))
        with pytest.raises(JournalError, match="another process is writing"):
            Service(settings(journal={"path": str(tmp_path / "a.journal")}))
    (tmp_path / "b.journal").write_text("not a journal at all")
    with pytest.raises(JournalError, match="not a journal"):
        Service(settings(journal={"path": str(tmp_path / "b.journal")}))
    with closing(sqlite3.connect(tmp_path / "c.journal")) as db:
        db.execute("CREATE TABLE other (x)")
    with pytest.raises(JournalError, match="of another program"):
        Service(settings(journal={"path": str(tmp_path / "c.journal")}))
    assert not [path.name for path in tmp_path.glob("[bc].journal-*")]


def test_fewer_features_than_the_journal_has_are_refused_at_the_start(tmp_path: Path) -> None:
    journal = {"path": str(tmp_path / "a.journal")}
    with serving(settings(journal=journal)) as service:
        with Producer(service.sockets.endpoints["push"]) as producer:
            producer.send(rows(100))
        until(lambda: service.state.offset == 100)
    with pytest.raises(JournalError, match=r"has 3 features, limits\.features is 2"):
        Service(settings(journal=journal, limits={"features": 2}))


def test_says_it_lives_and_what_is_new() -> None:
    with serving(settings()) as service:
        ends = service.sockets.endpoints
        with Subscriber(ends["publish"], kinds=("heartbeat", "snapshot", "change")) as ears:
            assert ears.connected()
            with Producer(ends["push"]) as producer:
                producer.send(rows(640))
            messages = heard(
                ears, lambda seen: any(isinstance(m, Snapshot) and m.offset == 640 for m in seen)
            )
            messages += heard(ears, lambda seen: sum(isinstance(m, Heartbeat) for m in seen) > 2)
    beats = [message.pub_seq for message in messages if isinstance(message, Heartbeat)]
    assert beats == list(range(beats[0], beats[0] + len(beats)))
    assert not assigned(messages)


def test_memory_stays_flat_under_rows_and_rubbish(tmp_path: Path) -> None:
    config = settings(
        journal={"path": str(tmp_path / "a.journal"), "durability": "off", "record_outputs": False}
    )
    process = psutil.Process()
    with serving(config) as service:
        ends = service.sockets.endpoints
        frame = encode_points(rows(256), source="s")
        with Subscriber(ends["publish"], high_water_mark=10), Producer(ends["push"]) as producer:
            sizes = []
            for turn in range(1, 4):
                for i in range(300):
                    producer.send_raw(frame)
                    producer.send_raw(HOSTILE[i % (len(HOSTILE) - 1)])
                until(lambda: service.loop.tally.groups and service.state.offset == 256 * 300 * turn)  # noqa: B023
                sizes.append(process.memory_info().rss)
    assert sizes[-1] - sizes[0] < 30 << 20, sizes


def journal_of(path: Path, frames: int = 20, n: int = 10) -> Path:
    with Journal.open(path, meta={"settings": settings().text()}) as journal:
        for i in range(frames):
            raw = encode_points(rows(n, seed=i), source="ab"[i % 2], seq=i // 2, t=1e9 + i + np.arange(n) / n)
            journal.append(
                [JournalFrame(i, i * n, n, "ab"[i % 2], i // 2, 100.0 + i, 1e9 + i, 1e9 + i + 0.9, raw)]
            )
    return path


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Range(), (0, 200)), (Range(35, 47), (35, 47)), (Range(190), (190, 200)), (Range(0, 7), (0, 7)),
        (Range(limit=23), (0, 23)), (Range(95, limit=10), (95, 105)),
        (Range(since=105.0, until=107.0), (50, 70)),
        (Range(last=1.5), (180, 200)), (Range(since=1e9 + 18, clock="event"), (180, 200)),
    ],
)  # fmt: skip
def test_ranges_are_cut_to_the_row(tmp_path: Path, wanted: Range, offsets: tuple[int, int]) -> None:
    path = journal_of(tmp_path / "a.journal")
    with JournalReader.open(path) as reader:
        frames = list(chosen(reader, wanted))
    x = np.concatenate([decode_frame(frame.raw).x for frame in frames])
    np.testing.assert_array_equal(x, np.concatenate([rows(10, seed=i) for i in range(20)])[slice(*offsets)])
    assert (frames[0].offset, sum(frame.n for frame in frames)) == (offsets[0], offsets[1] - offsets[0])


def test_a_range_beyond_the_end_is_said(tmp_path: Path) -> None:
    with (
        JournalReader.open(journal_of(tmp_path / "a.journal")) as reader,
        pytest.raises(ValueError, match="has 200"),
    ):
        list(chosen(reader, Range(200)))


def test_paces_say_when_frames_are_due() -> None:
    frames = [
        JournalFrame(i, i, 2, None, None, at, None, None, b"") for i, at in enumerate((5.0, 6.0, 5.5, 60.0))
    ]

    def due(text: str, gap: float | None = None) -> list[float]:
        return [at for at, _ in Pace.of(text, gap).due(frames)]

    assert due("fast") == [0, 0, 0, 0]
    assert due("original") == [0, 1, 1, 55.5]
    assert due("x2", 10.0) == [0, 0.5, 0.5, 5.5]
    assert due("4/s") == [0, 0.5, 1, 1.5]
    for text in ("", "x", "x0", "-1/s", "slow", "xnan", "xinf"):
        with pytest.raises(ValueError, match="expected fast, original"):
            Pace.of(text)


def test_verify_finds_what_was_not_said(tmp_path: Path) -> None:
    config = settings(journal={"path": str(tmp_path / "a.journal")})
    with serving(config) as service:
        with Producer(service.sockets.endpoints["push"]) as producer:
            producer.send(rows(300))
        until(lambda: service.state.offset == 300)
    assert verify(config.journal.path).ok
    other = settings(models=[{"name": "m", "n_components": 3, "family": "full", "batch_size": 64}])
    verdict = verify(config.journal.path, other)
    assert not verdict.ok
    assert verdict.densities > 0
    assert verdict.unequal == (300,)
    assert verdict.first is not None
    assert verdict.line().startswith("different: ")
    with JournalReader.open(journal_of(tmp_path / "b.journal")) as reader:
        assert not list(reader.outputs())
    assert "nothing to compare" in verify(tmp_path / "b.journal").line()


def test_rows_cut_out_of_a_frame_are_a_frame() -> None:
    frame = decode_frame(
        encode_points(rows(4), id=[1, "b", 3, 4], features=["a", "b", "c"], t=[1.0, 2.0, 3.0, 4.0])
    )
    again = decode_frame(raw_of(frame))
    np.testing.assert_array_equal(again.x, frame.x)
    assert (again.id, again.features) == (frame.id, frame.features)


def test_outputs_cover_the_frames_that_follow() -> None:
    from stream_mix.engine import Frames, new, step

    group = [decode_frame(encode_points(rows(3, seed=i))) for i in range(3)]
    group.append(decode_frame(encode_points([[1.0]], features=["new"])))
    _, effects = step(new(plan_of(settings())), Frames(tuple(group)))
    outputs = outputs_of(effects, 40)
    assert [(output.frame, len(output.labels)) for output in outputs] == [(40, 9), (43, 1)]


def test_latency_is_milliseconds_when_little_is_asked(tmp_path: Path) -> None:
    """Not a measurement of speed: a lost wake-up or a wait for a full group would cost tens of
    milliseconds."""
    config = settings(journal={"path": str(tmp_path / "a.journal"), "durability": "os"})
    took = []
    with serving(config) as service:
        ends = service.sockets.endpoints
        with Subscriber(ends["publish"], kinds=("assignment",)) as ears, Producer(ends["push"]) as producer:
            assert ears.connected()
            for _ in range(40):
                start = time.perf_counter()
                producer.send(rows(1))
                assert isinstance(ears.receive(5.0), Assignment)
                took.append(time.perf_counter() - start)
    assert sorted(took)[20] < 0.03, sorted(took)[20]


def test_the_engine_needs_no_more_than_this() -> None:
    """A cold start imports no River, no scikit-learn and no plotting."""
    heavy = "('river', 'sklearn', 'matplotlib', 'pandas')"
    code = f"import stream_mix.workers.engine, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_frames_of_a_producer_that_is_gone_are_all_taken() -> None:
    """What a producer left behind is taken, however late; a ping to it would lose what the system holds."""
    context = zmq.Context()
    config = settings(ingest={"high_water_mark": 10})
    with Service(config) as service:
        push = context.socket(zmq.PUSH)
        push.set(zmq.SNDHWM, 10)
        push.connect(service.sockets.endpoints["push"])
        frame = encode_points(rows(1))
        for _ in range(3000):
            push.send(frame)
        push.close(linger=5000)
        context.term()
        # Longer than a ping's interval passes before the loop even begins.
        waited = threading.Event().wait(2.5)
        assert not waited
        worker = threading.Thread(target=service.run, args=(lambda: service.loop.state.offset >= 3000,))
        worker.start()
        worker.join(20.0)
        assert service.state.offset == 3000
