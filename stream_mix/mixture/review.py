"""A second look at the clustering, from a sample of all that is remembered.

The start was made from the first rows. Where the rows that follow are of another mix, as they are in a stream
that is sorted, or bursts, or drifts, components stand where data no longer is, and two clusters may share
one. Such a stream shows itself: rows taken for the sample belong to the components in other shares than the
components' weights. The mixture is then fitted to the sample, and a start made from it as from a reservoir.
The new one takes the present mixture's place if rows of the sample that neither was fitted to are better
explained by it, beyond doubt.

While rows come in random order nothing of this happens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .arrays import Array, Ints
from .basis import Basis, without_giants
from .changes import Change, renamed, shared_rows
from .choosing import choose, judged, sound
from .em import batch_moments, e_step
from .families import Parameters
from .folders import answer
from .model import Model, posterior
from .moments import lineage_of
from .moves import Reservoir
from .rows import Rows
from .sampling import Sample, outlives, size
from .seeding import FAR, start
from .starting import in_order, rebased, started_prior

_SURPRISE = 6.0, 10.0
"""Standard deviations, and nats beside, by which the shares of fresh rows must differ from the weights."""

_HELD_BACK = 4
"""Every fourth row of the sample judges and is not fitted to."""

_EVEN = 0.5
"""The share of its rows that a sample must be worth, weights considered."""

_STEPS = 10, 3
"""Steps of EM that the present mixture is given on the rows it is compared on, and the new one on all."""

_DOUBT = math.log(100.0)
"""Nats by which the rows that judge must speak for a mixture that is to take another's place."""

_REST = 1.0 / 64.0
"""Between two reviews as many rows must come as this share of all before; more after one in vain."""

_SPANS = 4
"""Where the rows say how many components there are, a review is due when rows have doubled, or when memory
has been renewed so many times."""

_CHEAP = 4e8
"""Floating-point operations of a start for which that holds; a dearer one waits longer, at most until rows
have doubled."""


def sampled(model: Model, x: Array, w: Array | None, t: Array | None) -> tuple[Model, tuple[Change, ...]]:
    """The model, which has just learned rows x (n, d) with weights w (n,) and event times t (n,), with its
    sample taken from them, and reviewed where a stretch of the sample is over and shows that it is due."""
    sample, first = model.sample, model.learned - len(x)
    if sample is None or not sample.wants(first, model.learned):
        return model, ()
    sample = sample.taking(x, w, t, first)
    if sample.last >= model.learned:
        return model.sampling(sample), ()
    most, seed, span = size(model.spec.most, model.d), model.spec.random_state, _span(model)
    news = False
    while sample.last < model.learned:
        new = outlives(span, sample.rows) and _surprising(model, sample.latest)
        sample = sample.onward(most, span, seed, quiet=not new).taking(x, w, t, first)
        news |= new
    model = model.sampling(sample)
    if sample.review is not None and model.learned >= sample.review and outlives(span, sample.rows):
        sample = replace(sample, review=model.learned + min(model.learned, int(_SPANS * span)))
        return _after_review(model.sampling(sample), sample, sample.settled())
    if not news or model.learned < sample.rest:
        return model, ()
    return _after_review(model, sample, sample.settled())


def _after_review(model: Model, sample: Sample, rows: Rows) -> tuple[Model, tuple[Change, ...]]:
    """The model after a review by these rows of its sample."""
    found = _reviewed(model, rows)
    rest = model.learned + _rest(model, len(rows), in_vain=found is None)
    if found is None:
        return model.sampling(replace(sample, rest=rest)), ()
    after = e_step(found.parameters, found.z).label
    shared = shared_rows(found.before, after, found.w, (model.k, len(found.parameters.weights)))
    ids = renamed(model.components, sample.named, shared, model.learned)
    sample = replace(sample, rest=rest, named=ids.named)
    model = _in_place(model, found, in_order(found.parameters, np.array(ids.order)))
    spec = model.spec if model.spec.up_to is None else replace(model.spec, n_components=len(ids.components))
    return replace(model, spec=spec, components=ids.components, sample=sample), ids.changes


@dataclass(frozen=True, eq=False)
class _Better:
    """A mixture that is to take the present one's place, in coordinates of `basis`, with the rows z (n, d) of
    the sample there, their weights w (n,), and whose they were before (n,)."""

    parameters: Parameters
    basis: Basis
    z: Array
    w: Array
    before: Ints


def _surprising(model: Model, fresh: Rows) -> bool:
    """Whether rows (n, d) belong to the components in other shares than the weights say: the likelihood ratio
    of both exceeds what chance leaves of it."""
    mass = model.moments.mass
    expected = mass / mass.sum()
    found = answer(model.spec, model.moments, fresh.x, "p")
    p = posterior(model, fresh.x).p if found is None else found
    if model.spec.hard:
        p = p == p.max(axis=1, keepdims=True)
    seen = fresh.w @ p / fresh.w.sum()
    some = seen > 0.0
    ratio = 2.0 * _worth(fresh.w) * float(seen[some] @ np.log(seen[some] / np.maximum(expected[some], 1e-12)))
    k = model.k - 1
    return ratio > k + _SURPRISE[0] * math.sqrt(2.0 * k) + _SURPRISE[1]


