"""The sending process: plain pyzmq and msgpack, as a stranger would write it.

stdout: `warm` after the first frames, then, after a line on stdin, a JSON object. Send times go into a .npy
file. Arrays and single events are encoded before the clock runs. It stays connected until its stdin ends.
"""

from __future__ import annotations

import json
import sys
import time
import zlib
from collections.abc import Iterator

import msgpack
import numpy as np
import zmq

POOL = 64
"""Different blocks of rows that large frames take turns with."""


def rows(n: int, d: int, k: int) -> np.ndarray:
    """n rows of k round clusters."""
    rng = np.random.default_rng(0)
    return 5.0 * rng.normal(size=(k, d))[rng.integers(0, k, n)] + rng.normal(size=(n, d))


def points(n: int, d: int, k: int, first: int, count: int) -> Iterator[bytes]:
    """Frames of n rows; only the header of each is written anew, which costs next to nothing."""
    blocks = [block.tobytes() for block in np.split(rows(n * POOL, d, k), POOL)]
    sums = [zlib.crc32(block) for block in blocks]
    for seq in range(first, first + count):
        i = seq % POOL
        yield msgpack.packb(
            {
                "kind": "points", "v": 1, "source": "bench", "seq": seq, "n": n, "d": d, "dtype": "f8",
                "x": blocks[i], "crc": sums[i],
            }
        )  # fmt: skip


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
    """Arguments: a JSON object with endpoint, n, d, k, warm, count, rate (frames/s, 0 = unlimited), out."""
    a = json.loads(sys.argv[1])
    socket = zmq.Context().socket(zmq.PUSH)
    socket.set(zmq.LINGER, 0)
    socket.connect(a["endpoint"])
    one = a["n"] == 1
    for frame in (
        events(a["d"], a["k"], 0, a["warm"]) if one else points(a["n"], a["d"], a["k"], 0, a["warm"])
    ):
        socket.send(frame)
    frames = (
        events(a["d"], a["k"], a["warm"], a["count"])
        if one
        else points(a["n"], a["d"], a["k"], a["warm"], a["count"])
    )
    sent = np.empty(a["count"])
    print("warm", flush=True)
    sys.stdin.readline()
    clock, rate = time.monotonic, a["rate"]
    start = clock()
    for i, frame in enumerate(frames):
        if rate:
            while (ahead := start + i / rate - clock()) > 0:
                time.sleep(ahead)
        sent[i] = clock()
        socket.send(frame)
    np.save(a["out"], sent)
    print(json.dumps({"start": start, "end": clock()}), flush=True)
    # Receipt is what is measured: a connection that is closed while the engine is behind may lose its tail.
    sys.stdin.read()
    socket.close()
    socket.context.term()


if __name__ == "__main__":
    main()
