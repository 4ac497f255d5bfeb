"""Reading messages of ingest sockets into a group, each by the rules of its socket."""

from __future__ import annotations

from collections.abc import Callable

import zmq

from ..protocol import Limits
from .acking import Acking
from .budget import Budget
from .doors import Judge
from .group import Group
from .sockets import Sockets, from_feed, received


class Intake:
    """`most` bounds the messages and the bytes of a group; `limits` those of a frame that is not
    acknowledged."""

    def __init__(
        self,
        sockets: Sockets,
        acking: Acking | None,
        budget: Budget,
        limits: Limits,
        most: tuple[int, int],
        now: Callable[[], float],
    ) -> None:
        self.limits = limits
        self._sockets, self._acking, self._budget = sockets, acking, budget
        self._most, self._now = most, now

    def fill(self, socket: zmq.Socket[bytes], group: Group, until: float) -> None:
        """Read what there is of a socket into a group, until it is full or the time is over."""
        lossy = socket is self._sockets.push or socket is self._sockets.feed
        if lossy and self._budget.over:
            self._shed(socket, group, until)
            return
        frames, size = self._most
        while group.looked < frames and group.size < size and self._now() < until:
            if not self._one(socket, group):
                return
        group.full = True

    def _one(self, socket: zmq.Socket[bytes], group: Group) -> bool:
        """Read one message, if there is one."""
        message: tuple[bytes, bool] | tuple[bytes, bool, Judge] | None
        if self._acking is not None and socket is self._sockets.acked:
            return self._acking.take(group)
        if socket is self._sockets.feed:
            message = from_feed(socket)
        elif self._sockets.doors is None:
            message = received(socket)
        else:
            message = self._sockets.doors.received(socket, "push")
        if message is not None:
            group.take(*message[:2], self.limits, *message[2:])
        return message is not None

    def _shed(self, socket: zmq.Socket[bytes], group: Group, until: float) -> None:
        """Read and drop what was pushed: there is no memory for it, and PUSH promises nothing."""
        while self._now() < until:
            if received(socket) is None:
                return
            self._budget.dropped += 1
        group.full = True
