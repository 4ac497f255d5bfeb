"""Models that learn the same rows in the same order, each as an engine of its own would.

A row is labelled as the stream would have it, before it is learned. While a model still looks for its start
its labels mean little: these first rows are kept, and labelled when the start is settled, or at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from time import process_time
from typing import NamedTuple

import numpy as np

from stream_mix.engine import Assigned, Frames, Plan, Refuse, new, step
from stream_mix.engine.features import aligned
from stream_mix.mixture import Forever, Model, Spec, clusters, flush, measured, posterior
from stream_mix.mixture.agreement import Contingency, centroid_index, mutual_information, rand_index
from stream_mix.protocol import Frame
from stream_mix.recording import RecordingError

from .figures import Array, Line, Result
from .source import Ints, Piece
from .truth import Sample, Truth

_NAME = "model"
_GROUP = 1024
"""Rows folded at once; their number changes no result."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model to be compared, by name."""

    name: str
    spec: Spec


class _Said(NamedTuple):
    """Labels (n,), -1 while warming, and log densities (n,) of rows before they were learned."""

    label: Ints
    log_density: Array


class _Learner:
    """One model on its way."""

    def __init__(self, spec: Spec) -> None:
        plan = Plan(
            {_NAME: spec}, max_features=1 << 20, max_cells=1 << 32, snapshot_every_rows=1 << 62,
            responsibilities=False,
        )  # fmt: skip
        self.state = new(plan)
        self.seconds = 0.0

    @property
    def model(self) -> Model:
        """The model as of the last batch border."""
        return self.state.learners[_NAME].border

    def take(self, frames: tuple[Frame, ...]) -> _Said:
        """Judges and learns rows. Raises RecordingError where they do not fit."""
        start = process_time()
        self.state, effects = step(self.state, Frames(frames))
        self.seconds += process_time() - start
        for effect in effects:
            if isinstance(effect, Refuse):
                raise RecordingError(f"rows that do not fit those before them: {effect.reason}")
        said = [effect for effect in effects if isinstance(effect, Assigned)]
        label = np.concatenate([one.label for one in said])
        return _Said(label, np.concatenate([one.log_density for one in said]))

    def labels(self, frames: Iterable[Frame]) -> Ints:
        """The labels of rows under the model as it is."""
        return np.concatenate([
            posterior(self.model, aligned(self.state.features, frame, {})).label for frame in frames
        ])  # fmt: skip

    def finish(self) -> None:
        """Learns the rows that wait for their batch."""
        start = process_time()
        learner = self.state.learners[_NAME]
        done = replace(learner, border=flush(learner.model)[0], waiting=())
        self.state = replace(self.state, learners={_NAME: done})
        self.seconds += process_time() - start


class _Run:
    """A line of the comparison: a model, its twin of another seed if there is one, and what was counted."""

    def __init__(self, entry: Entry, twin: bool) -> None:
        self.entry = entry
        seeds = [entry.spec.random_state + i for i in range(1 + twin)]
        self.learners = [_Learner(replace(entry.spec, random_state=seed)) for seed in seeds]
        self.truth, self.twins = Contingency(), Contingency()
        self._held: list[tuple[tuple[Frame, ...], Ints]] = []

    @property
    def settled(self) -> bool:
        """Whether all starts are."""
        return all(one.model.next_start == 0 for one in self.learners)

    def take(self, frames: tuple[Frame, ...], truth: Ints) -> _Said:
        """Further rows with their true labels (n,); what the first model said of them."""
        begun = self.settled
        said = [one.take(frames) for one in self.learners]
        if begun:
            self._count([one.label for one in said], truth)
        else:
            self._held.append((frames, truth))
            if self.settled:
                self._release()
        return said[0]

    def finish(self) -> None:
        """There are no more rows."""
        for one in self.learners:
            one.finish()
        self._release()

    def _release(self) -> None:
        for frames, truth in self._held:
            self._count([one.labels(frames) for one in self.learners], truth)
        self._held.clear()

    def _count(self, labels: list[Ints], truth: Ints) -> None:
        known = truth >= 0
        if known.any():
            self.truth.add(truth[known], labels[0][known])
        if len(labels) > 1:
            self.twins.add(labels[0], labels[1])

    def line(self, log_likelihood: float | None, truth: Truth, sample: Array) -> Line:
        """The figures at the end; of a model that forgets nothing by a sample of the rows, not by rows of its
        own, so that all are judged by the same."""
        learner = self.learners[0]
        model = learner.model
        found = measured(model, sample if isinstance(model.spec.memory, Forever) else None)
        groups = clusters(model)
        counted = self.truth.rows > 0
        merged = None if groups is None else rand_index(self.truth.grouped(groups).table)
        return Line(
            name=self.entry.name, components=model.k, family=model.spec.family,
            mass=float(model.moments.mass.sum()), log_likelihood=log_likelihood,
            bic=found.bic, icl=found.icl, silhouette=found.silhouette, xie_beni=found.xie_beni,
            clusters=None if groups is None else len(groups),
            stability=rand_index(self.twins.table) if self.twins.rows else None,
            rand_index=rand_index(self.truth.table) if counted else None,
            mutual_information=mutual_information(self.truth.table) if counted else None,
            merged_rand_index=merged if counted else None,
            centroid_index=_centres(model, truth), seconds=learner.seconds,
        )  # fmt: skip


