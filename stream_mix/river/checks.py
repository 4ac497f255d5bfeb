"""Parameters as people write them, checked once, when an estimator is made."""

from __future__ import annotations

import math
from numbers import Integral, Real

from ..mixture import FAMILIES, Prior


def whole(name: str, value: object, least: int, otherwise: str = "") -> int:
    """An integer parameter. Raises ValueError where it is none or below `least`; `otherwise` are words for
    what else it may be.

    >>> whole("n_components", 0, 1)
    Traceback (most recent call last):
    ValueError: n_components is 0, expected an integer >= 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}, expected an integer >= {least}{otherwise}")
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
    return whole("n_components", n_components, 1, " or 'auto'"), None


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
