"""The memory that parameters ask for: one set of rules for the estimators and the configuration."""

from __future__ import annotations

from .adaptive import NO_AUTO_TIME, Adaptive
from .memory import Forever, HalfLife, Memory, TimeHalfLife, Window, check_positive, check_rows
from .steps import stepping

_STEPS = {"step_exponent", "averaged"}


def memory_of(
    half_life: object = None,
    time_half_life: object = None,
    window: object = None,
    step_exponent: object = None,
    averaged: object = False,
    *,
    n_components: int = 1,
    batch_size: int = 1,
) -> Memory:
    """The memory that at most one of the first three parameters, or the last two together, ask for; none of
    them: nothing is ever forgotten. `half_life="auto"` and steps follow the number of components and the rows
    of a batch. Raises ValueError where two are asked for, or where one makes no sense.

    >>> memory_of(window=100), memory_of(step_exponent=0.7, n_components=2), memory_of()
    (Window(rows=100), Decreasing(exponent=0.7, rows=200.0), Forever())
    """
    steps = stepping(step_exponent, averaged, n_components, batch_size)
    given = {"half_life": half_life, "time_half_life": time_half_life, "window": window}
    given |= {"step_exponent": step_exponent, "averaged": averaged or None}
    asked = {name: f"{name}={value!r}" for name, value in given.items() if value is not None}
    if len(asked) > 1 and not asked.keys() <= _STEPS:
        raise ValueError(f"{' and '.join(asked.values())} are given, expected at most one memory")
    if steps is not None:
        return steps
    if isinstance(half_life, str) and half_life == "auto":
        return Adaptive.suited(n_components, batch_size)
    if isinstance(time_half_life, str) and time_half_life == "auto":
        raise ValueError(NO_AUTO_TIME)
    if half_life is not None:
        return HalfLife(check_positive(half_life, "half_life", "rows", " or 'auto'"))
    if time_half_life is not None:
        return TimeHalfLife(check_positive(time_half_life, "time_half_life", "seconds"))
    return Forever() if window is None else Window(check_rows(window))
