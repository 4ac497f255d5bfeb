"""Acknowledged ingest, spoken to with plain sockets: order, repetitions, gaps, refusals, credit, names."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from stream_mix.engine import Done, state_hash
from stream_mix.ports.group import Group
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.ports.service import Service
from stream_mix.ports.sockets import from_peer
from stream_mix.protocol import ProtocolError, encode_points
from tests.workers.serving import LOCAL, PATIENCE, rows, serving, settings, until

Message = dict[str, Any]


def acked(folder: Path | None = None, **ingest: Any) -> Any:
    """Settings of an engine that acknowledges."""
    journal = {"path": str(folder / "a.journal")} if folder else {}
    return settings(ingest={"push": LOCAL, "acked": LOCAL, **ingest}, journal=journal)


class Peer:
    """A producer of plain pyzmq and msgpack."""

    def __init__(self, service: Service) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.set(zmq.LINGER, 0)
        self.socket.connect(service.sockets.endpoints["acked"])

    def frame(self, seq: int, n: int = 5, source: str = "s") -> bytes:
        return encode_points(rows(n, seed=seq), source=source, seq=seq)

    def send(self, *seqs: int, source: str = "s") -> None:
        for seq in seqs:
            self.socket.send(self.frame(seq, source=source))

    def hello(self, source: str = "s", **more: int) -> None:
        self.socket.send(msgpack.packb({"kind": "hello", "v": 1, "source": source, **more}))

    def heard(self) -> Message:
        assert self.socket.poll(round(PATIENCE * 1000)), "no answer came"
        message: Message = msgpack.unpackb(self.socket.recv())
        return message

    def until(self, **wanted: Any) -> list[Message]:
        """All answers up to the first that has these values."""
        messages = [self.heard()]
        while any(messages[-1].get(key) != value for key, value in wanted.items()):
            messages.append(self.heard())
        return messages

    def close(self) -> None:
        self.socket.close()
        self.context.term()


@contextmanager
def peers(service: Service, count: int = 1) -> Iterator[list[Peer]]:
    found = [Peer(service) for _ in range(count)]
    try:
        yield found
    finally:
        for peer in found:
            peer.close()


@contextmanager
def stepped(config: Any) -> Iterator[Service]:
    """An engine whose loop the test turns by hand."""
    with Service(config) as service:
        yield service


def arrived(service: Service) -> None:
    """Wait until there is something to be read on the acked socket."""
    assert service.sockets.acked is not None
    assert service.sockets.acked.poll(round(PATIENCE * 1000))


def test_an_ack_says_how_far_and_how_durable(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service) as (peer,):
        peer.send(0, 1, 2)
        ack = peer.until(kind="ack", seq=2)[-1]
        assert ack == {
            "kind": "ack", "v": 1, "source": "s", "seq": 2, "credit": 256, "credit_bytes": 16 << 20,
            "durability": "fsync",
        }  # fmt: skip
        with JournalReader.open(service.settings.journal.path) as reader:
            assert [(frame.source, frame.seq) for frame in reader.frames()] == [("s", 0), ("s", 1), ("s", 2)]
            assert reader.sources() == {"s": Done(2)}
    for durability in ("os", "off"):
        journal = {"path": str(tmp_path / durability), "durability": durability}
        config = settings(ingest={"acked": LOCAL}, journal=journal)
        with serving(config) as service, peers(service) as (peer,):
            peer.send(0)
            assert peer.heard()["durability"] == durability
    with serving(acked()) as service, peers(service) as (peer,):
        peer.send(0)
        assert peer.heard()["durability"] == "off"


def test_nothing_is_acknowledged_before_it_is_committed(tmp_path: Path) -> None:
    with stepped(acked(tmp_path)) as service, peers(service) as (peer,):
        journal = service.journal
        assert journal is not None
        seen: list[bool] = []
        commit = journal.commit

        def watched() -> None:
            seen.append(bool(peer.socket.poll(50)))
            commit()

        journal.commit = watched  # type: ignore[method-assign]  # looks, and does the same
        peer.send(0, 1)
        arrived(service)
        service.loop._turn()
        journal.commit = commit  # type: ignore[method-assign]  # as it was
        assert seen == [False]
        assert peer.heard()["seq"] in (0, 1)


def test_what_comes_again_is_dropped_and_acknowledged_again(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service, peers(service) as (peer,):
        peer.send(0, 1, 2)
        peer.until(seq=2)
        peer.send(0)
        assert peer.heard()["seq"] == 2
        peer.send(1, 2, 3)
        peer.until(seq=3)
        assert service.loop.acking is not None
        assert service.loop.acking.tally.duplicates == 3
    assert service.state.offset == 20
    assert service.state.counters.duplicates == 0
    with serving(config) as service, peers(service) as (peer,):
        # The mark is the journal's: a restart knows it.
        peer.send(3)
        assert peer.heard()["seq"] == 3
        peer.send(4)
        assert peer.heard()["seq"] == 4
        assert service.state.offset == 25


def test_a_gap_is_refused_and_nothing_behind_it_is_taken(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service) as (peer,):
        peer.send(0)
        peer.until(seq=0, kind="ack")
        peer.send(3)
        nack = peer.heard()
        assert (nack["kind"], nack["seq"], nack["code"], nack["expected"]) == ("nack", 3, "gap", 1)
        assert (nack["source"], nack["reason"]) == ("s", "seq: expected 1, got 3, which leaves out 2")
        peer.send(2, 1, 3, 2, 3)
        # Told at most once in a group, so it may have been told already.
        nacks = [m for m in peer.until(kind="ack", seq=3) if m["kind"] == "nack"]
        assert all(nack["code"] == "gap" and nack["expected"] < nack["seq"] for nack in nacks)
    assert service.state.offset == 20
    with JournalReader.open(service.settings.journal.path) as reader:
        assert [frame.seq for frame in reader.frames()] == [0, 1, 2, 3]
        assert not reader.dead_letters()


def test_a_source_begins_at_0(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service) as (peer,):
        peer.send(7)
        nack = peer.heard()
        assert (nack["code"], nack["expected"]) == ("gap", 0)
        peer.hello(probe=3)
        assert peer.heard()["seq"] == -1
    assert service.state.offset == 0
    with JournalReader.open(service.settings.journal.path) as reader:
        assert reader.sources() == {}


def bad(seq: int) -> bytes:
    """A frame with its name and number, and a check sum that does not match."""
    message = msgpack.unpackb(encode_points(rows(5), source="s", seq=seq, crc=True))
    return msgpack.packb({**message, "crc": message["crc"] ^ 1})


def test_a_refused_frame_is_done_and_holds_up_nothing(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service, peers(service) as (peer,):
        peer.socket.send(bad(0))
        peer.send(1)
        peer.socket.send(encode_points([[1.0, 2.0]], source="s", seq=2))
        peer.send(3)
        messages = peer.until(kind="ack", seq=3)
        nacks = [(m["seq"], m["code"], "expected" in m) for m in messages if m["kind"] == "nack"]
        assert nacks == [(0, "crc", False), (2, "shape", False)]
        assert service.state.offset == 10
    with serving(config) as service, peers(service) as (peer,):
        # Whoever asks again, after a restart too, is told the same, though now it would be taken.
        peer.send(0, 1, 2)
        messages = peer.until(kind="ack", seq=3)
        while sum(m["kind"] == "nack" for m in messages) < 2:
            messages += peer.until(kind="ack", seq=3)
        nacks = [(m["seq"], m["code"], "expected" in m) for m in messages if m["kind"] == "nack"]
        assert nacks == [(0, "crc", False), (2, "shape", False)]
        assert service.state.offset == 10
    with JournalReader.open(config.journal.path) as reader:
        assert [(letter.source, letter.code) for letter in reader.dead_letters()] == [
            ("s", "crc"), ("s", "shape")
        ]  # fmt: skip
        assert reader.verify().ok


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"), (b"\xc1rubbish", "not_msgpack"), (msgpack.packb(7), "type"),
        (encode_points([[1.0, 2.0, 3.0]]), "missing_key"),
        (encode_points([[1.0, 2.0, 3.0]], source="s"), "missing_key"),
        (msgpack.packb({"kind": "hello", "v": 1}), "missing_key"),
        (msgpack.packb({"kind": "hello", "v": 1, "source": "s", "session": "me"}), "type"),
        (msgpack.packb({"kind": "nope", "v": 1, "source": "s"}), "kind"),
    ],
)  # fmt: skip
def test_what_says_not_which_frame_it_is_counts_for_none(data: bytes, code: str) -> None:
    with serving(acked()) as service, peers(service) as (peer,):
        peer.send(0)
        peer.until(kind="ack", seq=0)
        peer.socket.send(data)
        nack = peer.heard()
        assert (nack["kind"], nack["seq"], nack["code"]) == ("nack", -1, code)
        peer.send(1)
        assert peer.heard()["seq"] == 1


def test_several_parts_are_refused() -> None:
    with serving(acked()) as service, peers(service) as (peer,):
        peer.socket.send_multipart([peer.frame(0), peer.frame(1)])
        nack = peer.heard()
        assert (nack["seq"], nack["code"]) == (-1, "multipart")
        peer.send(0)
        assert peer.heard()["seq"] == 0


def test_a_frame_that_is_too_long_is_refused_in_its_turn() -> None:
    config = settings(ingest={"acked": LOCAL}, limits={"frame_bytes": 400})
    with serving(config) as service, peers(service) as (peer,):
        peer.socket.send(peer.frame(0, n=25))
        peer.send(1)
        messages = peer.until(kind="ack", seq=1)
        assert [(m["seq"], m["code"]) for m in messages if m["kind"] == "nack"] == [(0, "too_large")]


def test_a_producer_beyond_its_credit_is_told_and_its_frames_forgotten(tmp_path: Path) -> None:
    with stepped(acked(tmp_path, credit_frames=4)) as service, peers(service) as (peer,):
        group = drained(service, peer, 10)
        assert (group.acked, group.reached) == ([0, 1, 2, 3], {"s": 3})
        nack = peer.heard()
        assert (nack["kind"], nack["seq"], nack["code"], nack["expected"]) == ("nack", 4, "credit", 4)
        assert nack["reason"] == f"credit: more than 4 frames or {16 << 20} bytes without an ack"
        assert not peer.socket.poll(100), "it is told once"


def test_bytes_count_for_credit_too(tmp_path: Path) -> None:
    size = 3 * len(encode_points(rows(5), source="s", seq=0))
    with stepped(acked(tmp_path, credit_bytes=size)) as service, peers(service) as (peer,):
        group = drained(service, peer, 10)
        assert (group.acked, sum(map(len, group.raws))) == ([0, 1, 2], size)
        assert peer.heard()["code"] == "credit"


def drained(service: Service, peer: Peer, count: int) -> Group:
    """So many frames, read into one group of which nothing is durable yet."""
    group = Group()
    acking = service.loop.acking
    assert acking is not None
    peer.send(*range(count))
    while group.looked < count:
        arrived(service)
        acking.take(group)
    return group


def test_credit_is_shared_by_those_at_work() -> None:
    config = settings(ingest={"acked": LOCAL, "credit_bytes_together": 8 << 20, "credit_bytes": 6 << 20})
    with serving(config) as service, peers(service, 4) as found:
        found[0].hello(session=1)
        assert found[0].heard()["credit_bytes"] == 6 << 20
        for i, peer in enumerate(found):
            peer.send(0, source=f"s{i}")
            peer.until(kind="ack", seq=0)

        def shared() -> bool:
            for i, peer in enumerate(found):
                peer.send(0, source=f"s{i}")
            return all(peer.heard()["credit_bytes"] == 2 << 20 for peer in found)

        until(shared)


def test_without_room_there_is_no_credit_and_afterwards_there_is(tmp_path: Path) -> None:
    with stepped(acked(tmp_path)) as service, peers(service) as (peer,):
        acking = service.loop.acking
        assert acking is not None
        peer.hello(session=1)
        arrived(service)
        service.loop._turn()
        assert peer.heard()["credit"] == 256
        acking.open(False)
        assert (peer.heard()["credit"], acking.open(False)) == (0, None)
        # Whoever asks is answered, what is sent is left with its producer, and nothing is taken.
        peer.send(0)
        arrived(service)
        acking.turn_away()
        nack = peer.heard()
        assert (nack["code"], nack["expected"]) == ("credit", 0)
        peer.hello()
        arrived(service)
        acking.turn_away()
        assert (peer.heard()["credit"], service.state.offset) == (0, 0)
        acking.open(True)
        assert peer.heard()["credit"] == 256
        peer.send(0)
        arrived(service)
        service.loop._turn()
        assert peer.heard()["seq"] == 0


def test_a_peer_speaks_only_for_sources_that_it_may(tmp_path: Path) -> None:
    def only_s(source: str) -> None:
        if source != "s":
            raise ProtocolError("source", f"source: this key may not speak for {source!a}")

    def receive(socket: Any) -> Any:
        message = from_peer(socket)
        return message and (*message[:3], only_s)

    with stepped(acked(tmp_path)) as service, peers(service) as (peer,):
        assert service.loop.acking is not None
        service.loop.acking._receive = receive
        peer.send(0, source="other")
        peer.hello("other", session=3)
        peer.send(0)
        messages: list[Message] = []
        while not any(message["kind"] == "ack" for message in messages):
            arrived(service)
            service.loop._turn()
            while peer.socket.poll(20):
                messages.append(peer.heard())
        assert [(m["kind"], m["seq"], m.get("code")) for m in messages] == [
            ("nack", 0, "source"), ("nack", -1, "source"), ("ack", 0, None)
        ]  # fmt: skip
        assert "may not speak for 'other'" in messages[0]["reason"]
        assert service.loop.acking.done == {"s": Done(0)}


def test_sources_are_counted_and_never_forgotten(tmp_path: Path) -> None:
    config = acked(tmp_path, acked_sources=3)
    with serving(config) as service, peers(service) as (peer,):
        for name in ("a", "b", "c"):
            peer.send(0, source=name)
            assert peer.heard()["source"] == name
        peer.send(0, source="d")
        nack = peer.heard()
        assert (nack["code"], nack["source"]) == ("source", "d")
        assert nack["reason"] == "source: 3 are known, as many as ingest.acked_sources allows"
        peer.hello("d")
        assert peer.heard()["code"] == "source"
        for i in range(50):
            peer.hello(f"nobody{i}")
            assert peer.heard()["code"] == "source"
        peer.send(1, source="a")
        assert (peer.heard()["seq"], service.state.offset) == (1, 20)


def test_hellos_for_many_names_take_a_bounded_place() -> None:
    with serving(acked(acked_sources=3)) as service, peers(service) as (peer,):
        for i in range(50):
            peer.hello(f"nobody{i}", session=i)
            assert peer.heard()["seq"] == -1
        assert service.loop.acking is not None
        assert len(service.loop.acking._claims) <= 6


def test_a_session_holds_its_source_until_another_says_hello(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service, 3) as (old, new, plain):
        old.hello(session=1, probe=1)
        assert old.heard()["probe"] == 1
        old.send(0)
        old.until(kind="ack", seq=0)
        # A plain producer under the same name would lose its rows as repetitions; it gets none in.
        plain.send(1)
        assert plain.heard()["code"] == "source"
        plain.hello()
        assert plain.heard()["seq"] == 0
        new.hello(session=2)
        assert new.heard()["seq"] == 0
        old.send(1)
        old.until(kind="nack", code="source")
        old.hello(session=1)
        assert old.until(kind="nack")[-1]["reason"] == "source: another producer has begun to speak for it"
        new.send(1)
        new.until(kind="ack", seq=1)
        assert service.state.offset == 10
        # The same session on another connection is the same producer.
        plain.hello(session=2)
        plain.until(kind="ack", seq=1)
        plain.send(2)
        plain.until(kind="ack", seq=2)


def test_a_producer_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service, 2) as (old, new):
        old.hello(session=1)
        old.heard()
        old.send(0)
        old.until(kind="ack", seq=0)
        old.socket.close()
        until(lambda: new.send(1) or new.heard()["kind"] == "ack")  # type: ignore[func-returns-value]  # None
        assert service.state.offset == 10


def test_who_pushes_under_the_name_of_a_source_moves_nothing(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service, peers(service) as (peer,):
        peer.send(0)
        peer.until(kind="ack", seq=0)
        push = peer.context.socket(zmq.PUSH)
        push.connect(service.sockets.endpoints["push"])
        push.send(peer.frame(1000))
        until(lambda: service.state.offset == 10)
        push.close()
        peer.send(1)
        assert peer.heard()["seq"] == 1
    with serving(config) as service, peers(service) as (peer,):
        peer.hello()
        assert peer.heard()["seq"] == 1
        assert service.state.marks["s"].seq == 1000


def test_who_does_not_read_and_who_is_gone_hold_up_nobody(tmp_path: Path) -> None:
    with serving(acked(tmp_path)) as service, peers(service, 3) as (deaf, gone, good):
        deaf.socket.set(zmq.RCVHWM, 1)
        for seq in range(100):
            gone.send(seq, source="gone")
        gone.socket.close()
        for i in range(3000):
            deaf.hello("deaf", probe=i)
        for seq in range(200):
            good.send(seq, source="good")
        said = good.until(kind="ack", seq=199)
        assert [message for message in said if message["kind"] == "nack"] == []
    assert service.state.marks["good"].seq == 199


def test_what_is_journalled_leads_to_the_same_state_whatever_came_between(tmp_path: Path) -> None:
    config = acked(tmp_path)
    with serving(config) as service, peers(service, 3) as found:
        threads = [threading.Thread(target=_everything, args=(peer, i)) for i, peer in enumerate(found)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()  # each answer has its own deadline
        acking = service.loop.acking
        assert acking is not None
        done = dict(acking.done)
    assert {name: mark.seq for name, mark in done.items()} == {"p0": 99, "p1": 99, "p2": 99}
    assert service.state.offset == 3 * (100 - 9) * 5
    verdict = verify(config.journal.path)
    assert verdict.ok, verdict.line()
    assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)
    with Service(config) as again:
        assert again.loop.acking is not None
        assert again.loop.acking.done == done
        assert state_hash(again.state) == state_hash(service.state)
        assert again.state.marks == service.state.marks


def _everything(peer: Peer, number: int) -> None:
    """Frames, every eleventh of which is refused, with repetitions and jumps between them."""
    source, seq = f"p{number}", 0
    while seq < 100:
        wide = [[1.0]] if seq % 11 == 10 else None
        peer.socket.send(encode_points(wide or rows(5, seed=seq), source=source, seq=seq))
        if seq % 7 == 3:
            peer.send(seq - 2, seq - 1, source=source)
        if seq % 13 == 5:
            peer.send(seq + 3, source=source)
        peer.until(kind="ack", seq=seq)
        seq += 1
