"""A TCP proxy that cuts its connections, in the middle of whatever is on its way."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from contextlib import suppress

READ_BYTES = 1 << 16
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset, and what was not read yet is gone."""


class Proxy:
    """Forwards one connection after the other to `to`; each is reset, both ways, after a random number of
    bytes, `every` on average, until there were so many resets."""

    def __init__(self, to: str, every: int, resets: int, seed: int) -> None:
        host, _, port = to.removeprefix("tcp://").rpartition(":")
        self._to = (host, int(port))
        self._every, self._left = every, resets
        self._rng = random.Random(seed)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.endpoint = f"tcp://127.0.0.1:{self._server.getsockname()[1]}"
        self.resets = 0

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            with suppress(OSError):
                near, _ = self._server.accept()
                with near, socket.create_connection(self._to) as far:
                    self._forward(near, far)

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        """Until either side ends, or the bytes are used up: then part of what was read last is lost."""
        budget = round(self._rng.expovariate(1.0 / self._every)) + 1 if self._left > 0 else None
        while not self._ended.is_set():
            for side in select.select([near, far], [], [], 0.1)[0]:
                data = side.recv(READ_BYTES)
                if not data:
                    return
                other = far if side is near else near
                if budget is not None and len(data) >= budget:
                    other.sendall(data[: budget - 1])
                    for end in (near, far):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
                    self._left -= 1
                    self.resets += 1
                    return
                other.sendall(data)
                budget = None if budget is None else budget - len(data)
