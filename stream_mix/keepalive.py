"""How a connection is noticed whose other machine is gone: by TCP itself, never by ZeroMQ's pings.

libzmq up to 4.3.5 ends the process (`Assertion failed: !_io_error`, its issue 4841) where a connection breaks
while its queue is full and a ping is due before that queue has been read: a slow subscriber would not survive
its engine, nor an engine a producer that is reset under load. So no socket of ours sends pings, and who wants
to know whether an engine lives listens to its heartbeats, which are messages like any other.
"""

from __future__ import annotations

from typing import Any

import zmq

IDLE_SECONDS, AGAIN_SECONDS, PROBES = 5, 2, 3
"""A quiet connection is probed after so long, then again and again: gone after 11 seconds."""
UNHEARD_MS = 10_000
"""What was sent and has not arrived after so long ends the connection."""


def keep_alive(socket: zmq.Socket[Any], *, unheard: bool = False) -> None:
    """Let the system find out about a peer that is gone, before the socket is bound or connected.

    `unheard`: also where it owes the answer to what was sent, which the system else retries for a quarter of
    an hour. A peer that lives and does not read is cut off, too: only for those who send everything again.
    """
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, IDLE_SECONDS)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, AGAIN_SECONDS)
    socket.set(zmq.TCP_KEEPALIVE_CNT, PROBES)
    if unheard:
        socket.set(zmq.TCP_MAXRT, UNHEARD_MS)
