"""A subscriber that says how far it has heard: `python -m _soak.listener PUBLISH QUERY`."""

from __future__ import annotations

import sys
import time

from stream_mix.client import Subscriber
from stream_mix.protocol import Assignment, Heartbeat


def main() -> None:
    """Hears everything until its standard output is closed."""
    offset, said = -1, 0.0
    with Subscriber(sys.argv[1], query=sys.argv[2], kinds=("assignment", "snapshot", "heartbeat")) as ears:
        while True:
            message = ears.receive(0.05)
            if isinstance(message, Assignment):
                offset = max(offset, message.offset + message.n)
            elif isinstance(message, Heartbeat):
                offset = max(offset, message.offset)
            now = time.monotonic()
            if now >= said + 0.1:
                said = now
                print(offset, ears.gaps.rows, flush=True)


if __name__ == "__main__":
    main()
