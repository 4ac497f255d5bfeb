"""From settings and journalled frames to an engine's state: what recovery, replay and a running engine
share."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from traceback import clear_frames
from typing import TYPE_CHECKING

from .. import __version__
from ..engine import (
    Assigned,
    Effect,
    EngineState,
    Frames,
    Plan,
    Refuse,
    afresh,
    from_state,
    new,
    step,
    to_state,
)
from ..protocol import Frame, Limits, ProtocolError, decode_frame, pack_state, unpack_state
from .journal import Checkpoint, Connect, JournalError, JournalFrame, JournalReader, Output, connect
from .log import in_line

if TYPE_CHECKING:
    from ..config import Settings

JOURNALLED = Limits(frame_bytes=1 << 32, rows=1 << 28, features=1 << 20, cells=1 << 32, string=1 << 20)
"""For frames that an engine, under whatever limits it had, has already accepted."""
GROUP = 256
"""Frames that a replay folds at once; their number changes speed, never results."""


def plan_of(settings: Settings) -> Plan:
    """What the settings ask of the fold.

    >>> from stream_mix.config import Settings
    >>> sorted(plan_of(Settings(models=[{"name": "a"}, {"name": "b"}])).specs)
    ['a', 'b']
    """
    publish = settings.publish
    return Plan(
        specs={model.name: model.spec() for model in settings.models},
        features=settings.engine.features,
        max_features=settings.limits.features,
        max_cells=settings.limits.cells,
        snapshot_every_rows=publish.snapshot_every_rows,
        snapshot_every_seconds=publish.snapshot_every_seconds,
        heartbeat_seconds=publish.heartbeat_seconds,
        responsibilities=publish.responsibilities,
        about={
            "name": settings.engine.name, "version": __version__, "config": settings.digest(),
            "models": [model.name for model in settings.models],
        },
    )


def pack_engine(state: EngineState) -> bytes:
    """The state as a checkpoint's bytes."""
    return pack_state(to_state(state))


def unpack_engine(blob: bytes, plan: Plan) -> EngineState:
    """The state in a checkpoint. Raises ValueError where it is none, or made under another plan."""
    return from_state(unpack_state(blob), plan)


def decoded(frame: JournalFrame, path: str) -> Frame:
    """The rows of a journalled frame. Raises JournalError where it does not hold what its header says."""
    try:
        rows = decode_frame(frame.raw, JOURNALLED)
    except ProtocolError as error:
        why = f"frame {frame.id} does not decode: {error.reason}"
        raise JournalError(path, why, frame.offset) from None
    if rows.n != frame.n:
        why = f"frame {frame.id} holds {rows.n} rows, its header says {frame.n}"
        raise JournalError(path, why, frame.offset)
    return rows


def folded(state: EngineState, frames: list[JournalFrame], path: str) -> tuple[EngineState, list[Effect]]:
    """The state after journalled frames. Raises JournalError where one of them cannot be learned now.

    Frames that raise together are folded one by one, as the engine that took them did (`Learning`): one that
    raises alone is the one to name.
    """
    rows = tuple(decoded(frame, path) for frame in frames)
    try:
        after, effects = step(state, Frames(rows))
    except Exception as error:  # whatever is raised is told with its frame
        if len(frames) > 1:
            clear_frames(error.__traceback__)
            return _one_by_one(state, frames, path)
        why = f"frame {frames[0].id} cannot be learned ({in_line(error)})"
        raise JournalError(path, why, frames[0].offset) from error
    for effect in effects:
        if isinstance(effect, Refuse):
            frame = frames[effect.index]
            why = f"frame {frame.id} was recorded under other settings: {effect.reason}"
            raise JournalError(path, why, frame.offset)
    return after, effects


def _one_by_one(
    state: EngineState, frames: list[JournalFrame], path: str
) -> tuple[EngineState, list[Effect]]:
    effects: list[Effect] = []
    for frame in frames:
        state, some = folded(state, [frame], path)
        effects += some
    return state, effects


