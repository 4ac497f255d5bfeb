"""The receiving process: plain pyzmq and msgpack. It reads every assignment's arrays and notes when it came.

stdout: `ready` when its subscription stands, `warm` when the first frames are back, then a JSON object. Times
of receipt go into a .npy file.
"""

from __future__ import annotations

import json
import sys
import time

import msgpack
import numpy as np
import zmq

SILENCE_MS = 10_000
"""Without a message for so long the rest is lost."""


def main() -> None:
    """Arguments: a JSON object with endpoint, warm, count, out."""
    a = json.loads(sys.argv[1])
    socket = zmq.Context().socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 0)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, SILENCE_MS)
    socket.connect(a["endpoint"])
    for topic in (b"assignment/", b"heartbeat"):
        socket.subscribe(topic)
    # The engine's socket takes subscriptions in order: when it says the second, it knows the first.
    while socket.recv_multipart()[0] != b"heartbeat":
        continue
    socket.unsubscribe(b"heartbeat")
    print("ready", flush=True)
    got = np.full(a["count"], np.nan)
    rows = sums = 0
    clock, warm, last = time.monotonic, a["warm"], a["warm"] + a["count"] - 1
    seq = -1
    while seq < last:
        try:
            parts = socket.recv_multipart()
        except zmq.Again:
            break
        body = msgpack.unpackb(parts[1])
        if body["kind"] != "assignment":
            continue
        seq = body["seq"]
        n = body["n"]
        label = np.frombuffer(body["label"], "<i8")
        p = np.frombuffer(body["p"], "<f4").reshape(n, -1)
        if seq >= warm:
            got[seq - warm] = clock()
            rows += n
            sums += p.shape == (n, len(body["components"])) and len(label) == n
        elif seq == warm - 1:
            print("warm", flush=True)
    np.save(a["out"], got)
    print(
        json.dumps({"rows": rows, "frames": int(sums), "last": float(np.nanmax(got)) if rows else None}),
        flush=True,
    )


if __name__ == "__main__":
    main()
