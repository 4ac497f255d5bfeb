"""Promise 14: strangers stay out, and who belongs in does not notice them."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import zmq
from zmq.utils.monitor import recv_monitor_message

from stream_mix.client import Producer, Subscriber
from stream_mix.keys import Keys, new_client, read_secret, revoke
from stream_mix.protocol import encode_points

from .promise import Figures, Promise, Trial, at_least, at_most
from .running import Running, engine, until

MODEL = '[[models]]\nname = "m"\nfamily = "diag"\nn_components = 2\n'
KINDS = {"push": zmq.PUSH, "publish": zmq.SUB, "query": zmq.DEALER}
FATES = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED
WAYS = ("no key", "unknown key", "revoked key", "other endpoint's key", "wrong server", "raw TCP")
PATIENCE_MS = 8_000


class Strangers:
    """Everybody who is not let in, by the way that they try."""

    def __init__(self, keys: Path) -> None:
        self.own = read_secret(new_client(keys, "good")[0])
        self.revoked = read_secret(new_client(keys, "gone")[0])
        self.narrow = {
            name: read_secret(new_client(keys, f"not-{name}", self._others(name))[0]) for name in KINDS
        }
        revoke(keys, "gone")

    @staticmethod
    def _others(name: str) -> list[str]:
        return [other for other in KINDS if other != name]

    def pair(self, way: str, endpoint: str) -> Keys | None:
        """The keys that somebody who tries this way shows; None shows none."""
        public, secret = (half.decode() for half in zmq.curve_keypair())
        match way:
            case "unknown key":
                return Keys("x", public, secret, self.own.server)
            case "revoked key":
                return self.revoked
            case "other endpoint's key":
                return self.narrow[endpoint]
            case "wrong server":
                return Keys("x", self.own.public, self.own.secret, public)
        return None


def _attempt(context: zmq.Context, keys: Keys | None, name: str, where: str) -> tuple[bool, int]:
    """Whether a stranger got in, and how many messages it saw."""
    with context.socket(KINDS[name]) as peer:
        peer.set(zmq.LINGER, 0)
        peer.set(zmq.IMMEDIATE, 1)
        if keys is not None and keys.server is not None:
            peer.set(zmq.CURVE_SERVERKEY, keys.server.encode())
            peer.set(zmq.CURVE_PUBLICKEY, keys.public.encode())
            peer.set(zmq.CURVE_SECRETKEY, keys.secret.encode())
        if name == "publish":
            peer.set(zmq.SUBSCRIBE, b"")
        monitor = peer.get_monitor_socket(FATES)
        peer.connect(where)
        let_in = False
        # What connects again is not waited for: its first try has told.
        if monitor.poll(PATIENCE_MS):
            let_in = recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if name != "publish":
            with suppress(zmq.Again):  # nobody is there to take it, as it should be
                peer.send(encode_points([[1.0, 2.0]], source="good"), zmq.NOBLOCK)
                let_in = True
        seen = 0 if name == "push" else bool(peer.poll(5))
        peer.disable_monitor()
        monitor.close(linger=0)
    return let_in, int(seen)


def _raw(where: str, rng: random.Random) -> tuple[bool, int]:
    """A connection without ZeroMQ: its own greeting is all that it may see of the engine."""
    address = (urlsplit(where).hostname, urlsplit(where).port)
    with socket.create_connection(address, timeout=5.0) as peer:
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48) + rng.randbytes(300))
        data = b""
        try:
            while piece := peer.recv(4096):
                data += piece
        except OSError:
            return False, 0
    return False, int(len(data) > 64 and b"heartbeat" in data)


def _beside(running: Running, keys: Keys, stop: threading.Event, figures: Figures) -> None:
    """A good producer and a good subscriber, all the while."""
    x = np.random.default_rng(0).normal(size=(16, 2))
    ends, offsets = running.endpoints, []
    with (
        Subscriber(ends["publish"], kinds=["assignment", "heartbeat"], keys=keys) as ears,
        Producer(ends["push"], source="good", keys=keys, timeout=30.0) as producer,
    ):
        ears.connected(30.0)
        ears.receive(30.0)
        while not stop.wait(0.002) or len(offsets) < producer.seq:
            if not stop.is_set():
                producer.send(x)
            while (message := ears.receive(0.0)) is not None:
                if hasattr(message, "source"):
                    offsets.append(message.offset)
        figures |= {"good_sent": producer.seq, "good_heard": len(offsets), "good_missed": ears.gaps.messages}
        figures["good_lost"] = producer.seq - len(set(offsets)) + ears.gaps.rows


def trial(trial: Trial) -> Figures:
    """Strangers of every kind at every door, one after the other, beside a good client."""
    keys = trial.folder / "keys"
    strangers, rng = Strangers(keys), random.Random(trial.seed)
    more = MODEL + f'[security]\nserver_key = "{keys}/server.secret"\n'
    figures: Figures = {"attempts": 0, "let_in": 0, "messages_seen": 0}
    with engine(trial.folder, more) as running, zmq.Context() as context:
        stop = threading.Event()
        beside = threading.Thread(target=_beside, args=(running, strangers.own, stop, figures))
        beside.start()
        for number in range(trial.size):
            way, name = WAYS[number % len(WAYS)], list(KINDS)[number // len(WAYS) % len(KINDS)]
            where = running.endpoints[name]
            if way == "raw TCP":
                got = _raw(where, rng)
            else:
                got = _attempt(context, strangers.pair(way, name), name, where)
            figures["attempts"] += 1
            figures["let_in"] += got[0]
            figures["messages_seen"] += got[1]
            if number % 100 == 99:
                trial.say(f"{number + 1} attempts, {figures['let_in']:.0f} let in")
        stop.set()
        beside.join()
        refused = "stream_mix_strangers_total"
        # Metrics are renewed a few times a second: those of the last attempts, too.
        wanted = figures["attempts"] / 4
        until(lambda: _counted(running.metrics(), refused) >= wanted, "refusals are counted")
        metrics = running.metrics()
    figures["refused"] = _counted(metrics, refused)
    return figures


def _counted(metrics: dict[str, float], name: str) -> float:
    """The sum of a counter over its labels."""
    return sum(value for key, value in metrics.items() if key.startswith(name))


def broken(figures: Figures) -> list[str]:
    """What was not kept."""
    nothing = dict.fromkeys(("let_in", "messages_seen", "good_lost", "good_missed"), 0.0)
    return at_most(figures, nothing) + at_least(figures, {"attempts": 1, "good_sent": 1, "refused": 1})


PROMISE = Promise(14, "strangers", "strangers stay out", "attempts", 3_000, 36, trial, broken)