def grouped(
    frames: Iterable[JournalFrame], size: int = GROUP, borders: Container[int] = ()
) -> Iterator[list[JournalFrame]]:
    """Frames in lists of up to `size`; a list ends where a frame begins at one of the `borders`, which are
    offsets."""
    group: list[JournalFrame] = []
    for frame in frames:
        if group and (len(group) >= size or frame.offset in borders):
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def outputs_of(effects: Iterable[Effect], first_frame: int) -> list[Output]:
    """What a journal keeps of a group's assignments: one record for each model and run of frames.

    A record names the first frame of its run and holds the labels and log densities of that frame's rows and
    of those that follow; a replay compares row by row, so that how frames were grouped does not matter.
    """
    outputs: list[Output] = []
    frames: dict[str, int] = {}
    for effect in effects:
        if isinstance(effect, Assigned):
            frame = frames.get(effect.model, first_frame)
            frames[effect.model] = frame + len(effect.frames)
            density = effect.log_density.astype("<f4")
            outputs.append(
                Output(frame, effect.model, effect.generation, effect.label.astype("<i4"), density)
            )
    return outputs


@dataclass(frozen=True, slots=True, eq=False)
class Recovered:
    """The state that a journal leads to, the checkpoint it was reached from (None: the start), frames
    folded since."""

    state: EngineState
    checkpoint: int | None
    frames: int
    notes: tuple[str, ...] = ()


def first_state(reader: JournalReader, plan: Plan, notes: list[str]) -> EngineState:
    """Where a fold of all that a journal keeps begins, with a note where that is not the stream's start.

    Where old rows were dropped it is the oldest checkpoint; other models than those it holds begin there with
    nothing learned. Raises JournalError where no checkpoint can be believed.
    """
    begins = reader.end().first_offset
    if not begins:
        return new(plan)
    found = reader.first_checkpoint(lambda error: notes.append(str(error)))
    if found is None:
        why = f"begins at offset {begins}, older rows were dropped, and no checkpoint is left to begin from"
        raise JournalError(reader.path, why, begins)
    note = f"the journal begins at offset {begins}, older rows were dropped: taken up from the checkpoint at"
    try:
        state = unpack_engine(found.blob, plan)
        notes.append(f"{note} {found.offset}")
    except ValueError:
        state = _afresh(reader.path, found, plan)
        notes.append(f"{note} {found.offset}, where these models begin with nothing learned")
    if state.offset != found.offset:
        why = f"the checkpoint says that it is of offset {state.offset}"
        raise JournalError(reader.path, why, found.offset)
    return replace(state, last_snapshot=float("nan"))


def _afresh(path: str, found: Checkpoint, plan: Plan) -> EngineState:
    try:
        return afresh(unpack_state(found.blob), plan)
    except ValueError as error:
        raise JournalError(path, f"the checkpoint cannot be used: {error}", found.offset) from None


def recover(
    path: str,
    plan: Plan,
    progress: Callable[[int, int], None] | None = None,
    *,
    connect: Connect = connect,
) -> Recovered:
    """The last checkpoint and the frames after it, folded: bit-equal to an engine that was never stopped.

    A damaged checkpoint, or one of other models, is passed over (and noted): the frames before it lead to the
    same state. Raises JournalError where a frame cannot be believed.
    """
    notes: list[str] = []
    with JournalReader.open(path, connect=connect) as reader:
        state, checkpoint = _newest(reader, plan, notes)
        done, total = 0, reader.end().rows
        for group in grouped(reader.frames(state.offset)) if total > state.offset else ():
            if group[0].offset != state.offset:
                raise JournalError(
                    path, f"frame {group[0].id} begins elsewhere than a checkpoint ends", state.offset
                )
            state, _ = folded(state, group, path)
            done += len(group)
            if progress is not None:
                progress(state.offset, total)
    return Recovered(state, checkpoint, done, tuple(notes))


def _newest(reader: JournalReader, plan: Plan, notes: list[str]) -> tuple[EngineState, int | None]:
    before: int | None = None
    while (found := reader.last_checkpoint(before, lambda error: notes.append(str(error)))) is not None:
        try:
            state = unpack_engine(found.blob, plan)
        except ValueError as error:
            notes.append(f"checkpoint at offset {found.offset} is not used: {error}")
            if found.offset == 0:
                break
            before = found.offset - 1
            continue
        if state.offset != found.offset:
            notes.append(f"checkpoint at offset {found.offset} is not used: it says {state.offset}")
            before = found.offset - 1
            continue
        return replace(state, last_snapshot=float("nan")), found.offset
    state = first_state(reader, plan, notes)
    return state, state.offset or None
