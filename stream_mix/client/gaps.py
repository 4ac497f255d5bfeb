"""What a listener missed, told by the numbers that messages carry."""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol import Assignment, Change, Heartbeat, Published, Snapshot


@dataclass(slots=True)
class Gaps:
    """Running sums of what did not come.

    - `messages`: snapshots and heartbeats that a jump in `pub_seq` left out.
    - `rows`: rows whose assignments a jump in `offset` left out, of all models; heartbeats tell of the last.
    - `restarts`: times that the engine began to count anew.
    - `snapshots`: snapshots asked for, at the start and after what was missed.
    """

    messages: int = 0
    rows: int = 0
    restarts: int = 0
    snapshots: int = 0


class Continuity:
    """Follows the numbers of an engine's messages; `gaps` says what they left out.

    >>> follow = Continuity()
    >>> [follow.heard(Heartbeat(number, 0, None)) for number in (4, 5, 8, 9, 0)]
    [False, False, True, False, True]
    >>> follow.gaps
    Gaps(messages=2, rows=0, restarts=1, snapshots=0)
    """

    def __init__(self) -> None:
        self.gaps = Gaps()
        self._numbers: dict[str, int] = {}
        self._offsets: dict[str, int] = {}
        self._shown: dict[str, tuple[int, int]] = {}

    def heard(self, message: Published) -> bool:
        """Whether something that was to come before this message did not."""
        if isinstance(message, Heartbeat):
            return self._counted("heartbeat", message.pub_seq) | self._behind(message.offset)
        if isinstance(message, Snapshot):
            return self._counted(f"snapshot/{message.model}", message.pub_seq)
        if isinstance(message, Assignment):
            return self._assigned(message)
        return False

    def asked(self, snapshot: Snapshot) -> None:
        """A snapshot came as the answer to a question: what it holds already need not be shown again."""
        self.gaps.snapshots += 1
        self._shown[snapshot.model] = (snapshot.pub_seq, snapshot.offset)

    def news(self, message: Published) -> bool:
        """Whether a message says something that the snapshot that was asked for last did not hold yet."""
        if isinstance(message, Snapshot) and (shown := self._shown.get(message.model)):
            return message.pub_seq > shown[0] or message.offset > shown[1]
        if isinstance(message, Change) and (shown := self._shown.get(message.model)):
            return message.offset > shown[1]
        return True

    def _counted(self, topic: str, number: int) -> bool:
        last = self._numbers.get(topic)
        if last is not None and number <= last:
            self._numbers.clear()
            self._offsets.clear()
            self._shown.clear()
            self.gaps.restarts += 1
            self._numbers[topic] = number
            return True
        self._numbers[topic] = number
        left_out = 0 if last is None else max(number - last - 1, 0)
        self.gaps.messages += left_out
        return left_out > 0

    def _behind(self, offset: int) -> bool:
        """Whether the engine has taken rows that nothing was said of to us: what is said before a heartbeat
        comes before it."""
        left_out = {model: offset - due for model, due in self._offsets.items() if due < offset}
        self._offsets |= dict.fromkeys(left_out, offset)
        self.gaps.rows += sum(left_out.values())
        return bool(left_out)

    def _assigned(self, message: Assignment) -> bool:
        due = self._offsets.get(message.model)
        self._offsets[message.model] = message.offset + message.n
        if due is None or message.offset == due:
            return False
        # Backwards: the engine went back to what it had kept, which the numbers of its messages say, too.
        self.gaps.rows += max(message.offset - due, 0)
        return True
