"""How far out is far where tails are heavy: the F distribution, by the incomplete beta function."""

from __future__ import annotations

import math

import numpy as np

from .arrays import Array

_TINY = 1e-300
_TERMS = 400
"""Terms of the continued fraction; it needs about sqrt(max(a, b)) of them, far fewer near either end."""


def log_f_survival(distance: Array, d: int, degrees: float) -> Array:
    """log P(D > distance), for squared distances (n,) >= 0 of a t distribution over d features: D / d has the
    F distribution with d and `degrees` degrees of freedom. 0 where there are 0 features.

    P = I_y(degrees / 2, d / 2) with y = degrees / (degrees + D), by DLMF 8.17.22 from the end that is nearer.

    >>> log_f_survival(np.array([1.0, 6.0]), 2, 2.0).round(6).tolist()  # 1 / (1 + D / 2)
    [-0.405465, -1.386294]
    """
    if d == 0:
        return np.zeros(distance.shape)
    a, b = 0.5 * degrees, 0.5 * d
    y, rest = degrees / (degrees + distance), distance / (degrees + distance)
    outer = y < (a + 1.0) / (a + b + 2.0)
    out = np.zeros(distance.shape)
    out[outer] = _log_beta(y[outer], rest[outer], a, b)
    inner = _log_beta(rest[~outer], y[~outer], b, a)
    out[~outer] = np.log1p(-np.exp(np.minimum(inner, -1e-16)))
    return out


def f_cdf(distance: Array, d: int, degrees: float) -> Array:
    """P(D <= distance)."""
    nearer: Array = -np.expm1(log_f_survival(distance, d, degrees))
    return nearer


def _log_beta(x: Array, rest: Array, a: float, b: float) -> Array:
    """log I_x(a, b) for x (n,) with 1 - x = rest, where x < (a + 1) / (a + b + 2), by Lentz's algorithm."""
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - math.log(a)
    c = np.ones(x.shape)
    inverse = 1.0 / _apart(1.0 - (a + b) / (a + 1.0) * x)
    fraction = inverse.copy()
    for i in range(1, _TERMS):
        even = i * (b - i) * x / ((a + 2 * i - 1.0) * (a + 2 * i))
        odd = -(a + i) * (a + b + i) * x / ((a + 2 * i) * (a + 2 * i + 1.0))
        step = np.ones(x.shape)
        for term in (even, odd):
            inverse, c = 1.0 / _apart(1.0 + term * inverse), _apart(1.0 + term / c)
            step = inverse * c
            fraction *= step
        if (np.abs(step - 1.0) < 1e-15).all():
            break
    log_x, log_rest = np.log(np.maximum(x, _TINY)), np.log(np.maximum(rest, _TINY))
    found: Array = front + a * log_x + b * log_rest + np.log(fraction)
    return found


def _apart(value: Array) -> Array:
    """The value, kept from 0."""
    return np.where(np.abs(value) < _TINY, _TINY, value)
