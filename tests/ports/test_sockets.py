"""The sockets' options and what is said when an endpoint cannot be had."""

from __future__ import annotations

import pytest
import zmq

from stream_mix.keepalive import IDLE_SECONDS
from stream_mix.ports.publishing import Subscriptions
from stream_mix.ports.sockets import SocketError, open_sockets
from tests.workers.serving import LOCAL, settings


def test_options_that_matter() -> None:
    sockets = open_sockets(
        settings(ingest={"push": LOCAL, "subscribe": ["tcp://127.0.0.1:9"], "high_water_mark": 7})
    )
    try:
        assert sockets.push is not None
        assert sockets.publish is not None
        assert sockets.query is not None
        for socket in (*sockets.ingest, sockets.publish, sockets.query):
            assert socket.get(zmq.LINGER) == 0
            assert socket.get(zmq.HANDSHAKE_IVL) == 5000
            assert socket.get(zmq.HEARTBEAT_IVL) == 0
            assert socket.get(zmq.TCP_KEEPALIVE) == 1
            # Who pushes is not probed while it may have left rows behind.
            assert socket.get(zmq.TCP_KEEPALIVE_IDLE) == (-1 if socket is sockets.push else IDLE_SECONDS)
        assert [socket.get(zmq.RCVHWM) for socket in sockets.ingest] == [7, 7]
        assert sockets.push.get(zmq.MAXMSGSIZE) == 2 << 20
        assert sockets.publish.get(zmq.SNDHWM) == 1000
        assert sockets.publish.get(zmq.MAXMSGSIZE) == 1024
        assert sockets.endpoints.keys() == {"push", "publish", "query"}
    finally:
        sockets.close()


def test_what_cannot_be_bound_leaves_nothing_open() -> None:
    with pytest.raises(SocketError, match=r"^publish.bind: cannot bind ipc:///no/such/folder/x: "):
        open_sockets(settings(publish={"bind": "ipc:///no/such/folder/x"}))
    with pytest.raises(SocketError, match=r"^query.bind: cannot bind tcp://no-such-interface:1"):
        open_sockets(settings(query={"bind": "tcp://no-such-interface:1"}, security={"allow_insecure": True}))


def test_subscriptions_are_known_by_prefix() -> None:
    context = zmq.Context()
    publish, ears = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    port = publish.bind_to_random_port("tcp://127.0.0.1")
    listeners = Subscriptions([b"assignment/a", b"snapshot/a"])
    assert not listeners.wants(b"assignment/a")
    ears.connect(f"tcp://127.0.0.1:{port}")
    ears.set(zmq.SUBSCRIBE, b"assignment/")
    assert publish.poll(5000)
    listeners.read(publish)
    assert listeners.wants(b"assignment/a")
    assert not listeners.wants(b"snapshot/a")
    ears.close(linger=0)
    assert publish.poll(5000)
    listeners.read(publish)
    assert not listeners.wants(b"assignment/a")
    publish.close(linger=0)
    context.term()


def test_subscriptions_to_what_is_never_said_are_not_kept() -> None:
    context = zmq.Context()
    publish, ears = context.socket(zmq.XPUB), context.socket(zmq.XSUB)
    ears.connect(f"tcp://127.0.0.1:{publish.bind_to_random_port('tcp://127.0.0.1')}")
    listeners = Subscriptions([b"assignment/a"])
    for topic in (*(b"assignment/b%d" % i for i in range(100)), b"", b"assignment/a", b"assignment/ab"):
        ears.send(b"\1" + topic)
    ears.send(b"\0")
    while listeners.wants(b"") or not listeners.wants(b"assignment/a"):
        assert publish.poll(5000)
        listeners.read(publish)
    assert not listeners.wants(b"assignment/b7")
    assert not listeners.wants(b"assignment")
    ears.close(linger=0)
    publish.close(linger=0)
    context.term()


def test_a_feed_may_be_reached_by_the_sixth_version_of_ip() -> None:
    context = zmq.Context()
    feed = context.socket(zmq.XPUB)
    feed.set(zmq.IPV6, 1)
    feed.bind("tcp://[::1]:*")
    where = feed.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
    sockets = open_sockets(settings(ingest={"push": "", "subscribe": [where]}))
    try:
        assert feed.poll(5000)
    finally:
        sockets.close()
        feed.close(linger=0)
        context.term()
