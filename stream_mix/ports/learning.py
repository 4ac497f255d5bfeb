"""Groups of frames through the fold: one that a model cannot compute with is refused alone, and never in
silence.

What a frame holds was checked when it was decoded, so that nothing which a model raises ought to be the
frame's doing. Where it happens all the same the state is as it was before (the fold is pure), the frame is
refused with the kind of the error, counted under that kind, and a line says where it was raised: rows that a
producer is told not to send again are somebody's loss, whoever is to blame. That memory was asked for in vain
may be the doing of one frame, at which every engine would end that it is sent to again: it is refused like
any other. Only where memory is gone does the engine end: what was not acknowledged then comes again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from traceback import clear_frames, extract_tb
from typing import TypeAlias

from ..engine import Effect, Frames, Refuse
from ..protocol import Frame
from .group import Group
from .log import in_line

Step: TypeAlias = Callable[[Frames], list[Effect]]
TELL_SECONDS = 1.0
"""Between lines of one kind of error: a flood of them is counted, not written."""


class Learning:
    """Folds groups by `step`; `unlearned` counts frames that were refused for what was raised, by its kind.

    A group that raised though none of its frames did alone is counted under `unsteady`: its frames are
    learned, and that it happened is a flaw of ours. `tell` is given lines about both. `gone` says whether
    there is no memory left (`Budget.spent`): a frame that alone raises MemoryError then ends the engine.
    """

    def __init__(self, step: Step, now: Callable[[], float], gone: Callable[[], bool]) -> None:
        self.unlearned: dict[str, int] = {}
        self.unsteady = 0
        self.tell: Callable[[str], None] = lambda line: None
        self._step, self._now, self._gone = step, now, gone
        self._told: dict[str, float] = {}

    def fold(self, group: Group) -> list[Effect]:
        """The group's effects; frames that the fold refuses move to its dead letters."""
        if not group.frames:
            return []
        try:
            effects = self._step(Frames(tuple(group.frames)))
        except Exception as error:  # whatever is raised costs one frame, see above
            # What the step had made so far is let go of: the frames alone may need the room.
            clear_frames(error.__traceback__)
            effects = self._one_by_one(group.frames, error)
        refused = {e.index: (e.code, e.reason) for e in effects if isinstance(e, Refuse)}
        if refused:
            group.refuse(refused)
        return effects

    def _one_by_one(self, frames: list[Frame], first: Exception) -> list[Effect]:
        """The same frames one at a time, without those that raise: one bad frame stops nothing."""
        effects: list[Effect] = []
        raised = 0
        for i, frame in enumerate(frames):
            try:
                some = self._step(Frames((frame,)))
            except Exception as error:  # whatever is raised costs one frame, see above
                clear_frames(error.__traceback__)
                if isinstance(error, MemoryError) and self._gone():
                    raise
                raised += 1
                some = [Refuse(i, "value", f"frame: cannot be learned ({self._noted(frame, error)})")]
            effects += [Refuse(i, e.code, e.reason) if isinstance(e, Refuse) else e for e in some]
        if not raised:
            self.unsteady += 1
            said = f"{len(frames)} frames raised {in_line(first)} together, and none did alone"
            self._say("unsteady", said)
        return effects

    def _noted(self, frame: Frame, error: Exception) -> str:
        """Count a frame that raised, say so now and then, and return the error in one line."""
        kind, line = type(error).__name__, in_line(error)
        self.unlearned[kind] = count = self.unlearned.get(kind, 0) + 1
        whose = "" if frame.source is None else f" {frame.seq} of {frame.source!a}"
        self._say(
            kind, f"frame{whose} is refused, as a model raised {line} at {_place(error)} ({count} so far)"
        )
        return line

    def _say(self, kind: str, line: str) -> None:
        now = self._now()
        if now >= self._told.get(kind, -math.inf) + TELL_SECONDS:
            self._told[kind] = now
            self.tell(f"learning: {line}")


def _place(error: Exception) -> str:
    """The file and line that raised."""
    last = extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(last.filename)}:{last.lineno}"
