"""What may happen to an engine, and what it may want done about it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ..protocol import (
    Assignment,
    Change,
    Code,
    ErrorReply,
    Frame,
    Health,
    Heartbeat,
    Prediction,
    Query,
    Scores,
    Snapshot,
)

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames that arrived, in order; the outcome is that of one event for each, however they are grouped."""

    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed: `now` is a clock that only runs forward (s), `t` the time of day (Unix s)."""

    now: float
    t: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Somebody has a question; it is answered from the state as it is and changes nothing."""

    query: Query


@dataclass(frozen=True, slots=True)
class Stop:
    """The engine is about to end: what changed since the last snapshot is published."""


@dataclass(frozen=True, slots=True)
class Greet:
    """Somebody listens anew to the snapshots of these models: the latest are published once more."""

    models: frozenset[str]


@dataclass(frozen=True, slots=True)
class Rejected:
    """So many frames were refused beside those that the step refused: they are counted."""

    frames: int


Event: TypeAlias = Frames | Tick | Ask | Stop | Greet | Rejected


class Part(NamedTuple):
    """Rows of a group, from row `start` of it on, that were judged by one generation of a model after the
    other, `batch` rows by each."""

    start: int
    generation: int
    components: tuple[int, ...]
    p: Array
    batch: int

    def generation_of(self, row: int) -> int:
        """The generation that judged this row of the group."""
        return self.generation + (row - self.start) // self.batch


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """What one model says of all rows of consecutive frames: one record for the group, a message for each
    frame on demand.

    Attributes:
        model: its name.
        offset: rows of the stream before the first frame.
        frames: the frames; `bounds` holds where each begins and, last, where the group ends, counted in
            its rows.
        parts: responsibilities, in the order of the rows.
        label, log_density, outlier: (n,) for all rows of the group.
        responsibilities: whether messages carry p.
    """

    model: str
    offset: int
    frames: tuple[Frame, ...]
    bounds: tuple[int, ...]
    parts: tuple[Part, ...]
    label: npt.NDArray[np.int64]
    log_density: Array
    outlier: Array
    responsibilities: bool = True

    @property
    def generation(self) -> int:
        """Generation that judged the first row."""
        return self.parts[0].generation

    @property
    def components(self) -> tuple[int, ...] | None:
        """The components of all rows; None where they changed within the group."""
        first = self.parts[0].components
        return first if all(part.components == first for part in self.parts) else None

    @property
    def p(self) -> Array | None:
        """Responsibilities (n, k) of all rows; None where messages carry none, or components changed."""
        if not self.responsibilities or self.components is None:
            return None
        shares = [part.p for part in self.parts]
        return np.concatenate(shares) if len(shares) > 1 else shares[0]

    def generations(self) -> list[int]:
        """The generation that judged the first row of each frame."""
        rows = zip(self._which(), self.bounds[:-1], strict=True)
        return [self.parts[which].generation_of(row) for which, row in rows]

    def _which(self) -> list[int]:
        """The part that each frame's first row is in."""
        if len(self.parts) == 1:
            return [0] * len(self.frames)
        starts = [part.start for part in self.parts]
        return [bisect_right(starts, first) - 1 for first in self.bounds[:-1]]

    def messages(self) -> Iterator[Assignment]:
        """An assignment for each frame; its generation is that of its first row."""
        bounds, components, whole = self.bounds, self.components, self.p
        for i, (frame, which) in enumerate(zip(self.frames, self._which(), strict=True)):
            first, last = bounds[i], bounds[i + 1]
            own = components or self.parts[which].components
            p = None if whole is None else whole[first:last]
            if components is None and self.responsibilities:
                own, p = self._joined(which, first, last)
            yield Assignment(
                self.model, self.offset + first, self.parts[which].generation_of(first), own,
                self.label[first:last], p, self.log_density[first:last], self.outlier[first:last],
                frame.id, tuple(row.row for row in frame.refused), source=frame.source, seq=frame.seq,
            )  # fmt: skip

    def _joined(self, which: int, first: int, last: int) -> tuple[tuple[int, ...], Array]:
        """The responsibilities of one frame whose rows know different components: a column for each, 0
        where it was not there."""
        own = [part for part in self.parts[which:] if part.start < last]
        components = tuple(dict.fromkeys(component for part in own for component in part.components))
        column = {component: j for j, component in enumerate(components)}
        p = np.zeros((last - first, len(components)))
        for part in own:
            low, high = max(part.start, first), min(part.start + len(part.p), last)
            p[low - first : high - first, [column[component] for component in part.components]] = part.p[
                low - part.start : high - part.start
            ]
        return components, p


@dataclass(frozen=True, eq=False)
class Publish:
    """Say this to everybody who listens to the topic; `make` puts it together, which a snapshot takes work
    for."""

    topic: str
    make: Callable[[], Snapshot | Change | Heartbeat]

    @cached_property
    def message(self) -> Snapshot | Change | Heartbeat:
        """What is to be said, made when it is asked for first."""
        return self.make()


@dataclass(frozen=True, slots=True)
class Refuse:
    """Frame number `index` of the event cannot be taken: nothing of it was learned."""

    index: int
    code: Code
    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the question."""

    message: Snapshot | Prediction | Scores | Health | ErrorReply


Effect: TypeAlias = Assigned | Publish | Refuse | Reply
