"""One step of the stream. Batches are cut by count of rows, so how frames are grouped into events changes no
result.

A row's assignment is its posterior under the model as it stood at the last batch border before that row: a
group of rows is cut at every border, judged piece by piece, and each full batch is learned before the next
piece is judged.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import Any, cast

import numpy as np

from ..mixture import Change as Learnt
from ..mixture import Model, Posterior, Rows, judge_batches, learn, posterior, rows_until_batch
from ..mixture.lateness import late, stretches
from ..protocol import Change, Frame, Heartbeat, ProtocolError
from ..protocol.messages import ChangeKind
from .events import (
    Array,
    Ask,
    Assigned,
    Effect,
    Event,
    Frames,
    Greet,
    Part,
    Publish,
    Refuse,
    Rejected,
    Reply,
    Stop,
    Tick,
)
from .features import admitted, aligned
from .marks import marks_after
from .queries import answer, judged, snapshot, time_or_none
from .state import Counters, EngineState, Learner

RUN_CELLS = 1 << 16
"""Rows times features folded at once, where frames are many: half a MiB stays in a core's cache, and a few
bytes of a frame can stand for 8 MiB of columns that it does not have."""


def step(state: EngineState, event: Event) -> tuple[EngineState, list[Effect]]:
    """The state after an event, and what is to be done about it, in order.

    >>> from stream_mix.engine import Plan, new
    >>> from stream_mix.mixture import Spec
    >>> frame = Frame(np.array([[1.0], [2.0]]), 2, source="me", seq=0)
    >>> state, effects = step(new(Plan({"mixture": Spec(n_components=2)})), Frames((frame,)))
    >>> state.offset, state.features, [message.n for message in effects[0].messages()]
    (2, ('f0',), [2])
    """
    match event:
        case Frames(frames):
            return _frames(state, frames)
        case Tick(now, t):
            return _tick(state, now, t)
        case Ask(query):
            return state, [Reply(answer(state, query))]
        case Stop():
            return _shown(state)
        case Greet(models):
            return _shown(state, again=models)
        case Rejected(frames):
            return _rejected(state, frames), []


def _frames(state: EngineState, frames: Sequence[Frame]) -> tuple[EngineState, list[Effect]]:
    """Takes frames in runs of the same features; one that does not fit is refused alone."""
    effects: list[Effect] = []
    run: list[Frame] = []
    cells = 0
    for i, frame in enumerate(frames):
        try:
            features = admitted(state.plan, state.features, frame)
        except ProtocolError as error:
            effects.append(Refuse(i, error.code, error.reason))
            continue
        size = frame.n * len(features)
        if features is not state.features or cells + size > RUN_CELLS:
            state = _run(state, run, effects)
            run, cells = [], 0
        if features is not state.features:
            state = _grown(state, features)
        run.append(frame)
        cells += size
    refused = len(effects) and sum(isinstance(effect, Refuse) for effect in effects)
    state = _run(state, run, effects)
    return _rejected(state, refused) if refused else state, effects


def _rejected(state: EngineState, frames: int) -> EngineState:
    refused = state.counters.frames_refused + frames
    return replace(state, counters=replace(state.counters, frames_refused=refused))


def _grown(state: EngineState, features: tuple[str, ...]) -> EngineState:
    learners = {name: learner.grown(len(features)) for name, learner in state.learners.items()}
    return replace(state, features=features, learners=learners)


def _run(state: EngineState, run: list[Frame], effects: list[Effect]) -> EngineState:
    """Folds frames that all have known features: their rows become one array, what is said of it is cut up
    again later."""
    if not run:
        return state
    index: dict[tuple[str, ...], list[int]] = {}
    x = _joined([aligned(state.features, frame, index) for frame in run])
    rows = Rows(x, _column(run, "w", 1.0, len(x)), _column(run, "t", math.nan, len(x)))
    bounds = tuple(accumulate((len(frame.x) for frame in run), initial=0))
    learners: dict[str, Learner] = {}
    published = dict(state.published)
    for name, learner in state.learners.items():
        said, news = _Said(), _News(state, name, published)
        learners[name] = _model(learner, rows, said, news)
        effects.append(said.assigned(state, name, tuple(run), bounds))
        effects.extend(news.effects)
    marks, gaps, duplicates = marks_after(state.marks, run)
    old = state.counters
    sent = sum(frame.n_sent for frame in run)
    counters = Counters(
        old.frames + len(run), old.rows + len(x), old.rows_refused + sent - len(x), old.frames_refused,
        old.gaps + gaps, old.duplicates + duplicates,
    )  # fmt: skip
    return replace(
        state, offset=state.offset + len(x), learners=learners, marks=marks, counters=counters,
        published=published,
    )  # fmt: skip


class _Said:
    """A buffer of what one model says of a group of rows."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.labels: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = []
        self.densities: list[Array] = []
        self.outliers: list[Array] = []

    def take(self, border: Model, start: int, found: Posterior, *, late: bool = False) -> None:
        """Rows from `start` on, whose batches came one after the other from this border on; late rows are in
        none."""
        size = len(found.p) if late else border.spec.batch_size
        self.parts.append(Part(start, border.generation, border.components, found.p, size))
        self.labels.append(found.label)
        self.densities.append(found.log_density)
        self.outliers.append(found.outlier)

    def assigned(
        self, state: EngineState, name: str, frames: tuple[Frame, ...], bounds: tuple[int, ...]
    ) -> Assigned:
        return Assigned(
            name, state.offset, frames, bounds, tuple(self.parts), _joined(self.labels),
            _joined(self.densities), _joined(self.outliers), state.plan.responsibilities,
        )  # fmt: skip


