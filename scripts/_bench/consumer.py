"""The receiving process: plain pyzmq and msgpack. It reads every assignment's arrays and notes when it came.

stdout: `ready` when its subscription stands, `warm` when the first frames are back, then a JSON object for
each round. Times of receipt go into a .npy file.
"""

from __future__ import annotations

import json
import sys
import time

import msgpack
import numpy as np
import zmq

from .producer import show_key

SILENCE_MS = 10_000
"""Without a message for so long the rest of a round is lost."""


def main() -> None:
    """Arguments: a JSON object with endpoint, warm, count, rounds, out, and keys: a secret file or null."""
    a = json.loads(sys.argv[1])
    socket = subscribed(a["endpoint"], a["keys"])
    print("ready", flush=True)
    got = np.full(a["rounds"] * a["count"], np.nan)
    received(socket, np.empty(a["warm"]), 0)
    print("warm", flush=True)
    for number in range(a["rounds"]):
        # Rounds are apart by as long as it takes to ask for them: before the first frame there is no silence.
        socket.poll()
        times = got[number * a["count"] :][: a["count"]]
        rows = received(socket, times, a["warm"] + number * a["count"])
        last = float(np.nanmax(times)) if rows else None
        np.save(a["out"], got)
        print(json.dumps({"rows": rows, "last": last}), flush=True)


def subscribed(endpoint: str, keys: str | None) -> zmq.Socket:
    """A socket that gets every assignment from now on."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, SILENCE_MS)
    show_key(socket, keys)
    socket.connect(endpoint)
    for topic in (b"assignment/", b"heartbeat"):
        socket.subscribe(topic)
    # The engine's socket takes subscriptions in order: when it says the second, it knows the first.
    while socket.recv_multipart()[0] != b"heartbeat":
        continue
    socket.unsubscribe(b"heartbeat")
    return socket


def received(socket: zmq.Socket, times: np.ndarray, first: int) -> int:
    """Notes when frames `first` and so on came back, until the last has; rows that were read whole."""
    rows, clock, last = 0, time.monotonic, first + len(times) - 1
    seq = first - 1
    while seq < last:
        try:
            parts = socket.recv_multipart()
        except zmq.Again:
            break
        body = msgpack.unpackb(parts[1])
        if body["kind"] != "assignment":
            continue
        seq, n = body["seq"], body["n"]
        label = np.frombuffer(body["label"], "<i8")
        p = np.frombuffer(body["p"], "<f4").reshape(n, -1)
        rows += n * (p.shape == (n, len(body["components"])) and len(label) == n)
        times[seq - first] = clock()
    return rows


if __name__ == "__main__":
    main()
