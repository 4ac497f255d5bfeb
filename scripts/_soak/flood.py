"""Many producers that push as fast as they are let: `python -m _soak.flood '{"endpoint": ...}'`.

Run by the trials in a process of its own; ends when its input does, and says how many frames left.
"""

from __future__ import annotations

import json
import select
import sys

import numpy as np
import zmq

from stream_mix.protocol import encode_points


def main() -> None:
    """Pushes numbered frames from every peer in turn, each as long as its socket takes them."""
    told = json.loads(sys.argv[1])
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, told["rows"], told["d"])) + 8 * rng.integers(0, 3, (16, 1, 1))
    frames = [encode_points(part, source=f"peer-{i}") for i, part in enumerate(x)]
    sent = 0
    with zmq.Context() as context:
        peers = []
        for _ in range(told["peers"]):
            peer = context.socket(zmq.PUSH)
            peer.set(zmq.LINGER, 0)
            peer.set(zmq.IMMEDIATE, 1)
            peer.set(zmq.SNDHWM, 10)
            peer.connect(told["endpoint"])
            peers.append(peer)
        poller = zmq.Poller()
        for peer in peers:
            poller.register(peer, zmq.POLLOUT)
        while not select.select([sys.stdin], [], [], 0)[0]:
            for peer, _ in poller.poll(50):
                peer.send(frames[sent % len(frames)], zmq.NOBLOCK)
                sent += 1
        for peer in peers:
            peer.close()
    print(json.dumps({"sent": sent}), flush=True)


if __name__ == "__main__":
    main()
