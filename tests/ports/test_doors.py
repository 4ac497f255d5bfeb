"""Who comes in: real keys, real handshakes, every kind of stranger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from stream_mix.client import ClientError, Producer, Query, Subscriber
from stream_mix.config import Settings
from stream_mix.keys import new_client, new_server, read_secret, revoke
from stream_mix.ports.service import Service
from stream_mix.ports.sockets import Sockets, open_sockets
from stream_mix.protocol import encode_points
from tests.workers.serving import LOCAL, assigned, heard, rows, serving, settings, until


def locked(folder: Path, **sections: Any) -> Settings:
    """Settings of an engine that asks for keys of `folder`."""
    if not (folder / "server.secret").exists():
        new_server(folder)
    return settings(security={"server_key": str(folder / "server.secret")}, **sections)


def test_every_bound_socket_asks_for_a_key_by_its_own_name(tmp_path: Path) -> None:
    sockets = open_sockets(locked(tmp_path, ingest={"acked": LOCAL}))
    try:
        assert "acked" in sockets.endpoints
        for name in sockets.endpoints:
            socket = getattr(sockets, name)
            assert socket.get(zmq.CURVE_SERVER) == 1
            assert socket.get(zmq.ZAP_DOMAIN).rstrip(b"\0") == name.encode()
            assert socket.get(zmq.ZAP_ENFORCE_DOMAIN) == 1
    finally:
        sockets.close()


def test_a_socket_that_was_forgotten_is_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stream_mix.ports.doors import Doors

    monkeypatch.setattr(Doors, "guard", lambda *_: None)
    with pytest.raises(ValueError, match="push: asks nobody for a key"):
        open_sockets(locked(tmp_path))


@pytest.mark.parametrize("local", [LOCAL, "tcp://[::1]:*", "ipc"])
def test_a_client_with_a_key_is_served_by_all_of_them(tmp_path: Path, local: str) -> None:
    binds = [f"ipc://{tmp_path}/{name}" if local == "ipc" else local for name in "abc"]
    secret, _ = new_client(tmp_path / "keys", "press")
    config = locked(
        tmp_path / "keys", ingest={"push": binds[0]}, publish={"bind": binds[1]}, query={"bind": binds[2]}
    )
    with serving(config) as service:
        ends = service.sockets.endpoints
        with (
            Subscriber(ends["publish"], keys=secret) as ears,
            Producer(ends["push"], source="press", keys=str(secret)) as producer,
            Query(ends["query"], keys=read_secret(secret)) as query,
        ):
            assert ears.connected()
            # Rows go by another connection: they may overtake what the engine is to be told of its listener.
            until(lambda: service.loop._publisher.listeners.wants(b"assignment/mixture"))
            for i in range(10):
                producer.send(rows(30, seed=i))
            answers = assigned(heard(ears, lambda seen: len(assigned(seen)) == 10))
            assert [answer.seq for answer in answers] == list(range(10))
            assert query.health().offset == 300
        doors = service.sockets.doors
        assert doors is not None
        assert (doors.let_in, doors.refused, doors.ignored) == (3, {}, {})


def test_nobody_speaks_for_another(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    gate, _ = new_client(tmp_path, "gateway", any_source=True)
    with serving(locked(tmp_path)) as service:
        push = service.sockets.endpoints["push"]
        with Producer(push, keys=secret) as producer:
            for source in ("oven", "press", "press/2", None, "presser", ""):
                producer.send_raw(encode_points(rows(10), source=source, seq=None if source is None else 0))
            until(lambda: service.loop.tally.rejected.get("forbidden") == 3)
        with Producer(push, source="oven", keys=gate) as producer:
            producer.send(rows(5))
        until(lambda: service.state.offset == 35)
        assert set(service.state.marks) == {"press", "press/2", "oven"}


def stranger(
    kind: int, endpoint: str, server: str | None, pair: tuple[bytes, bytes] | None
) -> zmq.Socket[bytes]:
    socket = zmq.Context.instance().socket(kind)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.SNDTIMEO, 0)
    socket.set(zmq.IMMEDIATE, 1)
    if server is not None and pair is not None:
        socket.set(zmq.CURVE_SERVERKEY, server.encode())
        socket.set(zmq.CURVE_PUBLICKEY, pair[0])
        socket.set(zmq.CURVE_SECRETKEY, pair[1])
    if kind == zmq.SUB:
        socket.set(zmq.SUBSCRIBE, b"")
    socket.connect(endpoint)
    return socket


def test_strangers_stay_out(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    narrow = read_secret(new_client(tmp_path, "narrow", ["push"])[0])
    own = read_secret(secret)
    unknown = zmq.curve_keypair()
    wrong, _ = zmq.curve_keypair()
    with serving(locked(tmp_path)) as service:
        ends = service.sockets.endpoints
        doors = service.sockets.doors
        assert doors is not None
        open_ones = []
        with Subscriber(ends["publish"], kinds=["heartbeat"], keys=secret) as ears:
            heard(ears, lambda seen: len(seen) > 1)
            for kind, name in ((zmq.PUSH, "push"), (zmq.SUB, "publish"), (zmq.DEALER, "query")):
                for server, pair in (
                    (None, None), (own.server, unknown),
                    (wrong.decode(), (own.public.encode(), own.secret.encode())),
                    (own.server, (narrow.public.encode(), narrow.secret.encode())),
                ):  # fmt: skip
                    if not (name == "push" and pair and pair[0] == narrow.public.encode()):
                        open_ones.append(stranger(kind, ends[name], server, pair))
            until(lambda: sum(doors.refused.values()) >= 5)
            beats = [message.pub_seq for message in heard(ears, lambda seen: len(seen) > 5)]
            assert beats == list(range(beats[0], beats[0] + len(beats)))
        assert {why for _, why in doors.refused} == {"unknown key", "other endpoint"}
        for socket in open_ones:
            if socket.type == zmq.SUB:
                assert not socket.poll(0)
            else:
                with pytest.raises(zmq.Again):
                    socket.send(encode_points(rows(1)))
            socket.close()
        assert (service.state.offset, doors.let_in) == (0, 1)


def test_keys_come_and_go_while_it_runs(tmp_path: Path) -> None:
    stays, _ = new_client(tmp_path, "stays")
    goes, _ = new_client(tmp_path, "goes")
    config = locked(tmp_path)
    said: list[str] = []
    with serving(config) as service:
        ends = service.sockets.endpoints
        doors = service.sockets.doors
        assert doors is not None
        doors.tell = said.append
        with (
            Subscriber(ends["publish"], kinds=["heartbeat"], keys=stays) as good,
            Subscriber(ends["publish"], kinds=["heartbeat"], keys=goes) as bad,
            Producer(ends["push"], source="goes", keys=goes) as producer,
            Query(ends["query"], keys=goes, timeout=0.5) as query,
        ):
            for ears in (good, bad):
                heard(ears, lambda seen: len(seen) > 1)
            producer.send(rows(10))
            until(lambda: service.state.offset == 10)
            assert query.health().offset == 10
            revoke(tmp_path, "goes")
            until(lambda: any("let in no more: goes" in line for line in said))
            # The connections that it has are of no use, either.
            producer.send(rows(10))
            until(lambda: doors.ignored.get("push") == 1)
            with pytest.raises(ClientError, match="no answer"):
                query.health()
            before = good.silence
            heard(good, lambda seen: len(seen) > 3)
            assert before < 5
            while bad.receive(0) is not None:  # what had come before
                continue
            until(lambda: doors.refused.get(("publish", "unknown key"), 0) > 0)
            assert bad.receive(0.3) is None
            # The same name is another client: what has the old key stays out.
            again, _ = new_client(tmp_path, "goes")
            until(lambda: any("let in from now on: goes" in line for line in said))
            producer.send(rows(10))
            until(lambda: doors.ignored.get("push") == 2)
        with Producer(ends["push"], source="goes", keys=again) as producer:
            producer.send(rows(7))
        until(lambda: service.state.offset == 17)


def test_a_folder_that_is_lost_lets_in_nobody_and_files_that_are_none_are_said(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    said: list[str] = []
    with Service(locked(tmp_path)) as service:
        doors = service.sockets.doors
        assert doors is not None
        doors.tell = said.append
        assert doors.clients == 1
        (tmp_path / "clients" / "bad.public").write_text('public = "too short"')
        doors.look()
        assert (doors.clients, "bad.public: has no public key" in said[0]) == (1, True)
        (tmp_path / "clients" / "twin.public").write_text((tmp_path / "clients" / "press.public").read_text())
        doors.look()
        assert (doors.clients, "press and twin have one key, none is let in" in said[1]) == (0, True)
        (tmp_path / "clients").rename(tmp_path / "away")
        doors.look()
        assert doors.clients == 0
    with pytest.raises(ValueError, match="clients: no folder, expected that of"):
        Service(locked(tmp_path))
    os.chmod(tmp_path / "server.secret", 0o644)
    with pytest.raises(ValueError, match=r"server.secret: others may read this secret \(044 too many\)"):
        Service(locked(tmp_path))
    assert secret.exists()


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    secret.chmod(0o640)
    with pytest.raises(ClientError, match=r"keys: .*press.secret: others may read"):
        Producer("tcp://127.0.0.1:9", keys=secret)
    with pytest.raises(ClientError, match="an engine's own, expected a client's"):
        Query("tcp://127.0.0.1:9", keys=tmp_path / "server.secret")
    with pytest.raises(ClientError, match="no such file"):
        Subscriber("tcp://127.0.0.1:9", keys=tmp_path / "none.secret")


def test_questions_of_many_parts_are_none(tmp_path: Path) -> None:
    with serving(settings()) as service, zmq.Context() as context, context.socket(zmq.DEALER) as ask:
        ask.set(zmq.LINGER, 0)
        ask.connect(service.sockets.endpoints["query"])
        ask.send_multipart([b"x"] * 100)
        ask.send_multipart([b"", msgpack.packb({"kind": "health", "v": 1})])
        assert ask.poll(5000)
        assert msgpack.unpackb(ask.recv_multipart()[-1])["kind"] == "health"
        assert not ask.poll(0)



def test_sockets_without_keys_have_no_doors() -> None:
    sockets: Sockets = open_sockets(settings())
    try:
        assert sockets.doors is None
        assert sockets.push is not None
        assert sockets.push.get(zmq.CURVE_SERVER) == 0
    finally:
        sockets.close()
