"""Parameters as people write them, checked once, when an estimator is made."""

from __future__ import annotations

import math
from numbers import Integral, Real

from ..mixture import FAMILIES, Adaptive, Forever, HalfLife, Memory, Prior, TimeHalfLife, Window
from ..mixture.adaptive import NO_AUTO_TIME
from ..mixture.steps import stepping


def whole(name: str, value: object, least: int) -> int:
    """An integer parameter. Raises ValueError where it is none or below `least`.

    >>> whole("n_components", 0, 1)
    Traceback (most recent call last):
    ValueError: n_components is 0, expected an integer >= 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}, expected an integer >= {least}")
    return int(value)


def components_of(n_components: object, up_to: object) -> tuple[int, int | None]:
    """The number of components to begin with, and the most where the rows choose it ("auto"), else None.
    Raises ValueError where they make no sense.

    >>> components_of(3, 64), components_of("auto", 64)
    ((3, None), (1, 64))
    """
    most = whole("up_to", up_to, 1)
    if isinstance(n_components, str) and n_components == "auto":
        return 1, most
    return whole("n_components", n_components, 1), None


def positive(name: str, value: object, unit: str) -> float:
    """A parameter that is a number of something. Raises ValueError where it is none above 0."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0.0 < float(value) < math.inf:
        raise ValueError(f"{name} is {value!r}, expected a number of {unit} > 0")
    return float(value)


def memory_of(
    half_life: float | str | None,
    time_half_life: float | None,
    window: int | None,
    step_exponent: float | None = None,
    averaged: bool = False,
    *,
    n_components: int = 1,
    batch_size: int = 1,
) -> Memory:
    """The memory that at most one of the first three parameters, or the last two together, ask for;
    `half_life="auto"` and steps follow the number of components and the rows of a batch. Raises ValueError
    where two are asked for.

    >>> memory_of(None, None, 100), memory_of(None, None, None)
    (Window(rows=100), Forever())
    """
    steps = stepping(step_exponent, averaged, n_components, batch_size)
    given = {"half_life": half_life, "time_half_life": time_half_life, "window": window}
    given |= {"step_exponent": step_exponent, "averaged": averaged or None}
    chosen = [f"{name}={value!r}" for name, value in given.items() if value is not None]
    if len(chosen) > 1 and len(chosen) > (step_exponent is not None) + bool(averaged):
        raise ValueError(f"{' and '.join(chosen)} are two memories, expected one or none")
    if steps is not None:
        return steps
    if isinstance(half_life, str) and half_life == "auto":
        return Adaptive.suited(n_components, batch_size)
    if isinstance(time_half_life, str) and time_half_life == "auto":
        raise ValueError(NO_AUTO_TIME)
    if half_life is not None:
        return HalfLife(positive("half_life", half_life, "rows"))
    if time_half_life is not None:
        return TimeHalfLife(positive("time_half_life", time_half_life, "seconds"))
    return Forever() if window is None else Window(whole("window", window, 1))


def covariance_family(covariance_type: str) -> str:
    """The family of a mixture whose covariances are of that type, or "auto": the rows say which. Raises
    ValueError for an unknown one."""
    known = sorted(name for name, family in FAMILIES.items() if not family.equal_weights)
    if covariance_type not in ("auto", *known):
        expected = f"expected one of {', '.join(map(repr, known))} or 'auto'"
        raise ValueError(f"covariance_type is {covariance_type!r}, {expected}")
    return covariance_type


def prior_of(reg_covar: float) -> Prior:
    """The prior with that floor under variances. Raises ValueError where it is no number >= 0."""
    if not isinstance(reg_covar, Real) or not 0.0 <= reg_covar < math.inf:
        raise ValueError(f"reg_covar is {reg_covar!r}, expected a finite number >= 0")
    return Prior(reg_covar=float(reg_covar))
