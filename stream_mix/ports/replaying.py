"""A journal, folded again: into a fresh engine, and compared with what was published when it was recorded."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..engine import Assigned, Effect, EngineState, Plan, new, state_hash
from ..mixture import Spec
from .folding import first_state, folded, grouped, plan_of, unpack_engine
from .journal import JournalError, JournalFrame, JournalReader, Output
from .pacing import Pace, Range, chosen

if TYPE_CHECKING:
    from ..config import Settings

TOLERANCE = 1e-6
"""How far a log density may be from the recorded one, per unit of it beyond 1: what is recorded has 24
bits."""


def recorded_settings(path: str | PathLike[str]) -> Settings:
    """The settings of the engine that made a journal. Raises JournalError where it does not hold them."""
    from ..config import ConfigError, from_text

    with JournalReader.open(path) as reader:
        text = reader.meta.get("settings")
    if text is None:
        raise JournalError(path, "does not say with which settings it was made; give a configuration")
    try:
        return from_text(text, fspath(path))
    except ConfigError as error:
        raise JournalError(path, f"its settings cannot be used ({error}); give a configuration") from None


def plan_for(path: str | PathLike[str], how: Settings | Spec | Plan | None) -> Plan:
    """What to replay into: settings, one model's specification (named `mixture`), or those that the
    journal holds."""
    if isinstance(how, Plan):
        return how
    if isinstance(how, Spec):
        return Plan({"mixture": how})
    return plan_of(recorded_settings(path) if how is None else how)


def paced(
    frames: Iterable[JournalFrame],
    pace: Pace,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[JournalFrame]:
    """Frames, each handed out when it is due."""
    start = now()
    for at, frame in pace.due(frames):
        wait = start + at - now()
        if wait > 0:
            sleep(wait)
        yield frame


def replay(
    path: str | PathLike[str],
    plan: Plan,
    wanted: Range = Range(),  # noqa: B008  # a frozen value
    pace: Pace = Pace(),  # noqa: B008  # a frozen value
    *,
    group: int = 256,
    sleep: Callable[[float], None] = time.sleep,
    note: Callable[[str], None] | None = None,
) -> Iterator[tuple[EngineState, list[JournalFrame], list[Effect]]]:
    """Fold the frames of a range into a fresh engine, group by group: the state after each, its frames and
    effects.

    The states do not depend on the pace or on `group`. A whole journal whose old rows were dropped is taken
    up from its oldest checkpoint, whose state comes first, without frames, and `note` is told. Raises
    JournalError.
    """
    name = fspath(path)
    with JournalReader.open(path) as reader:
        state = new(plan)
        if wanted.whole and reader.end().first_offset:
            state = _begun(reader, plan, note)
            yield state, [], []
            if state.offset >= min(reader.end().rows, wanted.stop or math.inf):
                return
            wanted = replace(wanted, start=state.offset)
        frames = paced(chosen(reader, wanted), pace, sleep=sleep)
        for some in grouped(frames, group if pace.fast else 1):
            state, effects = folded(state, some, name)
            yield state, some, effects


def _begun(reader: JournalReader, plan: Plan, note: Callable[[str], None] | None) -> EngineState:
    """The state at which all that a journal keeps begins, what is odd about it told."""
    notes: list[str] = []
    state = first_state(reader, plan, notes)
    if note is not None:
        for line in notes:
            note(line)
    return state


def replay_into_model(
    path: str | PathLike[str],
    how: Settings | Spec | Plan | None = None,
    wanted: Range = Range(),  # noqa: B008  # a frozen value
    pace: Pace = Pace(),  # noqa: B008  # a frozen value
    *,
    group: int = 256,
) -> EngineState:
    """The engine's state after all frames of a range; `state.learners[name].model` is a model. Raises
    JournalError."""
    plan = plan_for(path, how)
    state = new(plan)
    for now, _, _ in replay(path, plan, wanted, pace, group=group):
        state = now
    return state


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a replay found against what was published and kept when the journal was recorded.

    Attributes:
        rows: rows folded; `compared`: assignments of rows compared, of all models together.
        labels: labels that differ; `densities`: log densities that differ by more than the tolerance.
        worst: largest difference of a log density, per unit of it beyond 1.
        first: offset of the first row that differs, None where none does.
        checkpoints: checkpoints compared, and `unequal` their offsets where the state was another one.
        state_hash: of the state at the end.
    """

    rows: int = 0
    compared: int = 0
    labels: int = 0
    densities: int = 0
    worst: float = 0.0
    first: int | None = None
    checkpoints: int = 0
    unequal: tuple[int, ...] = ()
    state_hash: str = ""

    @property
    def ok(self) -> bool:
        """Whether there was something to compare, and nothing differed."""
        return not (self.labels or self.densities or self.unequal) and bool(self.compared or self.checkpoints)

    def line(self) -> str:
        """The verdict in one line for people."""
        what = f"{self.compared} assignments and {self.checkpoints} checkpoints compared"
        seen = f"{self.rows} rows replayed, {what}"
        if self.ok:
            return f"same: {seen}, log densities within {self.worst:.1e}"
        if not (self.compared or self.checkpoints):
            return f"nothing to compare: {seen}; outputs were not recorded"
        first = "" if self.first is None else f", first at offset {self.first}"
        bad = f"{self.labels} labels, {self.densities} log densities, {len(self.unequal)} checkpoints"
        return f"different: {bad} differ{first}; {seen}"


