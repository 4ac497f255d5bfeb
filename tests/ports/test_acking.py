"""Acknowledged ingest, spoken to with plain sockets: order, repetitions, gaps, refusals."""

from __future__ import annotations

import threading
from pathlib import Path

import msgpack
import pytest

from stream_mix.engine import Done, state_hash
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.ports.service import Service
from stream_mix.protocol import encode_points
from tests.ports.peers import Peer, acked, arrived, peers, stepped
from tests.workers.serving import LOCAL, rows, serving, settings


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
