"""The memory that queues may take. ZeroMQ's marks count messages and are per peer: 50 producers with 1,000
frames of 64 KiB each would be 3 GiB. So marks of what comes in follow the size of late frames: many peers
fill them while the loop learns and looks at nothing. And all marks follow the memory of the process: from half
of its budget on they shrink and senders wait; where even that does not hold it, frames that were pushed are
read and dropped, which is what PUSH allows, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import zmq

from .heap import give_back
from .metrics import memory

CHECK_SECONDS, MARK_SECONDS = 0.01, 0.1
EASY = 0.5
"""Share of the budget up to which queues are as long as the configuration says."""
FULL, RELIEVED = 0.9, 0.8
"""Shares at which pushed frames begin, and cease, to be dropped."""
SHORTEST = 2
"""Messages that a queue may hold at least."""
WAITING = 0.25
"""Share of the budget that frames may take which wait to be read, where so many peers send:"""
PEERS = 64
FRAME_BYTES = 1 << 16
"""What a frame is taken to be before any came."""
GIVE_BACK_SECONDS = 1.0


def marked(total: int, size: float = FRAME_BYTES) -> int:
    """Frames of this size that each of many peers may have waiting.

    >>> marked(1 << 30), marked(1 << 30, 100.0)
    (64, 41943)
    """
    return max(SHORTEST, int(WAITING * total / PEERS / size))


class Budget:
    """Keeps a process within `total` bytes; `queues` are sockets with the option and the mark of their queue.

    `level` is the share of the budget in use, beyond what the process had when it began; `over` says that
    pushed frames are to be dropped, `dropped` how many were.
    """

    def __init__(
        self,
        total: int,
        queues: Iterable[tuple[zmq.Socket[bytes], int, int]],
        used: Callable[[], int] = memory,
    ) -> None:
        self.total, self._used = total, used
        self.tell: Callable[[str], None] = lambda line: None
        self.dropped = 0
        self.over = False
        self.level = 0.0
        self._queues = tuple(queues)
        self._base = used()
        self._size = float(FRAME_BYTES)
        self._came = False
        self._checked = self._given = self._marked = -1e9

    @property
    def fits(self) -> bool:
        """Whether the budget leaves room beyond what the engine takes without any queue."""
        return self._base < EASY * self.total

    def resize(self, total: int, queues: Iterable[tuple[zmq.Socket[bytes], int, int]]) -> None:
        """Keep within another budget, or with other marks."""
        self.total, self._queues = total, tuple(queues)
        self._marked = -1e9

    def saw(self, size: int, frames: int) -> None:
        """Learn how large frames are of late: the mean of a group, and the past where it was larger."""
        self._size = max(size / frames, 0.9 * self._size if self._came else 0.0, 1.0)
        self._came = True

    def turn(self, now: float) -> None:
        """Look at the memory, now and then, and make queues longer or shorter."""
        if now < self._checked + CHECK_SECONDS:
            return
        self._checked = now
        self._look()
        if self.level > EASY and now >= self._given + GIVE_BACK_SECONDS:
            # What is free but kept by the C library looks taken, and would be answered for nothing.
            self._given = now
            give_back()
            self._look()
        if now >= self._marked + MARK_SECONDS or self.level > EASY:
            self._marked = now
            self._mark()
        if self.over != (self.level >= (RELIEVED if self.over else FULL)):
            self.over = not self.over
            share = f"{self.level:.0%} of the memory budget of {self.total >> 20} MiB"
            what = "pushed frames are dropped" if self.over else "pushed frames are taken again"
            self.tell(f"memory: {share} in use beyond the start; {what} ({self.dropped} dropped so far)")

    def _look(self) -> None:
        room = max(self.total - self._base, self.total // 4)
        self.level = max(0.0, (self._used() - self._base) / room)

    def _mark(self) -> None:
        """Set the marks: halved for each twenty-fourth of the budget above half of it."""
        shift = max(0, round((self.level - EASY) * 24))
        for socket, option, most in self._queues:
            waiting = min(most, marked(self.total, self._size)) if option == zmq.RCVHWM else most
            # libzmq hands it on to the pipes of those who are connected; who connects later has the mark that
            # was there when the socket was bound, until this is done again.
            socket.set(option, max(SHORTEST, waiting >> shift))
