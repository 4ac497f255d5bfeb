"""How far out is far: the chi-square distribution, vectorised."""

from __future__ import annotations

import math

import numpy as np

from .arrays import Array, Ints

_SQRT_PI = math.sqrt(math.pi)

_MANY = 700
"""Degrees of freedom beyond which the sum of powers could overflow before e^-y makes it small."""


def chi_square_cdf(x: Array, degrees: int | Ints) -> Array:
    """P(chi^2 with `degrees` degrees of freedom <= x), for x (n,) >= 0; 0 where there are 0 degrees.

    The survival function follows from Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1), with y = x/2, begun at
    Q(1, y) = e^-y or Q(1/2, y) = erfc(sqrt y) (DLMF 8.8.6).

    >>> chi_square_cdf(np.array([0.0, 2.0 * np.log(2.0)]), 2).round(12)
    array([0. , 0.5])
    """
    if not isinstance(degrees, int):
        out = np.zeros(x.shape)
        for value in np.unique(degrees):
            out[degrees == value] = chi_square_cdf(x[degrees == value], int(value))
        return out
    if degrees == 0:
        return np.zeros(x.shape)
    if degrees > _MANY:
        return _by_terms(x, degrees)
    # Beyond y = 700 nothing is left of e^-y, and below it no power sum overflows.
    y = 0.5 * np.minimum(x, 1400.0)
    a = 0.5 if degrees % 2 else 1.0
    term = np.sqrt(y) / math.gamma(1.5) if degrees % 2 else y.copy()
    survival = np.zeros(y.shape) if degrees % 2 else np.ones(y.shape)
    while a < degrees / 2:
        survival += term
        a += 1.0
        term *= y
        term /= a
    survival *= np.exp(np.negative(y, out=term))
    if degrees % 2:
        survival += _erfc(np.sqrt(y))
    np.subtract(1.0, survival, out=survival)
    return np.maximum(survival, 0.0, out=survival)


def log_survival(x: Array, degrees: int | Ints) -> Array:
    """log P(chi^2 with `degrees` degrees of freedom > x), for x >= 0; 0 where there are 0 degrees.

    >>> (0.0 + log_survival(np.array([0.0, 2.0, 4000.0]), 2).round(9)).tolist()
    [0.0, -1.0, -2000.0]
    """
    if not isinstance(degrees, int):
        out = np.zeros(x.shape)
        for value in np.unique(degrees):
            out[degrees == value] = log_survival(x[degrees == value], int(value))
        return out
    if degrees == 0:
        return np.zeros(x.shape)
    y = 0.5 * x
    # By the logarithm of each term y^a / Gamma(a + 1), and of the rest: the sum has no bound in many degrees.
    log_y = np.log(np.maximum(y, 1e-300))
    half = 0.5 * (degrees % 2)
    found: Array = np.log(_scaled_erfc(np.sqrt(y))) if half else np.full(y.shape, -np.inf)
    for i in range(degrees // 2):
        np.logaddexp(found, (i + half) * log_y - math.lgamma(i + half + 1.0), out=found)
    found -= y
    return found


def _scaled_erfc(s: Array) -> Array:
    """e^(s^2) times the complementary error function of s >= 0."""
    near = np.minimum(s, 2.5)
    v = np.maximum(s, 2.5)
    fraction = v
    for i in range(60, 0, -1):
        fraction = v + 0.5 * i / fraction
    return np.where(s < 2.5, _erfc(near) * np.exp(near * near), 1.0 / (_SQRT_PI * fraction))


def _by_terms(x: Array, degrees: int) -> Array:
    """The same sum for many degrees, each term e^-y y^a / Gamma(a + 1) by its logarithm."""
    y = 0.5 * np.maximum(x, 1e-300)
    log_y = np.log(y)
    survival = _erfc(np.minimum(np.sqrt(y), 30.0)) if degrees % 2 else np.zeros(y.shape)
    for i in range(degrees // 2):
        a = i + 0.5 * (degrees % 2)
        survival += np.exp(np.maximum(a * log_y - y - math.lgamma(a + 1.0), -700.0))
    return np.clip(1.0 - survival, 0.0, 1.0)


def _erfc(s: Array) -> Array:
    """Complementary error function for s >= 0: its Taylor series near 0, its continued fraction (DLMF 7.9.1)
    beyond."""
    near = s < 2.5
    u = np.where(near, s, 0.0)
    term, series = u, u
    for i in range(1, 50):
        term = term * (-u * u / i)
        series = series + term / (2 * i + 1)
    v = np.where(near, 3.0, s)
    fraction = v
    for i in range(30, 0, -1):
        fraction = v + 0.5 * i / fraction
    return np.where(near, 1.0 - 2.0 / _SQRT_PI * series, np.exp(-v * v) / (_SQRT_PI * fraction))
