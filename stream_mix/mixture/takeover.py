"""How another family's candidate takes a model's place (`contest`), and what merging makes of candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .changes import Change, Renamed, renamed
from .contest import Contest, Learning
from .following import going_on
from .model import Model, parameters, posterior
from .rows import LARGEST, Rows
from .sampling import begun, size
from .spec import Spec


def contested(
    model: Model, contest: Contest, rows: Rows, learning: Learning
) -> tuple[Model, tuple[Change, ...]]:
    """The model, which has just learned these rows, with its contest taken through them; and, where another
    family took over, as that family's candidate, and what that did to components."""
    first = model.learned - len(rows)
    contest, behind = contest.taking(rows, first), None
    while contest.start + contest.waiting == contest.end:
        behind = contest.end
        contest = contest.onward(model.spec, learning).taking(rows, first)
    if behind is None or contest.family == model.spec.family:
        return replace(model, contest=contest), ()
    return taken_over(replace(model, contest=contest), rows[behind - first :], learning)


def taken_over(model: Model, rest: Rows, learning: Learning) -> tuple[Model, tuple[Change, ...]]:
    """The candidate in use in the model's place, after it learned the rest of the rows, under the model's ids
    as far as components are the same; and what happened to them."""
    contest = model.contest
    assert contest is not None
    new = contest.candidates[contest.chosen]
    spec = replace(model.spec, family=new.spec.family, n_components=new.spec.n_components)
    new = learning(going_on(new, spec), rest)
    ids = _renamed(model, new)
    components = [-1] * new.k
    for component, place in zip(ids.components, ids.order, strict=True):
        components[place] = component
    # Rows that only the model learned are in nobody's sample: the candidate's stands for them too.
    sample, same = new.sample, new.learned == model.learned
    if sample is not None and not same:
        most, seed = size(spec.most, new.d), spec.random_state
        review = None if sample.review is None else 2 * model.learned
        sample = begun(sample.settled(), most, model.learned, seed, ids.named)
        sample = replace(sample, review=review)
    after = replace(
        model,
        spec=new.spec,
        components=tuple(components),
        store=new.store,
        reservoir=new.reservoir,
        next_start=new.next_start,
        sample=None if sample is None else replace(sample, named=ids.named),
        choice=new.choice,
    )
    return after, (Change("rebased", -1, (), model.learned), *ids.changes)


def _renamed(model: Model, new: Model) -> Renamed:
    """The new model's components under the ids of the model: each one's mass goes, by half, to whose mean the
    other model takes it for, in both directions."""
    named = max(model.components) + 1 if model.sample is None else model.sample.named
    before, after = parameters(model), parameters(new)
    # Rounding must not carry the mean of the largest rows there are beyond them.
    old_means, new_means = (np.clip(one.means, -LARGEST, LARGEST) for one in (before, after))
    theirs = before.weights[:, None] * posterior(new, old_means).p
    mine = posterior(model, new_means).p.T * after.weights
    return renamed(model.components, named, 0.5 * (theirs + mine), model.learned)


def of_family(model: Model, spec: Spec, learning: Learning) -> Model:
    """The model as its candidate for the family of `spec`, where it has one that has learned rows and is of
    another family."""
    contest = model.contest
    if contest is None or model.spec.families != spec.families or model.spec.family == spec.family:
        return model
    chosen = model.spec.families.index(spec.family)
    if contest.candidates[chosen].warming:
        return model
    changed = replace(model, contest=replace(contest, chosen=chosen))
    return taken_over(changed, contest.block, learning)[0]


def beside(
    model: Model, other: Model, merge: Callable[[Model, Model], tuple[Model, Any]], learning: Learning
) -> Contest | None:
    """The candidates of both models merged, family by family, after they learned the rows of their unfinished
    blocks, with nothing that speaks for any; None where one model has none."""
    ours, theirs = model.contest, other.contest
    if ours is None or theirs is None:
        return None
    memory, candidates = model.spec.memory, []
    for pair in zip(ours.candidates, theirs.candidates, strict=True):
        whole = map(learning, pair, (ours.block, theirs.block))
        mine, its = (replace(one, spec=replace(one.spec, memory=memory)) for one in whole)
        candidates.append(merge(mine, its)[0])
    return replace(ours, candidates=tuple(candidates)).after(model.rows + other.rows)