def _span(model: Model) -> float:
    """How many rows the memory amounts to."""
    span = model.spec.memory.span(model.learned)
    return float(model.learned) if span is None else span


def _rest(model: Model, n: int, *, in_vain: bool) -> int:
    """Rows until the next review may be made, after one of n rows."""
    k, d = model.k, model.d
    width = 11 + d + (d * (d + 1) // 2 if model.spec.family_value.scatter == "full" else d)
    dear = max(1.0, 36.0 * n * k * k * width / _CHEAP)
    share = min(1.0, _REST * dear * (2.0 if in_vain else 1.0))
    return int(share * model.learned)


def _reviewed(model: Model, rows: Rows) -> _Better | None:
    """A better mixture than the present one; None where the sample knows of none."""
    spec, family = model.spec, model.spec.family_value
    basis = Basis.of(without_giants(rows.x), rows.w, isotropic=family.isotropic)
    if not np.array_equal(np.isnan(basis.origin), np.isnan(model.basis.origin)):
        return None  # a feature of which the sample has no value
    z = basis.forward(rows.x)
    # Giants are no part of the clustering: one would take a component for itself, or draw one away.
    near = ~(np.abs(z) > FAR).any(axis=1)
    z, w = z[near], rows.w[near]
    if len(z) < 2 * model.k or _worth(w / w.max()) < _EVEN * len(z):
        return None  # a few rows that outweigh all others are no sample of the stream
    present = rebased(model, basis).parameters
    judges = np.arange(len(z)) % _HELD_BACK == _HELD_BACK - 1
    known = np.tile((~np.isnan(basis.origin)).astype(np.float64), (model.k, 1))
    whole = Reservoir(z, w, basis, family, started_prior(spec.prior), known, spec.hard)
    if spec.up_to is not None:
        new = _chosen(model, present, whole, spec.up_to)
        return None if new is None else _Better(new, basis, z, w, e_step(present, z).label)
    fitted, judge = (replace(whole, z=z[some], w=w[some]) for some in (~judges, judges))
    best = _best(model, present, fitted, judge)
    if best is None:
        return None
    return _Better(whole.climb(best, _STEPS[1])[0], basis, z, w, e_step(present, z).label)


def _best(model: Model, present: Parameters, fitted: Reservoir, judge: Reservoir) -> Parameters | None:
    """A new mixture, where it is better than the present one after EM on the same rows; else the latter where
    the present one had yet to follow its rows by more than its parameters could gain from noise."""
    old = fitted.climb(present, _STEPS[0])[0]
    rng = np.random.default_rng([model.spec.random_state, model.learned])
    family, prior, hard = fitted.family, fitted.prior, fitted.hard
    new = start(fitted.z, fitted.w, model.k, family, prior, fitted.basis, rng, hard=hard)
    if _gain(new, old, judge) > _DOUBT:
        return new
    return old if _gain(old, present, fitted) > family.n_parameters(model.k, model.d) else None


def _chosen(model: Model, present: Parameters, rows: Reservoir, up_to: int) -> Parameters | None:
    """The mixture of as many components as the sample speaks for; None where the present one is as good."""
    rng = np.random.default_rng([model.spec.random_state, model.learned])
    old = judged(rows, present, _STEPS[0])
    new = choose(rows, old.parameters, up_to, rng)
    # What has lost its rows goes, however little its being there costs.
    return new.parameters if new.value > old.value + _DOUBT or not sound(rows, old) else None


def _gain(new: Parameters, old: Parameters, judge: Reservoir) -> float:
    """By how many nats the rows that judge speak for the new mixture.

    Of rows that neither was fitted to it is a split likelihood ratio: where the old one is true it exceeds
    log x with probability 1/x at most (Wasserman, Ramdas & Balakrishnan 2020, theorem 1).
    """
    gain = e_step(new, judge.z).log_density - e_step(old, judge.z).log_density
    return float(judge.w @ gain) / float(judge.w.sum()) * _worth(judge.w)


def _worth(w: Array) -> float:
    """How many equal rows tell as much as rows of weights w (n,): weights say what rows count beside each
    other, not how many there are (Kish 1965)."""
    return float(np.square(w.sum()) / np.square(w).sum())


def _in_place(model: Model, found: _Better, after: Parameters) -> Model:
    """The model with what it remembers as the sample has it: the same mass, of rows like these."""
    spec, basis = model.spec, found.basis
    known = np.tile((~np.isnan(basis.origin)).astype(np.float64), (len(after.weights), 1))
    lineage = lineage_of(after.means, basis)
    moments, _ = batch_moments(after, found.z, found.w, basis, lineage, known, spec.hard)
    mass = moments.mass.sum()
    store = tuple(
        replace(moments.scale(float(bucket.mass.sum() / mass)), rows=bucket.rows) for bucket in model.store
    )
    return replace(model, store=store)
