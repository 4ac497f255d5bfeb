"""What the engine is compared with: processes that take the same frames from the same kind of socket.

`decode` reads a frame with plain msgpack and looks at its rows as an array; `check` reads it with our own
decoder, which checks everything; `relay` reads it plainly and publishes an assignment of the usual size.

stdout: its endpoints, then for those that publish nothing `warm` and a JSON object for each round.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import msgpack
import numpy as np
import zmq

from stream_mix.protocol import Limits, decode_frame


def main() -> None:
    """Arguments: a JSON object with how, k, warm, count, rounds."""
    a = json.loads(sys.argv[1])
    context = zmq.Context()
    pull = context.socket(zmq.PULL)
    pull.bind("tcp://127.0.0.1:*")
    if a["how"] == "relay":
        publish = context.socket(zmq.XPUB)
        publish.set(zmq.SNDHWM, 0)
        publish.bind("tcp://127.0.0.1:*")
        print(f"push {_endpoint(pull)} publish {_endpoint(publish)}", flush=True)
        _relay(pull, publish, a["k"])
    print(f"push {_endpoint(pull)}", flush=True)
    read = {"decode": plain, "check": _checked}[a["how"]]
    _taken(pull, read, a["warm"])
    print("warm", flush=True)
    for _ in range(a["rounds"]):
        rows = _taken(pull, read, a["count"])
        print(json.dumps({"rows": rows, "last": time.monotonic()}), flush=True)


def plain(data: bytes) -> np.ndarray:
    """The rows (n, d) of a frame of points."""
    body = msgpack.unpackb(data)
    return np.frombuffer(body["x"], "<f8").reshape(body["n"], body["d"])


def _checked(data: bytes) -> np.ndarray:
    return decode_frame(data, Limits()).x


def _taken(pull: zmq.Socket, read: Callable[[bytes], np.ndarray], count: int) -> int:
    return sum(len(read(pull.recv())) for _ in range(count))


def _relay(pull: zmq.Socket, publish: zmq.Socket, k: int) -> None:
    """Until it is ended: an assignment for each frame, the same one but for its number."""
    for _ in range(2):
        publish.recv()
    publish.send_multipart([b"heartbeat", msgpack.packb({"kind": "heartbeat"})])
    said: dict[int, dict[str, object]] = {}
    while True:
        body = msgpack.unpackb(pull.recv())
        n = len(np.frombuffer(body["x"], "<f8")) // body["d"]
        if n not in said:
            said[n] = {
                "kind": "assignment", "v": 1, "model": "mixture", "source": "bench", "n": n,
                "components": list(range(k)), "label": bytes(8 * n), "p": bytes(4 * n * k),
                "log_density": bytes(8 * n), "outlier": bytes(4 * n),
            }  # fmt: skip
        publish.send_multipart([b"assignment/mixture", msgpack.packb({**said[n], "seq": body["seq"]})])


def _endpoint(socket: zmq.Socket) -> str:
    return str(socket.get(zmq.LAST_ENDPOINT).decode())


if __name__ == "__main__":
    main()