def verify(
    path: str | PathLike[str],
    how: Settings | Plan | None = None,
    *,
    group: int = 256,
    progress: Callable[[int, int], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Verdict:
    """Replay all that a journal keeps and compare: labels equal, log densities within 1e-6, states equal at
    its checkpoints.

    Where old rows were dropped it begins at the oldest checkpoint, and `note` is told. Raises JournalError
    where it cannot be read. `progress(rows done, rows in all)`.
    """
    name, plan, verdict = fspath(path), plan_for(path, how), Verdict()
    with JournalReader.open(path) as reader:
        total, state = reader.end().rows, _begun(reader, plan, note)
        begun = state.offset
        checkpoints = {
            found.offset: found.blob for found in reader.checkpoints() if begun < found.offset <= total
        }
        recorded = _Recorded(reader.outputs())
        for frames in grouped(reader.frames(begun) if total > begun else (), group, checkpoints):
            state, effects = folded(state, frames, name)
            verdict = recorded.compared(verdict, frames, effects)
            if state.offset in checkpoints:
                verdict = _at_checkpoint(verdict, state, checkpoints.pop(state.offset), plan)
            if progress is not None:
                progress(state.offset, total)
    return replace(verdict, rows=state.offset - begun, state_hash=state_hash(state))


def _at_checkpoint(verdict: Verdict, state: EngineState, blob: bytes, plan: Plan) -> Verdict:
    try:
        same = state_hash(unpack_engine(blob, plan)) == state_hash(state)
    except ValueError:
        same = False
    unequal = verdict.unequal if same else (*verdict.unequal, state.offset)
    return replace(verdict, checkpoints=verdict.checkpoints + 1, unequal=unequal)


@dataclass(slots=True)
class _Kept:
    """Recorded labels and log densities of one model from row `offset` on, not compared yet."""

    offset: int
    labels: npt.NDArray[np.int64]
    density: npt.NDArray[np.float32]


@dataclass(slots=True)
class _Recorded:
    """A journal's outputs, read along with its frames; one may reach over many frames, so that a rest is
    kept."""

    outputs: Iterator[Output]
    ahead: Output | None = None
    rest: dict[str, deque[_Kept]] = field(default_factory=dict)

    def compared(self, verdict: Verdict, frames: list[JournalFrame], effects: list[Effect]) -> Verdict:
        """The verdict with a group's assignments compared."""
        offsets = {frame.id: frame.offset for frame in frames}
        self._read(frames[-1].id, offsets)
        for effect in effects:
            if isinstance(effect, Assigned):
                verdict = self._model(verdict, effect)
        return verdict

    def _read(self, last: int, offsets: dict[int, int]) -> None:
        """Takes the outputs that begin at frames up to `last`."""
        while True:
            output = self.ahead or next(self.outputs, None)
            self.ahead = output
            if output is None or output.frame > last:
                return
            self.ahead = None
            if output.frame in offsets:
                kept = _Kept(offsets[output.frame], output.labels.astype(np.int64), output.log_density)
                self.rest.setdefault(output.model, deque()).append(kept)

    def _model(self, verdict: Verdict, said: Assigned) -> Verdict:
        """Compares one group's assignments by one model with what was recorded for these rows."""
        stop = said.offset + len(said.label)
        kept = self.rest.get(said.model, deque())
        while kept and kept[0].offset < stop:
            one = kept[0]
            first, last = max(one.offset, said.offset), min(stop, one.offset + len(one.labels))
            here, there = (
                slice(first - one.offset, last - one.offset),
                slice(first - said.offset, last - said.offset),
            )
            verdict = _rows(
                verdict, first, one.labels[here], one.density[here], said.label[there],
                said.log_density[there].astype(np.float32),
            )  # fmt: skip
            if last < one.offset + len(one.labels):
                break
            kept.popleft()
        return verdict


def _rows(
    verdict: Verdict,
    offset: int,
    labels: npt.NDArray[np.int64],
    density: npt.NDArray[np.float32],
    new_labels: npt.NDArray[np.int64],
    new_density: npt.NDArray[np.float32],
) -> Verdict:
    old = density.astype(np.float64)
    apart = np.abs(old - new_density) / np.maximum(1.0, np.abs(old))
    apart[old == new_density] = 0.0
    far = ~(apart <= TOLERANCE)
    other = labels != new_labels
    wrong = np.flatnonzero(far | other)
    first = verdict.first
    if len(wrong) and first is None:
        first = offset + int(wrong[0])
    worst = float(apart.max()) if len(apart) else 0.0
    return replace(
        verdict, compared=verdict.compared + len(labels), labels=verdict.labels + int(other.sum()),
        densities=verdict.densities + int(far.sum()), first=first,
        worst=max(verdict.worst, math.inf if math.isnan(worst) else worst),
    )  # fmt: skip
