"""Acknowledged ingest, spoken to with plain sockets: who may speak for a source, and how far ahead of its
acks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zmq

from stream_mix.engine import Done
from stream_mix.ports.group import Group
from stream_mix.ports.service import Service
from stream_mix.ports.sockets import from_peer
from stream_mix.protocol import ProtocolError, encode_points
from tests.ports.peers import Message, Peer, acked, arrived, peers, stepped
from tests.workers.serving import LOCAL, rows, serving, settings, until


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


def test_credit_shrinks_as_memory_fills_and_comes_back(tmp_path: Path) -> None:
    with stepped(acked(tmp_path, credit_frames=100)) as service, peers(service) as (peer,):
        budget, levels = service.loop.budget, [0.0]
        room = max(budget.total - budget._base, budget.total // 4)
        # A byte less: how much room there is depends on what the process began with, and so does rounding.
        budget._used = lambda: budget._base + max(int(levels[-1] * room) - 1, 0)
        seen = []
        for probe, level in enumerate((0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 3.0, 0.0)):
            levels.append(level)
            budget._checked = service.loop._ticked = -1e9
            service.loop._turn()
            peer.hello(probe=probe)
            arrived(service)
            service.loop._turn()
            ack = peer.until(kind="ack", probe=probe)[-1]
            seen.append((ack["credit"], ack["credit_bytes"] >> 20))
        # Never none while the journal takes frames: who has a frame may always send it.
        assert seen == [(100, 16), (100, 16), (75, 12), (50, 8), (25, 4), (1, 1), (1, 1), (100, 16)]
        # What was sent under the old credit is taken, not refused.
        levels.append(0.9)
        budget._checked = service.loop._ticked = -1e9
        service.loop._turn()
        peer.send(*range(20))
        while service.state.offset < 100:
            service.loop._turn()
        assert all(message["kind"] == "ack" for message in peer.until(seq=19))


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
