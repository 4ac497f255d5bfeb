"""What became of a client's handshakes. ZeroMQ knocks once: where an engine does not let a key in, it is
asked again only if somebody connects anew."""

from __future__ import annotations

import math
from contextlib import suppress

import zmq
from zmq.utils.monitor import recv_monitor_message

KNOCK_SECONDS = 0.5
"""Between attempts of a client whose key is refused: each costs the engine a handshake."""


class Handshakes:
    """Listens to the handshakes of one socket, used from the thread that uses the socket.

    `refused` says that the engine's last word was that it does not let this key in, `connected` how many
    handshakes went well. `monitor` is readable when there is something new.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self.refused = self._asking = False
        self.connected = 0
        self._socket, self._endpoint = socket, endpoint
        self._knocked = -math.inf
        self.monitor: zmq.Socket[bytes] = socket.get_monitor_socket(
            zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        )
        self.monitor.set(zmq.RCVHWM, 0)

    def read(self) -> int:
        """Take what happened since the last time: how many handshakes went well."""
        before = self.connected
        while self.monitor.poll(0):
            self.refused = recv_monitor_message(self.monitor)["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH
            self.connected += not self.refused
            self._asking = False
        return self.connected - before

    @property
    def shut(self) -> bool:
        """Whether there is nothing to wait for: refused, and not asked again yet."""
        return self.refused and not self._asking

    def knock(self, now: float) -> bool:
        """Ask to be let in again, where the engine refused and it is not too soon; whether that was done."""
        if not self.shut or now < self._knocked + KNOCK_SECONDS:
            return False
        self._knocked, self._asking = now, True
        # What is left of the connection that was refused, if anything is, would only be in the way.
        with suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)
        return True

    def due(self, now: float) -> float:
        """Seconds until it may be knocked again; for ever where there is no need to."""
        return max(self._knocked + KNOCK_SECONDS - now, 0.0) if self.shut else math.inf

    def close(self) -> None:
        """Listen no more."""
        self._socket.disable_monitor()
        self.monitor.close(linger=0)
