"""The memory that queues may take. ZeroMQ's marks count messages and are per peer: 50 producers with 1,000
frames of 64 KiB each would be 3 GiB. So marks of what comes in are bounded for many peers with large frames,
who fill them while the loop learns and looks at nothing. From half of the budget on all marks are lowered,
acknowledged producers get less credit (`room`), and senders wait; where even that does not hold the process,
frames that were pushed are read and dropped, which is what PUSH allows, and counted.

Marks of those who are connected are never raised again: libzmq 4.3.5 can forget to wake a sender that waits
at the lower mark, for ever. Who connects anew has the mark that the socket was bound with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import zmq

from .heap import give_back
from .metrics import memory

CHECK_SECONDS = 0.01
EASY = 0.5
"""Share of the budget up to which queues are as long as the configuration says."""
FULL, RELIEVED = 0.9, 0.8
"""Shares at which pushed frames begin, and cease, to be dropped."""
SHORTEST = 4
"""Messages that a queue may hold at least."""
WAITING = 0.25
"""Share of the budget that frames may take which wait to be read, if so many peers send so large ones:"""
PEERS, FRAME_BYTES = 64, 1 << 16
GIVE_BACK_SECONDS = 1.0


def marked(total: int) -> int:
    """Frames that each peer may have waiting under a budget of so many bytes.

    >>> marked(1 << 30), marked(1 << 28)
    (64, 16)
    """
    return max(SHORTEST, int(WAITING * total / PEERS / FRAME_BYTES))


class Budget:
    """Keeps a process within `total` bytes; `queues` are sockets with the option and the mark of their queue.

    `level` is the share of the budget in use, beyond what the process had when it began; `over` says that
    pushed frames are to be dropped, `dropped` how many were. `take` gets so many bytes from the system, or
    raises MemoryError.
    """

    def __init__(
        self,
        total: int,
        queues: Iterable[tuple[zmq.Socket[bytes], int, int]],
        used: Callable[[], int] = memory,
        take: Callable[[int], object] = bytearray,
    ) -> None:
        self.total, self._used, self._take = total, used, take
        self.tell: Callable[[str], None] = lambda line: None
        self.dropped = 0
        self.over = False
        self.level = 0.0
        self._queues = tuple(queues)
        self._base = used()
        self._shift = 0
        self._checked = self._given = -1e9

    @property
    def fits(self) -> bool:
        """Whether the budget leaves room beyond what the engine takes without any queue."""
        return self._base < EASY * self.total

    @property
    def room(self) -> float:
        """What acknowledged producers get of their usual credit: all up to half of the budget, less above."""
        return min(max((FULL - self.level) / (FULL - EASY), 0.0), 1.0)

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
        self._mark()
        if self.over != (self.level >= (RELIEVED if self.over else FULL)):
            self.over = not self.over
            share = f"{self.level:.0%} of the memory budget of {self.total >> 20} MiB"
            what = "pushed frames are dropped" if self.over else "pushed frames are taken again"
            self.tell(f"memory: {share} in use beyond the start; {what} ({self.dropped} dropped so far)")

    def spent(self) -> bool:
        """Whether memory is gone, for who asked for some in vain: next to all of the budget is in use, or not
        even what a frame of each peer takes can be had."""
        give_back()
        self._look()
        try:
            self._take(PEERS * FRAME_BYTES)
        except MemoryError:
            return True
        return self.level >= FULL

    def _look(self) -> None:
        room = max(self.total - self._base, self.total // 4)
        self.level = max(0.0, (self._used() - self._base) / room)

    def _mark(self) -> None:
        """Lower the marks: by half for each twenty-fourth of the budget above half of it."""
        shift = max(0, round((self.level - EASY) * 24))
        if shift <= self._shift:
            return
        self._shift = shift
        for socket, option, most in self._queues:
            socket.set(option, max(min(most, SHORTEST), most >> shift))
