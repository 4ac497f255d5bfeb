"""What an engine holds back while its journal takes nothing: one group of frames, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from ..protocol import Health
from .journal import Journal, JournalUnavailable

RETRY_SECONDS = 0.2
"""Between attempts to write again: a small part of the second within which an operator sees the trouble."""

Group = TypeVar("Group")


@dataclass(slots=True)
class Holding(Generic[Group]):
    """The group that a failed commit left behind; `reason`, None while all is well, outlives it until a
    commit returned."""

    group: Group | None = None
    reason: str | None = None
    due: float = 0.0
    tell: Callable[[str], None] = lambda line: None
    """Is given a line when the journal ceases to take frames, and when it takes them again."""

    def hold(self, group: Group, error: JournalUnavailable, now: float) -> None:
        """Keep a group until the journal takes it."""
        if self.reason is None:
            self.tell(f"journal: takes nothing ({error.reason}); no frame is read until it does")
        self.group, self.reason, self.due = group, error.reason, now + RETRY_SECONDS

    def again(self, journal: Journal, now: float) -> tuple[Group, bool] | None:
        """The group, once the journal can be written again, and whether it turned out to be in it.

        None while the disk fails, and before the next attempt is due. Raises JournalError where the journal
        is not what it was.
        """
        if self.group is None or now < self.due:
            return None
        self.due = now + RETRY_SECONDS
        try:
            made = journal.reopen()
        except JournalUnavailable as error:
            self.reason = error.reason
            return None
        group, self.group = self.group, None
        return group, made

    def done(self) -> None:
        """A commit returned, or there is nothing to commit to."""
        if self.reason is not None:
            self.tell("journal: takes frames again")
            self.reason = None

    def told(self, health: Health) -> Health:
        """The report of an engine, degraded where something is held back."""
        if self.reason is None:
            return health
        return replace(health, status="degraded", engine={**health.engine, "journal": self.reason})
