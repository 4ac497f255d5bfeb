"""How rows change a model: batches cut by count, each scaled into the memory and added.

`learn` is a fold: (model, rows) -> (model, what happened). Until `start_rows` rows are in, the model keeps
them all in a reservoir and starts afresh from it each time their number has doubled; from then on a batch
costs one E-step and one addition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import batches
from .arrays import Array, Ints
from .background import Background, moments_of
from .changes import Change
from .contest import Contest
from .em import centred, moments_with_holes, sums_of
from .following import followed
from .kernels import Told, has_missing
from .kernels.shortlist import applies
from .lateness import on_time
from .model import Model, Posterior, basis_log_density, counted, data_log_density, posterior, said
from .moments import Moments
from .outweighing import outweighed, suspicious
from .recentring import BASIS_BATCHES, in_reach, with_origins
from .review import sampled
from .rows import LARGEST, Rows
from .starting import kept, started
from .takeover import contested

EVIDENCE_HALF_LIFE = 4096.0
"""Rows after which a row counts half in the running log-likelihood."""


@dataclass(frozen=True)
class Learned:
    """What a call learned: rows and batches, the sum of the rows' log densities before they were learned, and
    changes."""

    rows: int = 0
    batches: int = 0
    log_likelihood: float = 0.0
    changes: tuple[Change, ...] = ()

    def plus(self, other: Learned) -> Learned:
        """Both, one after the other."""
        return Learned(
            self.rows + other.rows,
            self.batches + other.batches,
            self.log_likelihood + other.log_likelihood,
            self.changes + other.changes,
        )


def learn(model: Model, rows: Rows) -> tuple[Model, Learned]:
    """Takes rows: learns every full batch of `batch_size`, keeps the rest until theirs is full; leaves out
    and counts those that come too late (`Spec.lateness`).

    Raises ValueError where rows do not have the model's number of features.
    """
    if rows.d != model.d:
        raise ValueError(f"learn: rows have {rows.d} features, expected {model.d}")
    if model.spec.lateness is not None:
        model, rows = on_time(model, rows)
    if not rows.d and len(rows):
        raise ValueError("learn: rows have no features, expected one at least")
    none_waited = not len(model.pending)
    waiting = rows if none_waited else Rows.concatenated([model.pending, rows])
    full = len(waiting) // model.spec.batch_size * model.spec.batch_size
    done = Learned()
    while done.rows < full:
        model, some = _learn_some(model, waiting[done.rows : full] if done.rows else waiting)
        done = done.plus(some) if done.rows else some
    if none_waited and full == len(waiting):
        return model, done
    return replace(model, pending=waiting[full:].copy()), done


def learn_whole(model: Model, x: Array, *, label: bool = False) -> tuple[Model, int, Ints | None]:
    """`learn` and `flush` of rows x (n, d), each of weight 1 and without a time, as far as one call of the
    compiled fold goes.

    The model, and how many rows that was: none where rows wait already, and none of the batch in which a
    value is infinite or huge, nor of those behind it. With `label`, and where it was all rows, also the index
    (n,) of the component that each is likeliest of.
    """
    if len(model.pending):
        return model, 0, None
    run = batches.run_of(model, x, None, None, _until_look(model), rest=True, label=label, largest=LARGEST)
    if run is None:
        return model, 0, None
    after, _ = _looked_after(run.model, model, x, None, None)
    # Labels are those under the moments that the run left: a moved basis or a review made others.
    return after, run.rows, run.labels if after.store is run.model.store else None


def judge_batches(model: Model, rows: Rows) -> tuple[Model, Learned, Posterior]:
    """`posterior` of each batch of the rows, then `learn` of it: the same bits, in one visit.

    Takes the first batch and as many more as one call of the compiled fold does; how many rows that were is
    in what was learned. Raises ValueError where rows wait already, or where these are not whole batches.
    """
    size = model.spec.batch_size
    if len(model.pending) or not len(rows) or len(rows) % size:
        raise ValueError(
            f"judge_batches: {len(model.pending)} rows wait and {len(rows)} came, expected none and"
            f" whole batches of {size}"
        )
    if (run := batches.run(model, rows, _until_look(model), tell=True)) is not None and run.said is not None:
        return *_after(run, model, rows), run.said
    rows = rows[:size]
    # Learning may go by short lists of components; what is said of a row never does.
    apart = model.next_start or model.spec.robust or applies(model.k, size) or model.at_work is not model
    apart = apart or model.spec.degrees_of_freedom is not None
    if apart or has_missing(rows.x) or np.isnan(model.basis.origin).any():
        found = posterior(model, rows.x)
        return *learn(model, rows), found
    after, done, told = _step(model, rows, model.learned, tell=True)
    assert told is not None
    return after, done, said(model, model.basis.forward(rows.x), told)


def flush(model: Model) -> tuple[Model, Learned]:
    """Learns the rows that wait, as a batch shorter than `batch_size`."""
    rows = model.pending
    if not len(rows):
        return model, Learned()
    run = batches.run(model, rows, 1, rest=True)
    model, done = _learn_batch(model, rows) if run is None else _after(run, model, rows)
    return replace(model, pending=Rows.none(model.d)), done


def all_learned(model: Model, rows: Rows) -> Model:
    """The model after all of the rows, the last batch shorter where it has to be."""
    model, _ = learn(model, rows)
    return flush(model)[0]


def rows_until_batch(model: Model) -> int:
    """How many more rows fill the batch that is being gathered."""
    return model.spec.batch_size - len(model.pending)


def expand(model: Model, d: int) -> Model:
    """The model with features up to d, which all rows so far did not have."""
    if d < model.d:
        raise ValueError(f"expand: {d} features are fewer than the model's {model.d}")
    if d == model.d:
        return model
    return replace(
        model,
        d=d,
        store=tuple(bucket.grown(d) for bucket in model.store),
        pending=model.pending.grown(d),
        reservoir=tuple(part.grown(d) for part in model.reservoir),
        sample=None if model.sample is None else model.sample.grown(d),
        contest=None
        if model.contest is None
        else model.contest.each(lambda one: expand(one, d), lambda part: part.grown(d)),
    )


def _learn_some(model: Model, rows: Rows) -> tuple[Model, Learned]:
    """The first whole batch of the rows, and as many more as the compiled fold takes before the basis is due
    to be looked at."""
    if (run := batches.run(model, rows, _until_look(model))) is not None:
        return _after(run, model, rows)
    return _learn_batch(model, rows[: model.spec.batch_size])


def _until_look(model: Model) -> int:
    """Batches until the basis, the sample or the contest is due to be looked at."""
    batches = BASIS_BATCHES - model.generation % BASIS_BATCHES
    learned, size = model.learned, model.spec.batch_size
    if model.sample is not None:
        batches = min(batches, (model.sample.last - learned) // size + 1)
    if model.contest is not None:
        batches = min(batches, (model.contest.end - 1 - learned) // size + 1)
    return batches


def _after(run: batches.Run, before: Model, rows: Rows) -> tuple[Model, Learned]:
    """What a run of the compiled fold came to, basis and sample looked at where that is due."""
    model, changes = _looked_after(run.model, before, rows.x, rows.w, rows.t)
    drifts = tuple(Change("drift", -1, (), offset) for offset in run.drifts)
    return model, Learned(run.rows, run.batches, run.gained, drifts + changes)


def _looked_after(
    model: Model, before: Model, x: Array, w: Array | None, t: Array | None
) -> tuple[Model, tuple[Change, ...]]:
    """The model after it learned the first of rows x (n, d), with its basis moved after the data, its sample
    taken from the rows, itself reviewed, and its family contested, where these are due."""
    model, changes = in_reach(model)
    sample, n = before.sample, model.learned - before.learned
    # Most calls take no row of many.
    if sample is not None and sample.wants(before.learned, model.learned):
        model, more = sampled(model, x[:n], None if w is None else w[:n], None if t is None else t[:n])
        changes += more
    if before.contest is not None and before.contest.start < model.learned:
        weights = np.ones(n) if w is None else w[:n]
        times = np.full(n, np.nan) if t is None else t[:n]
        model, more = contested(model, before.contest, Rows(x[:n], weights, times), all_learned)
        changes += more
    return model, changes


def _learn_batch(model: Model, rows: Rows) -> tuple[Model, Learned]:
    """One batch: from the reservoir while the start is not settled and its time has come, else by one step of
    online EM."""
    offset = model.learned
    learned = offset + len(rows)
    if model.next_start:
        model = replace(model, reservoir=kept(model.reservoir, rows.copy()))
    if not model.next_start or learned < model.next_start:
        return _step(model, rows, offset)[:2]
    before, gained = model, 0.0
    if model.store:
        z = model.basis.forward(rows.x)
        evidence, gained = _evidence(model, rows, z, basis_log_density(model, z))
        model = replace(model, evidence=evidence)
    model, changes = started(model, learned)
    contest = before.contest
    if before.spec.families and before.warming:
        contest = Contest.begun(before.spec, before.d)
    if contest is not None:
        model, more = contested(model, contest, rows, all_learned)
        changes += more
    return model, Learned(len(rows), 1, gained, changes)


def _evidence(model: Model, rows: Rows, z: Array, log_density: Array) -> tuple[tuple[float, float], float]:
    """The running sums with the log densities (n,) that rows had before learning; and what they add."""
    if not model.spec.watch:
        return model.evidence, 0.0
    gained = float(rows.w @ data_log_density(model.basis, z, log_density))
    fade = 2.0 ** (-len(rows) / EVIDENCE_HALF_LIFE)
    return (fade * model.evidence[0] + gained, fade * model.evidence[1] + float(rows.w.sum())), gained


def _step(model: Model, rows: Rows, offset: int, *, tell: bool = False) -> tuple[Model, Learned, Told | None]:
    """Online EM: scale what is remembered, add the batch (Cappé & Moulines 2009, eqs. 12-13).

    With `tell`, and nothing missing, also what the model said of the rows before.
    """
    model = with_origins(model, rows)
    now = rows.newest(model.t)
    z = model.basis.forward(rows.x)
    at_work = model.at_work
    weights = counted(model, rows, now, at_work.moments.rows)
    batch, log_density, told = _batch(at_work, z, weights, tell)
    if at_work is not model:
        # What counts is how well rows were foretold, and that is by what the model says.
        log_density, told = basis_log_density(model, z), None
    evidence, gained = _evidence(model, rows, z, log_density)
    seated: tuple[Change, ...] = ()
    if suspicious(model, z, weights, log_density):
        model, batch, seated = outweighed(model, z, weights, batch, offset)
    store, choice, drift = followed(model, rows, z, weights, batch, now)
    drifts = (Change("drift", -1, (), offset + len(rows)),) if drift else ()
    after = replace(
        model,
        store=store,
        choice=choice,
        generation=model.generation + 1,
        learned=offset + len(rows),
        t=now,
        evidence=evidence,
    )
    after, changes = _looked_after(after, model, rows.x, rows.w, rows.t)
    return after, Learned(len(rows), 1, gained, seated + drifts + changes), told


def _batch(model: Model, z: Array, w: Array | None, tell: bool) -> tuple[Moments, Array, Told | None]:
    """The moments of a batch z (n, d) of the basis with weights w (n,), its log densities (n,), and with
    `tell`, where nothing is missing, what the E-step said."""
    basis, lineage, hard = model.basis, model.store[0].lineage, model.spec.hard
    if model.spec.robust:
        background = Background.of(model.moments)
        return *moments_of(model.parameters, background, z, w, basis, lineage, model.known, hard), None
    blank = Moments.zeros(model.spec.family_value.scatter, basis, model.k, lineage)
    sums = sums_of(model.parameters, z, w, hard, tell=tell)
    if sums is None:
        return *moments_with_holes(model.parameters, z, w, blank, model.known, hard), None
    return centred(blank, sums, len(z)), sums.log_density, None if sums.seen is not None else sums.told
