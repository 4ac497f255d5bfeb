"""A model as a tree of plain values and arrays, and back: what checkpoints hold and what a state hash is
taken of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np

from .adaptive import Adaptive, Choice
from .basis import Basis
from .contest import Contest
from .memory import Forever, HalfLife, Memory, TimeHalfLife, Window
from .model import Model
from .moments import Moments
from .priors import Prior
from .rows import Rows
from .sampling import Sample
from .spec import Spec
from .steps import Averaged, Decreasing

Tree: TypeAlias = Any
"""str, int, float, bool, None, arrays, and lists and string-keyed dicts of them. (Python has no recursive
alias that mypy and msgpack share.)"""

_MEMORIES: Mapping[str, type[Any]] = {
    "adaptive": Adaptive,
    "averaged": Averaged,
    "decreasing": Decreasing,
    "forever": Forever,
    "half_life": HalfLife,
    "time_half_life": TimeHalfLife,
    "window": Window,
}
_STATE_VERSION = 1


def to_state(model: Model) -> dict[str, Tree]:
    """The whole model; `from_state` gives it back bit for bit."""
    # States from before there was a bound on lateness are those of models without one.
    late = {} if model.spec.lateness is None and not model.late else {"late": model.late}
    return {
        "state_version": _STATE_VERSION,
        "spec": spec_to_state(model.spec),
        "d": model.d,
        "components": list(model.components),
        "store": [_moments_to_state(bucket) for bucket in model.store],
        "pending": _rows_to_state(model.pending),
        "reservoir": [_rows_to_state(part) for part in model.reservoir],
        "next_start": model.next_start,
        "generation": model.generation,
        "learned": model.learned,
        "t": float(model.t),
        "evidence": [float(value) for value in model.evidence],
        **late,
        # So is that of a model without a sample.
        **({} if model.sample is None else {"sample": _sample_to_state(model.sample)}),
        **({} if model.choice is None else {"choice": _choice_to_state(model.choice)}),
        **({} if model.contest is None else {"contest": _contest_to_state(model.contest)}),
    }


def from_state(state: Mapping[str, Tree]) -> Model:
    """The model that `to_state` was given. Raises ValueError for a state of another version."""
    if state.get("state_version") != _STATE_VERSION:
        raise ValueError(f"model state: version {state.get('state_version')!r}, expected {_STATE_VERSION}")
    return Model(
        spec=spec_from_state(state["spec"]),
        d=state["d"],
        components=tuple(state["components"]),
        store=tuple(_moments_from_state(bucket) for bucket in state["store"]),
        pending=_rows_from_state(state["pending"]),
        reservoir=tuple(_rows_from_state(part) for part in state["reservoir"]),
        next_start=state["next_start"],
        generation=state["generation"],
        learned=state["learned"],
        t=state["t"],
        evidence=(state["evidence"][0], state["evidence"][1]),
        late=state.get("late", 0),
        sample=_sample_from_state(state["sample"]) if "sample" in state else None,
        choice=_choice_from_state(state["choice"]) if "choice" in state else None,
        contest=_contest_from_state(state["contest"]) if "contest" in state else None,
    )


def state_hash(model: Model) -> str:
    """A hash, 32 hex digits, of every bit of the model's state: equal states have equal hashes, on every
    machine."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in _pieces(to_state(model)):
        digest.update(piece)
    return digest.hexdigest()


def spec_to_state(spec: Spec) -> dict[str, Tree]:
    """A specification as plain values."""
    name = next(name for name, memory in _MEMORIES.items() if isinstance(spec.memory, memory))
    return {
        "n_components": spec.n_components,
        "family": spec.family,
        "assignment": spec.assignment,
        "memory": {"kind": name, **_plain(spec.memory)},
        "prior": asdict(spec.prior),
        "batch_size": spec.batch_size,
        "random_state": spec.random_state,
        # Where it is as it always was the state is, too.
        **({} if spec.watch else {"watch": False}),
        **({} if spec.lateness is None else {"lateness": float(spec.lateness)}),
        **({"robust": True} if spec.robust else {}),
        **({} if spec.up_to is None else {"up_to": spec.up_to}),
        **({} if (heavy := spec.degrees_of_freedom) is None else {"degrees_of_freedom": float(heavy)}),
        **({"families": list(spec.families)} if spec.families else {}),
    }


def spec_from_state(state: Mapping[str, Tree]) -> Spec:
    """The specification that `spec_to_state` was given."""
    values = dict(state["memory"])
    kind = _MEMORIES[values.pop("kind")]
    fields: dict[str, Tree] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    memory: Memory = kind(**fields)
    rest = {key: state[key] for key in ("n_components", "family", "assignment", "batch_size", "random_state")}
    return Spec(
        memory=memory,
        prior=Prior(**state["prior"]),
        watch=state.get("watch", True),
        lateness=state.get("lateness"),
        robust=state.get("robust", False),
        up_to=state.get("up_to"),
        degrees_of_freedom=state.get("degrees_of_freedom"),
        families=tuple(state.get("families", ())),
        **rest,
    )


