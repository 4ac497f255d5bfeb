"""Streams made to break mixtures, and what must hold of every model that took one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import numpy as np
import pytest

from stream_mix.mixture import (
    MAXIMUM_LIKELIHOOD,
    Averaged,
    Decreasing,
    Forever,
    HalfLife,
    Memory,
    Model,
    Prior,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    flush,
    health,
    learn,
    named_family,
    parameters,
    posterior,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.kernels.choice import chosen
from stream_mix.mixture.live import isas
from stream_mix.mixture.remoteness import remoteness

from .lively import on, reference

MEMORIES: list[Memory] = [
    Forever(), HalfLife(5.0), HalfLife(300.0), TimeHalfLife(3.0), Window(20), Window(300),
    Decreasing(0.6, 4.0), Averaged(0.7, 9.0),
]  # fmt: skip
PRIORS = [Prior(), Prior(), Prior(), Prior(reg_covar=0.0), MAXIMUM_LIKELIHOOD]


@dataclass(frozen=True, eq=False)
class Hostile:
    """Rows x (n, d), some infinite, with weights and times; a specification without its family; how many
    rows come at once; and whether the first start is the last, as it is after hundreds of rows."""

    x: Array
    w: Array
    t: Array
    choices: dict[str, object]
    piece: int
    early: bool

    def spec(self, family: str) -> Spec:
        choices = self.choices if family != "kmeans" else {**self.choices, "degrees_of_freedom": None}
        return Spec(**{**named_family(family), **choices})


def hostile(seed: int) -> Hostile:
    """Constants, duplicates, collinear features, offsets to 1e12, scales 1e-9 to 1e9, bursts, holes, giants,
    infinities, ages of silence, fewer rows than components or features."""
    rng = np.random.default_rng(seed)
    low, high = [(1, 40), (40, 200), (520, 700)][int(rng.choice(3, p=[0.4, 0.56, 0.04]))]
    n = int(rng.integers(low, high))
    d = int(rng.integers(1, 7))
    k = int(rng.integers(1, 9))
    x = _values(rng, n, d)
    if rng.random() < 0.3:
        x[rng.random(x.shape) < rng.choice([0.05, 0.3, 0.9])] = np.nan
    if rng.random() < 0.2:
        x[rng.integers(0, n)] = 10.0 ** rng.uniform(20, 100) * rng.choice([-1.0, 1.0], d)
    if rng.random() < 0.2:
        x[rng.random(x.shape) < 0.02] = rng.choice([-np.inf, np.inf, 1e101])
    w = np.ones(n)
    if rng.random() < 0.3:
        w = 10.0 ** rng.uniform(-6, 6, n)
    t = 1.7e9 + np.cumsum(rng.exponential(1.0, n))
    if rng.random() < 0.4:
        t[rng.integers(0, n) :] += 10.0 ** rng.uniform(2, 9)
    if rng.random() < 0.2:
        t = rng.permutation(t)
    if rng.random() < 0.2:
        t[rng.random(n) < 0.5] = np.nan
    choices: dict[str, object] = {
        "n_components": k,
        "assignment": [None, "soft", "hard"][int(rng.integers(3))],
        "memory": MEMORIES[int(rng.integers(len(MEMORIES)))],
        "prior": PRIORS[int(rng.integers(len(PRIORS)))],
        "batch_size": int(rng.choice([1, 1, 7, 40, 256])),
        "degrees_of_freedom": [None, None, 0.7, 4.0][int(rng.integers(4))],
        "lateness": 5.0 if rng.random() < 0.2 else None,
        "random_state": seed,
    }
    return Hostile(x, w, t, choices, max(1, n // int(rng.integers(1, 7))), bool(rng.random() < 0.6))


def _values(rng: np.random.Generator, n: int, d: int) -> Array:
    centres = rng.normal(size=(int(rng.integers(1, 5)), d)) * rng.choice([0.0, 5.0, 1e3])
    x = rng.normal(size=(n, d)) + centres[rng.integers(0, len(centres), n)]
    x = x * 10.0 ** rng.uniform(-9, 9, d) + rng.choice([0.0, 1e3, 1e12], d)
    if rng.random() < 0.3:
        x[:, 0] = x[0, 0]
    if rng.random() < 0.3:
        x[:, -1] = 2.0 * x[:, 0] - 1.0
    if rng.random() < 0.25:
        x = x[rng.integers(0, max(1, n // 10), n)]
    if rng.random() < 0.2:
        x[: int(rng.integers(1, n + 1))] = x[0]
    if rng.random() < 0.3:
        x[n // 2 :] += 1e6 * (1.0 + np.abs(x[0]))
    if rng.random() < 0.2:
        start = int(rng.integers(0, n))
        x[start : start + n // 5] *= 1e-9
    if rng.random() < 0.2:
        x = x[np.argsort(x[:, 0], kind="stable")]
    values: Array = x
    return values


def accepted(stream: Hostile) -> Rows:
    """The rows that can be learned; each of the others is refused alone."""
    good = (np.isnan(stream.x) | (np.abs(stream.x) <= 1e100)).all(axis=1)
    for i in np.flatnonzero(~good)[:3]:
        with pytest.raises(ValueError, match="rows: row 0, feature"):
            Rows.of(stream.x[i : i + 1])
    return Rows.of(stream.x[good], stream.w[good], stream.t[good])


def taught(stream: Hostile, family: str, kernels: str) -> Iterator[Model]:
    """The model each time rows came: by compiled kernels, live where batches are single rows, or in NumPy."""
    rows = accepted(stream)
    model = Model.new(stream.spec(family), rows.d)
    live = kernels == "live" and model.spec.lateness is None and model.spec.batch_size == 1
    for start in range(0, len(rows), stream.piece):
        part = rows[start : start + stream.piece]
        model = on(isas()[0], model, part)[0] if live else learn(model, part)[0]
        if stream.early and not model.warming:
            model = replace(model, reservoir=(), next_start=0)
        yield model
    yield flush(model)[0]


def computing(kernels: str) -> AbstractContextManager[None]:
    return reference() if kernels == "reference" else nullcontext()


def kernels_here() -> list[str]:
    return ["reference"] if chosen().name == "reference" else ["reference", "compiled", "live"]


def survives(stream: Hostile, family: str, kernels: str) -> None:
    """Everything that a model says at any time is finite and adds up."""
    x = accepted(stream).x
    asked = np.concatenate([x[:: max(1, len(x) // 40)], x[-1:], np.full((1, stream.x.shape[1]), np.nan)])
    asked = np.concatenate([asked, asked[-2:-1] + 1e6, np.full((1, stream.x.shape[1]), -1e100)])
    with computing(kernels):
        for model in taught(stream, family, kernels):
            assert_sound(model, asked)


def assert_sound(model: Model, x: Array) -> None:
    told = posterior(model, x)
    assert np.isfinite(told.p).all()
    assert (told.p >= 0.0).all()
    np.testing.assert_allclose(told.p.sum(axis=1), 1.0, rtol=0.0, atol=1e-12)
    assert np.isfinite(told.log_density).all()
    assert ((told.outlier >= 0.0) & (told.outlier <= 1.0)).all()
    for name, value in health(model).items():
        assert not isinstance(value, float) or math.isfinite(value), name
    if model.warming:
        return
    noise = {-1} if model.spec.robust else set()
    assert set(told.label.tolist()) <= set(model.components) | noise
    if told.noise is not None:
        assert ((told.noise >= 0.0) & (told.noise <= 1.0)).all()
    remote = remoteness(model, x)
    assert (np.isfinite(remote) & (remote >= 0.0)).all()
    for found in (model.parameters, parameters(model)):
        assert np.isfinite(found.weights).all()
        assert (found.weights > 0.0).all()
        assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert np.isfinite(found.means).all()
        assert_positive_definite(found.dense, found.family.scatter)
    for moments in model.store:
        for array in (moments.mass, moments.seen, moments.mean, moments.scatter):
            assert np.isfinite(array).all()


def assert_positive_definite(dense: Array, scatter: str) -> None:
    """Finite, symmetric and with a Cholesky factor; variances above 0."""
    assert np.isfinite(dense).all()
    if scatter == "diag":
        assert (dense > 0.0).all()
        return
    matrices = dense if dense.ndim == 3 else dense[None]
    np.testing.assert_array_equal(matrices, np.swapaxes(matrices, 1, 2))
    np.linalg.cholesky(matrices)


def as_hard(stream: Hostile, assignment: str) -> Hostile:
    return replace(stream, choices={**stream.choices, "assignment": assignment})