class _News:
    """A buffer of what became of one model while it took a group of rows."""

    def __init__(self, state: EngineState, name: str, published: dict[str, int]) -> None:
        self.state, self.name, self.published = state, name, published
        self.effects: list[Effect] = []

    def learned(self, before: Learner, after: Learner, changes: Sequence[Learnt]) -> Learner:
        for change in changes:
            self.effects.append(Publish(f"change/{self.name}", partial(_change, self.name, after, change)))
        every = self.state.plan.snapshot_every_rows
        then, now = before.border, after.border
        due = now.learned // every > then.learned // every or (then.warming and not now.warming)
        # Figures at the pace of rows would cost more than learning: ticks bring them, and so does a doubling.
        stale = after.found is None or now.generation >= 2 * after.found.generation
        return self.show(after, fresh=stale) if due else after

    def batches_until_due(self, learner: Learner) -> int:
        """Batches that the model can learn before a snapshot is due, that one included."""
        every = self.state.plan.snapshot_every_rows
        left = every - learner.border.learned % every
        return 1 if learner.border.warming else -(-left // learner.border.spec.batch_size)

    def show(self, learner: Learner, *, fresh: bool) -> Learner:
        """Publishes a snapshot, with figures of validity of this moment or, unless `fresh`, the latest."""
        topic = f"snapshot/{self.name}"
        number = self.published.get(topic, 0)
        self.published[topic] = number + 1
        found = judged(self.state, learner.border) if fresh or not learner.found else learner.found
        self.effects.append(
            Publish(topic, partial(snapshot, self.state, self.name, learner.border, number, found))
        )
        return replace(learner, shown=learner.border.learned, found=found)


def _model(learner: Learner, rows: Rows, said: _Said, news: _News) -> Learner:
    """Judges rows, and learns those that are not late."""
    if learner.border.spec.lateness is None:
        return _learned(learner, rows, 0, said, news)
    out = late(rows.t, learner.newest, learner.border.spec.lateness)
    for stretch, behind in stretches(out):
        if behind:
            said.take(learner.border, stretch.start, posterior(learner.border, rows.x[stretch]), late=True)
            learner = learner.without(stretch.stop - stretch.start)
        else:
            learner = _learned(learner, rows[: stretch.stop], stretch.start, said, news)
    return learner


def _learned(learner: Learner, rows: Rows, start: int, said: _Said, news: _News) -> Learner:
    """Judges and learns rows from `start` on, cut where batches end."""
    n = len(rows)
    while start < n:
        waiting, size = learner.waiting, learner.border.spec.batch_size
        room = rows_until_batch(learner.border) - sum(map(len, waiting))
        piece = rows[start : start + room]
        if len(piece) < room:
            said.take(learner.border, start, posterior(learner.border, piece.x))
            # A copy: a view would hold on to the whole group.
            return replace(learner, waiting=(*waiting, piece.copy()))
        if room == size:
            whole = min((n - start) // size, news.batches_until_due(learner)) * size
            border, done, found = judge_batches(learner.border, rows[start : start + whole])
        else:
            found = posterior(learner.border, piece.x)
            border, done = learn(learner.border, Rows.concatenated([*waiting, piece]))
        said.take(learner.border, start, found)
        learner = news.learned(learner, replace(learner, border=border, waiting=()), done.changes)
        start += len(found.p)
    return learner


def _change(name: str, learner: Learner, change: Learnt) -> Change:
    kind = cast(ChangeKind, change.kind)  # the mixture's words are the protocol's
    return Change(name, change.offset, time_or_none(learner.border.t), kind, change.component, change.parents)


def _tick(state: EngineState, now: float, t: float) -> tuple[EngineState, list[Effect]]:
    state = replace(state, t=t)
    effects: list[Effect] = []
    if not now < state.last_snapshot + state.plan.snapshot_every_seconds:
        state, effects = _shown(replace(state, last_snapshot=now))
    if not now < state.last_heartbeat + state.plan.heartbeat_seconds:
        number = state.published.get("heartbeat", 0)
        effects.append(Publish("heartbeat", partial(Heartbeat, number, state.offset, t)))
        state = replace(state, last_heartbeat=now, published={**state.published, "heartbeat": number + 1})
    return state, effects


def _shown(state: EngineState, again: Container[str] = ()) -> tuple[EngineState, list[Effect]]:
    """Publishes a snapshot of every model whose last one has not all rows learned, or not their figures, or
    that is to be shown `again`."""
    effects: list[Effect] = []
    learners = dict(state.learners)
    published = dict(state.published)
    for name, learner in state.learners.items():
        border = learner.border
        judged_at = None if learner.found is None else learner.found.generation
        told = border.learned == learner.shown and judged_at in (None, border.generation)
        if not border.warming and (name in again or not told):
            news = _News(state, name, published)
            learners[name] = news.show(learner, fresh=judged_at != border.generation)
            effects.extend(news.effects)
        elif not border.warming and judged_at is None:
            # After a restart there is nothing new to say, but health is asked.
            learners[name] = replace(learner, found=judged(state, border))
    return replace(state, learners=learners, published=published), effects


def _joined(parts: Sequence[np.ndarray[Any, Any]]) -> Any:  # of what the parts are of
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def _column(run: list[Frame], name: str, default: float, n: int) -> Array:
    """The weights or times of all rows of a run, `default` for frames that have none."""
    own = [getattr(frame, name) for frame in run]
    if all(column is None for column in own):
        return np.full(n, default)
    column: Array = _joined(
        [np.full(len(f.x), default) if c is None else c for f, c in zip(run, own, strict=True)]
    )
    return column
