"""Two models become one: what `Moments.add` does for shards, and the nearest to it for models trained apart.

**Exact.** Models of one lineage, such as `shards` makes, name their components alike; their moments are
added, and the result holds what one model would hold that had counted each row as its shard did. Where
components are so far apart that it makes no difference which shard judged a row, that is one model over all
rows. A model whose start is not settled still has all of its rows; the other one learns them, which is exact,
too.

**Approximate.** Models that started apart know different components. Theirs are laid beside ours, and those
that differ least are joined (`reduction`) until no more are left than wanted. Every joint keeps mass, mean
and covariance, so the whole keeps its mean and covariance exactly; what is lost is told for each joint. Of
Student's t, what is kept so are scale matrices, of rows by what they count for (`Spec.degrees_of_freedom`).

Half-lives in rows and windows: rows grow old in their own stream. A half-life in event time brings both to
the later of the two times. The other model must not have learned the same rows: they would count twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .adaptive import Choice
from .basis import Basis
from .changes import Change
from .learning import all_learned, flush, learn
from .memory import Store
from .model import Model
from .moments import lineage_of
from .reduction import Cloud, placed
from .rows import Rows
from .sampling import begun, mixed, size
from .spec import Spec
from .starting import rebased, reviewed
from .takeover import beside, of_family


@dataclass(frozen=True)
class Match:
    """A component of the result that several became: `ours` and `theirs` are their ids in the two models.

    `loss` is how far apart they were: the nats per row that joining them adds, at the most, to the
    Kullback-Leibler divergence from the two mixtures laid together.
    """

    component: int
    ours: tuple[int, ...]
    theirs: tuple[int, ...]
    loss: float


@dataclass(frozen=True)
class Merged:
    """What merging came to: whether it was exact, and where not, which components became which, and what
    happened to ours."""

    exact: bool
    matches: tuple[Match, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def loss(self) -> float:
        """Of all matches together, in nats per row; 0 where the merge was exact."""
        return math.fsum(match.loss for match in self.matches)


def merge(model: Model, other: Model, n_components: int | None = None) -> tuple[Model, Merged]:
    """The model that has learned what both have, under the ids of the first; rows that wait for their batch
    are learned first.

    `n_components` is the most components that an approximate merge may leave, as many as `model` has unless
    given; with more, those of `other` that are like none of ours (joining them would cost more than BIC
    charges for a component) stay as new ones. Where the rows say which family it is, the other model's
    candidate for ours takes its place, and candidates are merged, too. Raises ValueError where family,
    assignment, memory, degrees of freedom, whether a background stands behind components or number of
    features differ, or where a number of components makes no sense.

    >>> from stream_mix.mixture import Spec
    >>> spec = Spec(n_components=2, batch_size=4)
    >>> one, _ = learn(Model.new(spec, 1), Rows.of([[0.0], [9.0], [0.1], [9.1]]))
    >>> two, _ = learn(Model.new(spec, 1), Rows.of([[9.2], [9.0], [0.2], [0.1]]))
    >>> both, merged = merge(one, two)
    >>> both.learned, merged.exact
    (8, True)
    """
    _same_kind(model.spec.asked, other.spec.asked)
    _same("number of features", model.d, other.d)
    most = (model.spec.up_to or model.k) if n_components is None else n_components
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(f"merge: n_components is {n_components!r}, expected an integer >= 1 or None")
    if model.next_start or other.next_start:
        return _told(model, other), Merged(exact=True)
    # Rows that wait may decide which family it is: it is asked for behind them.
    (model, _), (other, _) = flush(model), flush(other)
    other = of_family(other, model.spec, all_learned)
    _same("family", model.spec.family, other.spec.family)
    contest = beside(model, other, merge, all_learned)
    basis = _common_basis(model, other)
    model, other = rebased(model, basis), rebased(other, basis)
    if model.store[0].lineage == other.store[0].lineage and model.components == other.components:
        joined = _joined(model, other, model.store, other.store)
        return replace(_sampled(joined, model, other), contest=contest), Merged(exact=True)
    joined, merged = _matched(model, other, most)
    return replace(joined, contest=contest), merged


def _same_kind(ours: Spec, theirs: Spec) -> None:
    _same("family", ours.family, theirs.family)
    _same("families", ours.families, theirs.families)
    _same("assignment", "hard" if ours.hard else "soft", "hard" if theirs.hard else "soft")
    _same("memory", ours.memory, theirs.memory)
    _same("degrees_of_freedom", ours.degrees_of_freedom, theirs.degrees_of_freedom)
    _same("robust", ours.robust, theirs.robust)


def _same(name: str, mine: object, its: object) -> None:
    if mine != its:
        raise ValueError(f"merge: the other model's {name} is {its!r}, expected {mine!r}")


def _rows(model: Model) -> Rows:
    """All rows that a model whose start is not settled ever took."""
    return Rows.concatenated([*model.reservoir, model.pending])


def _told(model: Model, other: Model) -> Model:
    """One of the models, the first if it can be, after all rows of the other, whose start is not settled."""
    learner, rows = (model, _rows(other)) if other.next_start else (other, _rows(model))
    if learner.k != model.k and model.spec.up_to is None:
        raise ValueError(
            f"merge: the first model's start is not settled and the other has {learner.k} components,"
            f" expected {model.k}; merge it into the other instead"
        )
    # What the other has taken is not late.
    after, _ = learn(replace(learner, spec=replace(learner.spec, lateness=None)), rows)
    spec = replace(model.spec, n_components=after.k, family=after.spec.family)
    return replace(after, spec=spec, late=model.late + other.late)


def _common_basis(model: Model, other: Model) -> Basis:
    """The first model's basis, and the other's where the first never saw a feature."""
    mine, its = model.basis, other.basis
    if not (new := np.isnan(mine.origin)).any():
        return mine
    scale = mine.scale if model.spec.family_value.isotropic else np.where(new, its.scale, mine.scale)
    return Basis(np.where(new, its.origin, mine.origin), scale)


def _joined(model: Model, other: Model, ours: Store, theirs: Store) -> Model:
    """Both models' counts, and stores of one lineage added."""
    return replace(
        model,
        store=model.spec.memory.beside(ours, model.t, theirs, other.t),
        generation=model.generation + other.generation,
        learned=model.learned + other.learned,
        t=float(np.fmax(model.t, other.t)),
        evidence=(model.evidence[0] + other.evidence[0], model.evidence[1] + other.evidence[1]),
        late=model.late + other.late,
        choice=_choice(model, other),
    )


