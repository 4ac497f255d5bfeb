"""All that an engine knows: its models, the features, how far it has come, and who sent how much.

A learner keeps its model as of the last batch border and the rows that wait beside it: assignments are asked
of the former, whose parameters are computed once, and together they are the model as the mixture's own
`learn` would have it, bit for bit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..mixture import Model, Rows, Spec, Validity, expand, learn
from ..mixture import from_state as model_from_state
from ..mixture import state_hash as model_hash
from ..mixture import to_state as model_to_state
from ..mixture.lateness import newest

STATE_VERSION = 1
MARKS = 1024
"""Sources whose marks are kept, the most recently heard: names come from outside, so their number is
bounded."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What an engine was told to do, once.

    Attributes:
        specs: a specification for each model, by name.
        features: the features, in order; empty where they are learned from the stream.
        max_features: features that a stream may bring.
        max_cells: rows times known features of one frame, however few of them its rows have.
        snapshot_every_rows: learned rows between snapshots.
        snapshot_every_seconds, heartbeat_seconds: on the clock of `Tick.now`.
        responsibilities: whether assignments carry p.
        about: version and hash of the configuration, carried by snapshots and health.
    """

    specs: Mapping[str, Spec]
    features: tuple[str, ...] = ()
    max_features: int = 1024
    max_cells: int = 1 << 20
    snapshot_every_rows: int = 10_000
    snapshot_every_seconds: float = 1.0
    heartbeat_seconds: float = 1.0
    responsibilities: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Mark:
    """What came from one source: its latest `seq`, frames, frames that a jump in `seq` left out, and
    frames that came again."""

    seq: int = -1
    frames: int = 0
    gaps: int = 0
    duplicates: int = 0

    def heard(self, *seqs: int) -> Mark:
        """After further frames. A first frame sets the mark: a source may have begun before this engine did.

        >>> Mark().heard(7, 9, 9)
        Mark(seq=9, frames=3, gaps=1, duplicates=1)
        """
        last, gaps, duplicates = self.seq, self.gaps, self.duplicates
        for seq in seqs:
            if seq == last + 1 or last < 0:
                last = seq
            elif seq > last:
                gaps += seq - last - 1
                last = seq
            else:
                duplicates += 1
        return Mark(last, self.frames + len(seqs), gaps, duplicates)


@dataclass(frozen=True, slots=True)
class Counters:
    """Running sums since the stream began; `rows` are those accepted."""

    frames: int = 0
    rows: int = 0
    rows_refused: int = 0
    frames_refused: int = 0
    gaps: int = 0
    duplicates: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """One model: as of its last batch border, with the rows that wait for the next, and when it was last
    shown.

    `shown` is the number of rows learned at its latest snapshot, -1 before any; `found` are the figures of
    validity that a snapshot last had made, None before any and after a restart.
    """

    border: Model
    waiting: tuple[Rows, ...] = ()
    shown: int = -1
    found: Validity | None = None

    @property
    def model(self) -> Model:
        """The model with all rows taken."""
        return learn(self.border, Rows.concatenated(self.waiting))[0] if self.waiting else self.border

    @property
    def newest(self) -> float:
        """The newest event time among all rows taken; NaN before any."""
        t = newest(self.border)
        for rows in self.waiting:
            t = rows.newest(t)
        return t

    def without(self, late: int) -> Learner:
        """The same learner, so many late rows left out."""
        return replace(self, border=replace(self.border, late=self.border.late + late))

    def grown(self, d: int) -> Learner:
        """The same learner with features up to d."""
        waiting = tuple(rows.grown(d) for rows in self.waiting)
        return replace(self, border=expand(self.border, d), waiting=waiting)


@dataclass(frozen=True, slots=True, eq=False)
class EngineState:
    """Everything that the next step depends on.

    Attributes:
        features: known features in column order.
        offset: rows accepted since the stream began.
        learners: one for each model, by name.
        marks: what came from each source that numbers its frames, least recently heard first.
        published: messages under each counted topic in this run, which is not part of what is kept.
        last_snapshot, last_heartbeat: by `Tick.now`, NaN before the first.
        t: the latest time of day that a tick brought.
    """

    plan: Plan
    features: tuple[str, ...]
    offset: int
    learners: Mapping[str, Learner]
    marks: Mapping[str, Mark] = field(default_factory=dict)
    counters: Counters = Counters()
    published: Mapping[str, int] = field(default_factory=dict)
    last_snapshot: float = math.nan
    last_heartbeat: float = math.nan
    t: float | None = None


def new(plan: Plan) -> EngineState:
    """An engine that has seen nothing.

    >>> state = new(Plan({"mixture": Spec(n_components=2)}, features=("a", "b")))
    >>> state.offset, state.learners["mixture"].model.d
    (0, 2)
    """
    d = len(plan.features)
    return EngineState(
        plan, plan.features, 0, {name: Learner(Model.new(spec, d)) for name, spec in plan.specs.items()}
    )


def to_state(state: EngineState) -> dict[str, Any]:
    """All that a checkpoint keeps, as a tree of plain values and arrays."""
    return {
        "engine_version": STATE_VERSION,
        "fixed": list(state.plan.features),
        "features": list(state.features),
        "offset": state.offset,
        "models": [
            [name, learner.shown, model_to_state(learner.model)] for name, learner in state.learners.items()
        ],
        "marks": [
            [name, mark.seq, mark.frames, mark.gaps, mark.duplicates] for name, mark in state.marks.items()
        ],
        "counters": [getattr(state.counters, item.name) for item in fields(Counters)],
    }


def from_state(tree: Mapping[str, Any], plan: Plan) -> EngineState:
    """The state that `to_state` was given, to go on under the same plan.

    Raises ValueError where the tree is of another version, or of models or fixed features other than the
    plan's: such a state is no beginning of what the plan asks for, the stream has to be folded again from its
    start.
    """
    if tree.get("engine_version") != STATE_VERSION:
        raise ValueError(f"engine state: version {tree.get('engine_version')!r}, expected {STATE_VERSION}")
    models = {name: (shown, model_from_state(model)) for name, shown, model in tree["models"]}
    if {name: model.spec.asked for name, (_, model) in models.items()} != {
        name: spec.asked for name, spec in plan.specs.items()
    }:
        raise ValueError("engine state: made by other models than the configuration's")
    if tuple(tree["fixed"]) != plan.features:
        raise ValueError("engine state: made with other fixed features than the configuration's")
    return replace(
        new(plan),
        features=tuple(tree["features"]),
        offset=tree["offset"],
        learners={name: Learner(models[name][1], (), models[name][0]) for name in plan.specs},
        marks={name: Mark(*counts) for name, *counts in tree["marks"]},
        counters=Counters(*tree["counters"]),
    )


def afresh(tree: Mapping[str, Any], plan: Plan) -> EngineState:
    """The stream where `to_state` left it, under whatever plan, with nothing learned: for a stream whose
    first rows are gone, so that other models cannot begin before it. Raises ValueError for another version.
    """
    if tree.get("engine_version") != STATE_VERSION:
        raise ValueError(f"engine state: version {tree.get('engine_version')!r}, expected {STATE_VERSION}")
    features = plan.features or tuple(tree["features"])
    return replace(
        new(replace(plan, features=features)),
        plan=plan,
        offset=tree["offset"],
        marks={name: Mark(*counts) for name, *counts in tree["marks"]},
        counters=Counters(*tree["counters"]),
    )


def state_hash(state: EngineState) -> str:
    """A hash, 32 hex digits, of what was learned: every model by name, the features and the offset.

    Equal for equal rows in equal order, whatever brought them: sockets, a replay, or a loop of one's own. Who
    sent them, and what was published when, is not part of it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for piece in (str(state.offset), *state.features):
        digest.update(b"%d:%s" % (len(piece.encode()), piece.encode()))
    for name in sorted(state.learners):
        digest.update(f"{name}={model_hash(state.learners[name].model)}".encode())
    return digest.hexdigest()
