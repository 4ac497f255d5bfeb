"""Answers from the state as it is; nothing here changes it."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from ..mixture import Model, Validity, health, measured, parameters, posterior, stability
from ..mixture.health import in_use
from ..protocol import ErrorReply, Frame, Health, Prediction, ProtocolError, Query, Scores, Snapshot
from .events import Array
from .features import admitted, aligned
from .state import EngineState, Learner

Answer = Snapshot | Prediction | Scores | Health | ErrorReply


def answer(state: EngineState, query: Query) -> Answer:
    """The reply to a question, an `ErrorReply` where there is none.

    >>> from stream_mix.engine import Plan, new
    >>> from stream_mix.mixture import Spec
    >>> answer(new(Plan({"mixture": Spec()})), Query("snapshot", "mixtur")).reason
    "model: 'mixtur' is not known, expected mixture"
    """
    if query.kind == "health":
        return report(state)
    try:
        name, learner = _asked(state, query.model)
        if query.kind == "snapshot":
            if learner.border.warming:
                raise ProtocolError("value", f"{name}: no batch was learned yet, so there is nothing to show")
            number = max(state.published.get(f"snapshot/{name}", 0) - 1, 0)
            return snapshot(state, name, learner.border, number, judged(state, learner.border))
        if query.frame is None:
            raise ProtocolError("missing_key", f"{query.kind}: has no rows")
        return _judged(state, name, learner, query.kind == "score", query.frame)
    except ProtocolError as error:
        return ErrorReply(error.code, error.reason)


def report(state: EngineState) -> Health:
    """How the engine is doing."""
    counters = state.counters
    engine = {
        **state.plan.about,
        "features": list(state.features),
        "sources": len(state.marks),
        **{name: getattr(counters, name) for name in counters.__dataclass_fields__},
    }
    status = "warming" if any(learner.border.warming for learner in state.learners.values()) else "ok"
    models = {
        name: {**health(learner.border, learner.found), **_taken(learner), **_tails(learner.border)}
        for name, learner in state.learners.items()
    }
    return Health(status, state.offset, models, engine)


def judged(state: EngineState, model: Model) -> Validity:
    """The figures of a model, with its stability where another differs from it in its seed alone.

    They are made while rows are learned and time passes: where they cannot be computed none is known, which
    must not cost a row.
    """
    try:
        found = measured(model)
        for learner in state.learners.values():
            spec, own = learner.border.spec.asked, model.spec.asked
            if spec != own and replace(spec, random_state=own.random_state) == own:
                return replace(found, stability=stability(model, learner.border))
    except (ArithmeticError, LookupError, ValueError):
        return Validity(model.generation)
    return found


def snapshot(state: EngineState, name: str, model: Model, number: int, found: Validity) -> Snapshot:
    """A whole model, warm, in the data's units, with figures of validity; `offset` counts the rows it has
    learned."""
    own = parameters(model)
    moments = model.moments
    kept = {
        "kind": moments.kind, "lineage": moments.lineage, "rows": moments.rows,
        "mass": moments.mass, "seen": moments.seen, "mean": moments.mean, "scatter": moments.scatter,
        **({} if model.choice is None else in_use(model)),
    }  # fmt: skip
    return Snapshot(
        name, number, model.generation, model.learned, time_or_none(model.t), model.spec.family,
        state.features, model.components, own.weights, own.means, own.covariances, kept,
        {"origin": model.basis.origin, "scale": model.basis.scale}, dict(state.plan.about),
        _plain(found), model.spec.degrees_of_freedom,
    )  # fmt: skip


def _plain(found: Validity) -> dict[str, Any]:
    groups = found.clusters
    return {**asdict(found), "clusters": None if groups is None else [list(group) for group in groups]}


def time_or_none(t: float) -> float | None:
    """An event time, or None where there was none."""
    return None if math.isnan(t) else t


def _taken(learner: Learner) -> dict[str, int]:
    pending = len(learner.border.pending) + sum(map(len, learner.waiting))
    return {"rows": learner.border.learned + pending, "pending": pending}


def _tails(model: Model) -> dict[str, float]:
    """How heavy the tails of the components are, where they are not normal."""
    degrees = model.spec.degrees_of_freedom
    return {} if degrees is None else {"degrees_of_freedom": degrees}


def _asked(state: EngineState, name: str | None) -> tuple[str, Learner]:
    known = ", ".join(state.learners)
    if name is None:
        if len(state.learners) > 1:
            raise ProtocolError("missing_key", f"model: this engine has several, expected one of {known}")
        return next(iter(state.learners.items()))
    if name not in state.learners:
        raise ProtocolError("value", f"model: {name[:64]!a} is not known, expected {known}")
    return name, state.learners[name]


def _judged(
    state: EngineState, name: str, learner: Learner, score: bool, frame: Frame
) -> Prediction | Scores:
    x = _columns(state, frame)
    model = learner.border
    found = posterior(model, x)
    refused = tuple(row.row for row in frame.refused)
    if score:
        return Scores(name, state.offset, model.generation, found.log_density, refused)
    return Prediction(
        name, state.offset, model.generation, model.components, found.label, found.p.astype(np.float32),
        found.log_density, found.outlier.astype(np.float32), frame.id, refused,
    )  # fmt: skip


def _columns(state: EngineState, frame: Frame) -> Array:
    """The rows in the model's columns; a feature that the stream never had is an error, as it can mean
    nothing to the model."""
    if not state.features:
        raise ProtocolError("value", "features: no row came yet, so there are no features to predict from")
    known = set(state.features)
    new = next((name for name in frame.features or () if name not in known), None)
    if new is not None:
        knows = ", ".join(f"{name[:40]}" for name in state.features[:6]) + (", ..." if len(known) > 6 else "")
        raise ProtocolError("value", f"features: this model has not seen {new[:64]!a}; it knows {knows}")
    admitted(state.plan, state.features, frame)
    return aligned(state.features, frame, {})