def _sampled(result: Model, model: Model, other: Model) -> Model:
    """The result with rows of both models' samples, by how much each remembers; with none where one has none,
    or where the result is not reviewed."""
    ours, theirs, spec = model.sample, other.sample, result.spec
    if ours is None or theirs is None or not reviewed(spec):
        return replace(result, sample=None)
    mass = float(model.moments.mass.sum()), float(other.moments.mass.sum())
    rows = mixed(ours.settled(), theirs.settled(), *mass, seed=spec.random_state)
    named = max(_named(model), _named(other), max(result.components) + 1)
    sample = begun(rows, size(spec.most, result.d), result.learned, spec.random_state, named)
    return replace(result, sample=replace(sample, review=ours.review))


def _named(model: Model) -> int:
    """How many ids were given so far, as far as the model knows."""
    return max(model.components) + 1 if model.sample is None else model.sample.named


def _choice(model: Model, other: Model) -> Choice | None:
    """The shorter memory of the two in use, if either had to be: nothing is held against it yet."""
    if model.choice is None or other.choice is None:
        return None
    first = min(model.choice, other.choice, key=lambda choice: choice.chosen)
    return replace(first, evidence=(0.0,) * len(first.evidence))


def _matched(model: Model, other: Model, most: int) -> tuple[Model, Merged]:
    """The other's components laid beside ours, and those that differ least joined."""
    k = model.k
    slots, lost = _slots(model, other, most)
    k_after = max(slots) + 1
    ours, theirs = slots[:k], slots[k:]
    lineage = model.store[0].lineage
    joined = _joined(
        model,
        other,
        tuple(placed(bucket, ours, k_after, lineage) for bucket in model.store),
        tuple(placed(bucket, theirs, k_after, lineage) for bucket in other.store),
    )
    store = joined.store
    if ours != list(range(k_after)):
        # Component 3 is no longer what it was: a labelling of its own begins.
        begun = lineage_of(joined.moments.mean, joined.basis)
        store = tuple(replace(bucket, lineage=begun) for bucket in store)
    ids = _ids(model, ours, max(_named(model), _named(other)), k_after)
    spec = replace(model.spec, n_components=k_after)
    result = _sampled(replace(joined, spec=spec, components=ids, store=store), model, other)
    matches, changes = [], []
    for slot, component in enumerate(ids):
        mine = tuple(model.components[i] for i in range(k) if ours[i] == slot)
        its = tuple(other.components[i] for i in range(other.k) if theirs[i] == slot)
        if len(mine) + len(its) > 1:
            matches.append(Match(component, mine, its, lost[slot]))
        if len(mine) != 1:
            changes.append(Change("merged" if mine else "born", component, mine, result.learned))
    return result, Merged(False, tuple(matches), tuple(changes))


def _slots(model: Model, other: Model, most: int) -> tuple[list[int], list[float]]:
    """For each component of both models, ours first, the slot it goes to; and the loss of each slot."""
    now = float(np.fmax(model.t, other.t))
    parts = []
    for one in (model, other):
        # As old as the other is: a memory in event time has both count as of the later time.
        blank = replace(one.moments.scale(0.0), rows=0)
        store = one.spec.memory.beside(one.store, one.t, (blank,), now)
        parts.append((replace(one, store=store).moments.mass, one.parameters))
    cloud = Cloud.of(parts)
    mass = float(sum(mass.sum() for mass, _ in parts))
    n_parameters = model.spec.family_value.n_parameters(model.k, model.d) / model.k
    # What BIC charges for one component, per row.
    price = 0.5 * n_parameters * math.log(max(mass, 2.0)) / max(mass, 1.0)
    while len(cloud) > most or (len(cloud) > min(model.k, most) and cloud.cheapest < price):
        cloud.join()
    groups = [i for i, members in enumerate(cloud.members) if members]
    slots = [0] * len(cloud.members)
    for slot, group in enumerate(groups):
        for member in cloud.members[group]:
            slots[member] = slot
    return slots, [float(cloud.lost[group]) for group in groups]


def _ids(model: Model, ours: list[int], named: int, k: int) -> tuple[int, ...]:
    """Each slot's id: that of the heaviest of our components in it, or a new one."""
    ids = [-1] * k
    for i in np.argsort(model.moments.mass, kind="stable"):
        ids[ours[i]] = model.components[i]
    new = named
    for slot, component in enumerate(ids):
        if component < 0:
            ids[slot], new = new, new + 1
    return tuple(ids)