def _plain(memory: Memory) -> dict[str, Tree]:
    """The fields of a memory, as plain values."""
    values: dict[str, Tree] = asdict(memory)  # type: ignore[call-overload]  # Memory is a protocol; all of its values are dataclasses
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _choice_to_state(choice: Choice) -> dict[str, Tree]:
    return {**asdict(choice), "evidence": list(choice.evidence), "weighed": list(choice.weighed)}


def _choice_from_state(state: Mapping[str, Tree]) -> Choice:
    # States from before weights were set off against their mean begin with none.
    weighed = tuple(state.get("weighed", (0.0, 0.0)))
    return Choice(**{**state, "evidence": tuple(state["evidence"]), "weighed": weighed})


def _contest_to_state(contest: Contest) -> dict[str, Tree]:
    # Rows as one piece, so that states do not tell how rows were grouped.
    fresh = Rows.concatenated(contest.fresh) if contest.fresh else Rows.none(contest.candidates[0].d)
    return {
        "candidates": [to_state(one) for one in contest.candidates],
        "chosen": contest.chosen,
        "evidence": list(contest.evidence),
        "squares": list(contest.squares),
        "fresh": _rows_to_state(fresh),
        "start": contest.start,
        "end": contest.end,
        "rest": contest.rest,
    }


def _contest_from_state(state: Mapping[str, Tree]) -> Contest:
    fresh = _rows_from_state(state["fresh"])
    return Contest(
        candidates=tuple(from_state(one) for one in state["candidates"]),
        chosen=state["chosen"],
        evidence=tuple(state["evidence"]),
        squares=tuple(state["squares"]),
        fresh=(fresh,) if len(fresh) else (),
        start=state["start"],
        end=state["end"],
        rest=state["rest"],
    )


def _moments_to_state(moments: Moments) -> dict[str, Tree]:
    arrays = {name: getattr(moments, name) for name in ("mass", "seen", "mean", "scatter")}
    basis = {"origin": moments.basis.origin, "scale": moments.basis.scale}
    # Only a robust model has a background: the states of others are as they always were.
    noise = {"noise": float(moments.noise)} if moments.noise else {}
    return {
        "kind": moments.kind,
        "basis": basis,
        "lineage": moments.lineage,
        "rows": moments.rows,
        **noise,
        **arrays,
    }


def _moments_from_state(state: Mapping[str, Tree]) -> Moments:
    return Moments(**{**state, "basis": Basis(**state["basis"])})


def _sample_to_state(sample: Sample) -> dict[str, Tree]:
    return {
        "rows": _rows_to_state(sample.rows),
        "fresh": _rows_to_state(sample.taken),
        "looked": sample.looked,
        "quiet": sample.quiet,
        "due": sample.due,
        "places": sample.places,
        "rest": sample.rest,
        "named": sample.named,
        **({} if sample.review is None else {"review": sample.review}),
    }


def _sample_from_state(state: Mapping[str, Tree]) -> Sample:
    fresh = _rows_from_state(state["fresh"])
    rest = {name: state[name] for name in ("looked", "quiet", "due", "places", "rest", "named")}
    pieces = (fresh,) if len(fresh) else ()
    return Sample(_rows_from_state(state["rows"]), pieces, **rest, review=state.get("review"))


def _rows_to_state(rows: Rows) -> dict[str, Tree]:
    return {"x": rows.x, "w": rows.w, "t": rows.t}


def _rows_from_state(state: Mapping[str, Tree]) -> Rows:
    return Rows(state["x"], state["w"], state["t"])


def _pieces(tree: Tree) -> Iterator[bytes]:
    """The tree as bytes in one fixed order, each value with its type and size, so that no two trees read
    alike."""
    if isinstance(tree, Mapping):
        yield b"{%d" % len(tree)
        for key in sorted(tree):
            yield from _pieces(key)
            yield from _pieces(tree[key])
    elif isinstance(tree, list):
        yield b"[%d" % len(tree)
        for item in tree:
            yield from _pieces(item)
    elif isinstance(tree, np.ndarray):
        array = np.ascontiguousarray(tree)
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        yield f"a{little.dtype.str}{array.shape}".encode()
        yield little.tobytes()
    else:
        text = tree.hex() if isinstance(tree, float) else repr(tree)
        yield f"{type(tree).__name__}{len(text)}:{text}".encode()
