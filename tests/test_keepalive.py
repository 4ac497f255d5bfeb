"""Peers that are gone are noticed by TCP: ZeroMQ's pings can end the process, see stream_mix.keepalive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from stream_mix.client import Producer, Query, Subscriber
from stream_mix.keepalive import IDLE_SECONDS, UNHEARD_MS, keep_alive
from stream_mix.ports.sockets import open_sockets
from tests.workers.serving import LOCAL, settings


def test_the_system_looks_after_quiet_connections() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        keep_alive(socket)
        assert (socket.get(zmq.TCP_KEEPALIVE), socket.get(zmq.TCP_KEEPALIVE_IDLE)) == (1, IDLE_SECONDS)
        assert socket.get(zmq.TCP_MAXRT) == 0
        keep_alive(socket, unheard=True)
        assert socket.get(zmq.TCP_MAXRT) == UNHEARD_MS


def test_no_socket_of_an_engine_sends_pings() -> None:
    opened = open_sockets(settings(ingest={"acked": LOCAL, "subscribe": ["tcp://127.0.0.1:9"]}, query={}))
    try:
        sockets = (opened.push, opened.acked, opened.feed, opened.publish, opened.query)
        assert [socket and socket.get(zmq.HEARTBEAT_IVL) for socket in sockets] == [0] * 5
        assert all(socket and socket.get(zmq.TCP_KEEPALIVE) == 1 for socket in sockets)
    finally:
        opened.close()


@pytest.mark.parametrize(
    "make",
    [Producer, lambda: Producer(acked=True, source="s"), Subscriber, Query],
    ids=["push", "acked", "subscriber", "query"],
)
def test_no_socket_of_a_client_sends_pings(make: Any) -> None:
    client = make()
    try:
        assert client._socket.get(zmq.HEARTBEAT_IVL) == 0
        assert client._socket.get(zmq.TCP_KEEPALIVE_IDLE) == IDLE_SECONDS
    finally:
        client.close()


FLOOD = """
import sys, zmq
with zmq.Context() as context, context.socket(zmq.XPUB) as publish:
    publish.set(zmq.SNDHWM, 0)
    publish.bind("tcp://127.0.0.1:*")
    print(publish.get(zmq.LAST_ENDPOINT).decode(), flush=True)
    publish.recv()
    while True:
        publish.send_multipart([b"assignment/m", bytes(4000)])
"""
LISTEN = """
import subprocess, sys, threading
from stream_mix.client import Subscriber
engine = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE, text=True)
slow = Subscriber(engine.stdout.readline().strip(), high_water_mark=10)
slow._socket.poll()
engine.kill()
engine.communicate()
# It reads nothing, as one that has other things to do, for longer than twice the time between pings. There is
# no event to wait for instead: that so much time passes unread is the condition itself, and what the process
# has to live through.
threading.Event().wait(5.0)
print("lives")
"""


def test_a_slow_subscriber_outlives_its_engine(tmp_path: Path) -> None:
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LISTEN, FLOOD],
        capture_output=True, text=True, cwd=tmp_path, env=environ, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "lives\n"), done.stderr