def compare(
    rows: Iterable[Piece],
    entries: Sequence[Entry],
    *,
    stability: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Learns the rows with every entry, side by side, each row once.

    With `stability` each has a twin with the next seed. `progress` is told the rows so far. Raises
    RecordingError where there are no rows, or rows do not fit those before them.
    """
    runs = [_Run(entry, stability) for entry in entries]
    truth, sample = Truth(), Sample()
    groups: list[tuple[bool, float, Array]] = []
    n = 0
    for frames, labels in _grouped(rows):
        begun = all(run.settled for run in runs)
        said = [run.take(frames, labels) for run in runs]
        features = runs[0].learners[0].state.features
        x = np.concatenate([aligned(features, frame, {}) for frame in frames])
        truth.add(x, labels)
        sample.add(x)
        groups.append((begun, *_sums(frames, said)))
        n += len(x)
        if progress is not None:
            progress(n)
    if not n:
        raise RecordingError("no rows to compare models by")
    for run in runs:
        run.finish()
    counts, sums = _counting(groups, len(runs))
    total = counts.sum()
    means = sums.sum(axis=0) / total if total > 0 else [None] * len(runs)
    lines = tuple(
        run.line(None if mean is None else float(mean), truth, sample.x)
        for run, mean in zip(runs, means, strict=True)
    )
    models = tuple(run.learners[0].model for run in runs)
    return Result(lines, models, n, runs[0].learners[0].state.features, sample.x, sums, counts)


def _grouped(rows: Iterable[Piece]) -> Iterator[tuple[tuple[Frame, ...], Ints]]:
    """Pieces together, where they are small."""
    held: list[Piece] = []
    for piece in chain(rows, [None]):
        if held and (piece is None or sum(one.frame.n for one in held) >= _GROUP):
            yield tuple(one.frame for one in held), np.concatenate([one.truth for one in held])
            held = []
        if piece is not None and piece.frame.n:
            held.append(piece)


def _sums(frames: tuple[Frame, ...], said: list[_Said]) -> tuple[float, Array]:
    """What a group's rows weigh, and the sum of their log densities under each model (models,): of those
    that every model was warm for."""
    weight = np.concatenate([np.ones(frame.n) if frame.w is None else frame.w for frame in frames])
    weight = weight * np.all([one.label >= 0 for one in said], axis=0)
    return float(weight.sum()), np.array([weight @ one.log_density for one in said])


def _counting(groups: list[tuple[bool, float, Array]], models: int) -> tuple[Array, Array]:
    """The groups that judge the models: those after all starts were settled, or all where these are fewer
    than half."""
    late = [group for group in groups if group[0]]
    if 2.0 * sum(group[1] for group in late) < sum(group[1] for group in groups):
        late = groups
    late = [group for group in late if group[1] > 0]
    sums = np.array([group[2] for group in late]).reshape(len(late), models)
    return np.array([group[1] for group in late]), sums


def _centres(model: Model, truth: Truth) -> int | None:
    """The centroid index in the coordinates of the model's basis."""
    means = truth.means(model.d)
    if means is None:
        return None
    centres = model.basis.forward(means)
    return centroid_index(model.parameters.means, np.where(np.isnan(centres), 0.0, centres))


