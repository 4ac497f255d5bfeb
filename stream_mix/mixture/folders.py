"""The compiled twin of the fold, for the choices that it knows.

It computes what `estimate`, `e_step`, `outlier` and `learning._step` do, to rounding, for a family, an
assignment, a memory and a prior. Where it cannot (a new family, a missing value, parameters out of the
ordinary) it says so, and those do.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from .arrays import Array, Ints
from .kernels import threads
from .kernels.choice import chosen
from .memory import Forever, HalfLife, Memory, TimeHalfLife
from .moments import Moments
from .priors import Prior
from .spec import Spec

_TAIL_FEATURES = 700
"""With more features outlier scores are summed by logarithms, which `tail` does."""


def judged(spec: Spec, moments: Moments, x: Array) -> tuple[Array, Ints, Array, Array] | None:
    """Responsibilities (n, k), likeliest component (n,), log density in the data's units (n,) and outlier
    score (n,) of rows x (n, d), by the compiled twin; None where it cannot."""
    folder = folder_of(spec, moments.d)
    if folder is None:
        return None
    found: tuple[Array, Ints, Array, Array] | None = folder.judge(*arrays(moments), x, threads.count())
    return found


def labels(spec: Spec, moments: Moments, x: Array) -> Ints | None:
    """Index (n,) of the likeliest component of rows x (n, d), by the compiled twin; None where it cannot."""
    folder = folder_of(spec, moments.d)
    if folder is None:
        return None
    found: Ints | None = folder.label(*arrays(moments), x, threads.count())
    return found


def arrays(moments: Moments) -> tuple[Array, ...]:
    """Moments as the compiled twin takes them."""
    basis = moments.basis
    return moments.mass, moments.seen, moments.mean, moments.scatter, basis.origin, basis.scale


def folder_of(spec: Spec, d: int) -> Any:
    """The compiled twin for these choices over d features; None where there is none."""
    if not (spec.family_value.compiled and 0 < d <= _TAIL_FEATURES):
        return None
    memory, prior, batch_size = spec.memory, spec.prior, spec.batch_size
    return _folder(spec.family, spec.hard, memory, prior, batch_size, spec.n_components, d)


# What a model was seeded with is not among the choices: models of one kind share a twin.
@lru_cache(maxsize=16)
def _folder(family: str, hard: bool, memory: Memory, prior: Prior, batch_size: int, k: int, d: int) -> Any:
    # Judging asks nothing of the memory: a window's moments are judged like any others.
    name, half_life = one_bucket(memory) or ("forever", 1.0)
    return chosen().folder(
        family=family,
        hard=hard,
        memory=name,
        half_life=half_life,
        prior=(prior.weight, prior.covariance, prior.correlation, prior.reg_covar),
        batch_size=batch_size,
        k=k,
        d=d,
    )


def forget() -> None:
    """Drops the twins that were made: for tests that choose other kernels."""
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
