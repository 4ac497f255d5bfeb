"""How exact the statistics are far from zero: mean and covariance at Unix times, beside E[xx'] - mm'."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from stream_mix.mixture import Model, Rows, Spec, flush, learn

from .record import Name, Options, Record, Target

GROUP = "centred"
OFFSET = 1.7e9
MOST = 1e-8
NAMES = {
    what: Name(GROUP, f"relative error of the {what} at offset {OFFSET:g}", peer)
    for what, peer in (("mean", "float64 sum / n"), ("covariance", "float64 E[xx'] - mm'"))
}


def names() -> list[Name]:
    """Every row of this group."""
    return list(NAMES.values())


def records(options: Options) -> Iterator[Record]:
    """The largest error of the mean, in standard deviations, and of the covariance, in its largest entry."""
    options.say("centred statistics")
    rng = np.random.default_rng(0)
    x = OFFSET + rng.normal(size=(4_000 if options.quick else 20_000, 3)) @ np.array(
        [[0.5, 0.2, 0.1], [0, 0.3, 0.1], [0, 0, 0.2]]
    )
    mean, covariance = exact(x)
    scale = max(float(covariance[i][i]) for i in range(3))
    ours = _ours(x)
    raw_mean = [Fraction(float(v)) for v in x.sum(axis=0) / len(x)]
    product = x.T @ x / len(x) - np.outer(x.mean(axis=0), x.mean(axis=0))
    raw = raw_mean, [[Fraction(float(v)) for v in row] for row in product]
    for what, index in (("mean", 0), ("covariance", 1)):
        values = [_error((mean, covariance)[index], found[index], scale, index) for found in (ours, raw)]
        yield Record(
            NAMES[what],
            values[0],
            "",
            values[1],
            target=Target("ours", "<=", MOST),
            note="of a standard deviation" if index == 0 else "of the largest entry",
        )


def exact(x: np.ndarray) -> tuple[list[Fraction], list[list[Fraction]]]:
    """Mean (d,) and covariance (d, d) of the float64 rows x (n, d), in rational arithmetic."""
    n, d = x.shape
    columns = [[Fraction(value) for value in column] for column in x.T.tolist()]
    mean = [sum(column) / n for column in columns]
    apart = [[value - mean[j] for value in columns[j]] for j in range(d)]
    covariance = [
        [sum(a * b for a, b in zip(apart[i], apart[j], strict=True)) / n for j in range(d)] for i in range(d)
    ]
    return mean, covariance


def _ours(x: np.ndarray) -> tuple[list[Fraction], list[list[Fraction]]]:
    """What a model of one component holds after learning x in batches, in the data's units, unrounded."""
    model = Model.new(Spec(n_components=1, family="full"), x.shape[1])
    for start in range(0, len(x), 256):
        model, _ = learn(model, Rows.of(x[start : start + 256]))
    model, _ = flush(model)
    moments, basis = model.moments, model.basis
    origin, scale = _fractions(basis.origin), _fractions(basis.scale)
    mass = Fraction(float(moments.mass[0]))
    z, scatter = _fractions(moments.mean[0]), [_fractions(row) for row in moments.scatter[0]]
    d = len(origin)
    covariance = [[scatter[i][j] / mass * scale[i] * scale[j] for j in range(d)] for i in range(d)]
    return [origin[j] + z[j] * scale[j] for j in range(d)], covariance


def _fractions(values: np.ndarray) -> list[Fraction]:
    return [Fraction(value) for value in values.tolist()]


def _error(truth: list, found: list, scale: float, index: int) -> float:
    if index == 0:
        return max(abs(float(a - b)) for a, b in zip(truth, found, strict=True)) / scale**0.5
    return (
        max(
            abs(float(a - b))
            for ours, theirs in zip(truth, found, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
        / scale
    )
