"""The sending process: plain pyzmq and msgpack, as a stranger would write it.

stdout: `warm` after the first frames, then a JSON object a round, each after a line on stdin. Send times go
into a .npy file. Arrays and single events are encoded before the clock runs. It stays connected until the end
of its stdin.
"""

from __future__ import annotations

import json
import sys
import time
import tomllib
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import zmq

SILENCE_MS = 10_000
POOL = 64
"""Different blocks of rows that large frames take turns with."""


def rows(n: int, d: int, k: int) -> np.ndarray:
    """n rows of k round clusters."""
    rng = np.random.default_rng(0)
    return 5.0 * rng.normal(size=(k, d))[rng.integers(0, k, n)] + rng.normal(size=(n, d))


def points(n: int, d: int, k: int, first: int, count: int) -> Iterator[bytes]:
    """Frames of n rows; only the header of each is written anew, which costs next to nothing."""
    blocks, sums = _blocks(n, d, k)
    for seq in range(first, first + count):
        i = seq % POOL
        yield msgpack.packb(
            {
                "kind": "points", "v": 1, "source": "bench", "seq": seq, "n": n, "d": d, "dtype": "f8",
                "x": blocks[i], "crc": sums[i],
            }
        )  # fmt: skip


@cache
def _blocks(n: int, d: int, k: int) -> tuple[list[bytes], list[int]]:
    blocks = [block.tobytes() for block in np.split(rows(n * POOL, d, k), POOL)]
    return blocks, [zlib.crc32(block) for block in blocks]


def events(d: int, k: int, first: int, count: int) -> list[bytes]:
    """Frames of one event each, in the easy form."""
    names = [f"f{j}" for j in range(d)]
    x = rows(1 << 12, d, k).tolist()
    return [
        msgpack.packb(
            {
                "kind": "events", "v": 1, "source": "bench", "seq": seq,
                "rows": [{"x": dict(zip(names, x[seq % len(x)], strict=True))}],
            }
        )
        for seq in range(first, first + count)
    ]  # fmt: skip


def main() -> None:
    """Arguments: a JSON object with endpoint, n, d, k, warm, count, rounds, rate (frames/s, 0 = any), out,
    acked: whether the endpoint acknowledges, and keys: a secret file, where it asks for one."""
    a = json.loads(sys.argv[1])
    socket = zmq.Context().socket(zmq.DEALER if a["acked"] else zmq.PUSH)
    socket.set(zmq.LINGER, 0)
    show_key(socket, a["keys"])
    socket.connect(a["endpoint"])
    line = Acknowledged(socket) if a["acked"] else Pushed(socket)
    for frame in _frames(a, 0, a["warm"]):
        line.send(frame)
    line.settle()
    sent = np.empty(a["rounds"] * a["count"])
    print("warm", flush=True)
    for number in range(a["rounds"]):
        first = number * a["count"]
        frames = _frames(a, a["warm"] + first, a["count"])
        sys.stdin.readline()
        start = _send(line, frames, sent[first : first + a["count"]], a["rate"])
        safe = line.settle()
        np.save(a["out"], sent)
        print(json.dumps({"start": start, "safe": safe}), flush=True)
    # Receipt is what is measured: a connection that is closed while the engine is behind may lose its tail.
    sys.stdin.read()
    socket.close()
    socket.context.term()


def show_key(socket: zmq.Socket, secret: str | None) -> None:
    """Let a socket connect where a key is asked for."""
    if secret is None:
        return
    keys = tomllib.loads(Path(secret).read_text())
    socket.set(zmq.CURVE_SERVERKEY, keys["server"].encode())
    socket.set(zmq.CURVE_PUBLICKEY, keys["public"].encode())
    socket.set(zmq.CURVE_SECRETKEY, keys["secret"].encode())


def _frames(a: dict[str, Any], first: int, count: int) -> Iterable[bytes]:
    if a["n"] == 1:
        return events(a["d"], a["k"], first, count)
    return points(a["n"], a["d"], a["k"], first, count)


class Pushed:
    """Frames that nobody acknowledges."""

    def __init__(self, socket: zmq.Socket) -> None:
        self.send = socket.send

    def settle(self) -> None:
        """There is nothing to wait for."""


class Acknowledged:
    """Frames within credit; an answer other than an ack, or none, ends the run."""

    def __init__(self, socket: zmq.Socket) -> None:
        self._socket = socket
        self._seq = self._done = -1
        socket.send(msgpack.packb({"kind": "hello", "v": 1, "source": "bench"}))
        self._hear(SILENCE_MS)

    def send(self, frame: bytes) -> None:
        """Once there is credit for it."""
        self._hear(0)
        while self._seq - self._done >= self._credit:
            self._hear(SILENCE_MS)
        self._socket.send(frame)
        self._seq += 1

    def settle(self) -> float:
        """When everything sent was acknowledged."""
        while self._done < self._seq:
            self._hear(SILENCE_MS)
        return time.monotonic()

    def _hear(self, wait_ms: int) -> None:
        if not self._socket.poll(wait_ms):
            if wait_ms:
                raise SystemExit("producer: nothing was acknowledged")
            return
        said = msgpack.unpackb(self._socket.recv())
        if said["kind"] != "ack":
            raise SystemExit(f"producer: frame {said['seq']} was refused: {said['reason']}")
        self._done, self._credit = said["seq"], said["credit"]


def _send(line: Pushed | Acknowledged, frames: Iterable[bytes], sent: np.ndarray, rate: float) -> float:
    """Sends the frames and notes when; returns when it began."""
    clock = time.monotonic
    start = clock()
    for i, frame in enumerate(frames):
        if rate:
            while (ahead := start + i / rate - clock()) > 0:
                time.sleep(ahead)
        sent[i] = clock()
        line.send(frame)
    return start


if __name__ == "__main__":
    main()
