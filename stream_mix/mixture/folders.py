"""The compiled twin of the fold, for the choices that it knows.

It computes what `estimate`, `e_step`, `outlier` and `learning._step` do, to rounding, for a family, an
assignment, a memory and a prior. Where it cannot (a new family, a missing value, parameters out of the
ordinary) it says so, and those do.

Between two calls moments stay in compiled code, as a `Folded`, and are copied into arrays when somebody looks
at them first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .arrays import Array, Ints
from .basis import Basis
from .kernels import threads
from .kernels.choice import chosen
from .memory import Forever, HalfLife, Memory, TimeHalfLife
from .moments import FOLDED, Moments
from .priors import Prior
from .spec import Spec

if TYPE_CHECKING:
    from .kernels._native import Folded

_TAIL_FEATURES = 700
"""With more features outlier scores are summed by logarithms, which `tail` does."""

_MOST_KEPT = 16
"""Twins that are kept; who has more models than that makes some again."""

_ARRAYS = ("mass", "seen", "mean", "scatter")


ANSWERS = ("p", "label", "log_density", "outlier")
"""What can be asked of rows: responsibilities (n, k), the index (n,) of the likeliest component, log density
in the data's units (n,), and outlier score (n,)."""


def judged(spec: Spec, moments: Moments, x: Array) -> tuple[Any, ...] | None:
    """All of `ANSWERS` for rows x (n, d), by the compiled twin; None where it cannot."""
    return _judge(spec, moments, x, (True,) * len(ANSWERS))


def answer(spec: Spec, moments: Moments, x: Array, name: str) -> Any:
    """One of `ANSWERS` for rows x (n, d), by the compiled twin; None where it cannot."""
    asked = [name == one for one in ANSWERS]
    found = _judge(spec, moments, x, asked)
    return None if found is None else found[asked.index(True)]


def labels(spec: Spec, moments: Moments, x: Array) -> Ints | None:
    """Index (n,) of the likeliest component of rows x (n, d), by the compiled twin; None where it cannot."""
    found: Ints | None = answer(spec, moments, x, "label")
    return found


def _judge(spec: Spec, moments: Moments, x: Array, asked: Sequence[bool]) -> tuple[Any, ...] | None:
    folder = folder_of(spec, moments.d)
    if folder is None:
        return None
    found: tuple[Any, ...] | None = folder.judge(folded_of(folder, moments), x, *asked, threads.count())
    return found


class Fresh(Moments):
    """Moments as compiled code left them: arrays are made of them once somebody asks for one."""

    @classmethod
    def of(cls, folded: Folded, before: Moments, rows: int) -> Fresh:
        """What became of the moments `before` after so many further rows."""
        # Not by the constructor: models go by many a second, and few are looked at.
        made = object.__new__(cls)
        known = made.__dict__
        known["kind"], known["basis"], known["lineage"] = before.kind, before.basis, before.lineage
        known["rows"], known[FOLDED] = before.rows + rows, folded
        return made

    if not TYPE_CHECKING:  # to the type checker these are fields like any others

        def __getattr__(self, name: str) -> Array:
            if name not in _ARRAYS or FOLDED not in self.__dict__:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            self.__dict__.update(zip(_ARRAYS, self.__dict__[FOLDED].moments(), strict=True))
            return self.__dict__[name]


def folded_of(folder: Any, moments: Moments) -> Folded:
    """Moments as the compiled twin takes them, kept with them."""
    kept: Folded | None = moments.__dict__.get(FOLDED)
    if kept is None:
        basis: Basis = moments.basis
        kept = folder.folded(
            moments.mass, moments.seen, moments.mean, moments.scatter, basis.origin, basis.scale
        )
        moments.__dict__[FOLDED] = kept
    return kept


_KEPT: dict[tuple[int, int], tuple[Spec, Any]] = {}


def folder_of(spec: Spec, d: int) -> Any:
    """The compiled twin for these choices over d features; None where there is none."""
    # By which specification it is: to compare what it says takes longer. It is kept, too, so that no other
    # takes its place in memory.
    kept = _KEPT.get((id(spec), d))
    if kept is None:
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.clear()
        folder = None
        if spec.family_value.compiled and 0 < d <= _TAIL_FEATURES:
            choices = spec.family, spec.hard, spec.memory, spec.prior
            folder = _folder(*choices, spec.batch_size, spec.watch, spec.n_components, d)
        kept = _KEPT[id(spec), d] = (spec, folder)
    return kept[1]


# What a model was seeded with is not among the choices: models of one kind share a twin.
@lru_cache(maxsize=_MOST_KEPT)
def _folder(
    family: str, hard: bool, memory: Memory, prior: Prior, batch_size: int, watch: bool, k: int, d: int
) -> Any:
    # Judging asks nothing of the memory: a window's moments are judged like any others.
    name, half_life = one_bucket(memory) or ("forever", 1.0)
    return chosen().folder(
        family=family,
        hard=hard,
        memory=name,
        half_life=half_life,
        prior=(prior.weight, prior.covariance, prior.correlation, prior.reg_covar),
        batch_size=batch_size,
        watch=watch,
        k=k,
        d=d,
    )


def forget() -> None:
    """Drops the twins that were made: for tests that choose other kernels."""
    _KEPT.clear()
    _folder.cache_clear()


def one_bucket(memory: Memory) -> tuple[str, float] | None:
    """What compiled code calls a memory that is one bucket of moments, and its half-life; None for others."""
    match memory:
        case Forever():
            return "forever", 1.0
        case HalfLife(rows):
            return "half_life", float(rows)
        case TimeHalfLife(seconds):
            return "time_half_life", float(seconds)
    return None
