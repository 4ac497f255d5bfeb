"""Promise 15: no number turns bad, whatever finite numbers come in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from stream_mix.engine import Assigned, EngineState, Frames, Plan, Publish, Tick, new, step
from stream_mix.mixture import HalfLife, Spec, TimeHalfLife
from stream_mix.ports.publishing import encoded
from stream_mix.protocol import Frame, Snapshot, decode_published, encode_published

from .promise import Figures, Promise, Trial, at_least, at_most

ROWS, D, K = 1024, 4, 6
FRAMES = 4
"""Frames in a group."""
SNAPSHOT_GROUPS = 8
STREAM_ROWS = 32 * ROWS * FRAMES
"""Rows after which a stream ends, and the next begins with an engine that has seen nothing."""
Array = NDArray[np.float64]
Make = Callable[[np.random.Generator, int], Array]


def _heavy(rng: np.random.Generator, n: int) -> Array:
    return np.clip(rng.standard_cauchy((n, D)) ** 3, -1e100, 1e100)


def _scales(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(size=(n, D)) * 10.0 ** rng.uniform(-100, 99, (n, 1))


def _far(rng: np.random.Generator, n: int) -> Array:
    return 1.7e9 + 1e-3 * rng.normal(size=(n, D))


def _giants(rng: np.random.Generator, n: int) -> Array:
    x = rng.normal(size=(n, D))
    x[rng.random(n) < 1e-3] = 1e100
    return x


def _still(rng: np.random.Generator, n: int) -> Array:
    return np.full((n, D), rng.choice([0.0, 1e-300, -1e100, 5.0]))


def _line(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(size=(n, 1)) * np.array([1.0, 1e50, 1e-50, 0.0])


def _holes(rng: np.random.Generator, n: int) -> Array:
    x = rng.normal(size=(n, D)) * np.array([1e-90, 1.0, 1e90, 1e3])
    x[rng.random(x.shape) < 0.7] = np.nan
    x[np.isnan(x).all(axis=1), 0] = 0.0
    return x


def _tiny(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(size=(n, D)) * 1e-160


def _signs(rng: np.random.Generator, n: int) -> Array:
    return rng.choice([-1e100, 1e100, 0.0], (n, D))


def _leaps(rng: np.random.Generator, n: int) -> Array:
    return rng.normal(size=(n, D)) + 10.0 ** rng.integers(0, 60)


STREAMS: tuple[Make, ...] = (
    _heavy, _scales, _far, _giants, _still, _line, _holes, _tiny, _signs, _leaps,
)  # fmt: skip


def _plan(seed: int) -> Plan:
    memory = {"half_life": HalfLife(5000.0), "time": TimeHalfLife(60.0)}
    families = ("kmeans", "spherical", "diag", "tied", "full")
    specs = {family: Spec(K, family, random_state=seed) for family in families}
    specs["fades"] = Spec(K, "full", memory=memory["half_life"], random_state=seed)
    specs["ages"] = Spec(K, "diag", memory=memory["time"], random_state=seed)
    return Plan(specs, snapshot_every_seconds=1e9)


def _groups(make: Make, rng: np.random.Generator) -> Iterator[tuple[Frame, ...]]:
    """Frames without end: weights and times as hostile as the values are."""
    t = 1e9
    while True:
        frames = []
        for _ in range(FRAMES):
            t += 10.0 ** rng.integers(-6, 9)
            n = ROWS if rng.random() < 0.9 else int(rng.integers(1, 40))
            w = 10.0 ** rng.uniform(-90, 90, n) if rng.random() < 0.2 else None
            times = np.clip(t + rng.normal(size=n) * 10.0 ** rng.integers(0, 12), -1e99, 1e99)
            frames.append(Frame(make(rng, n), n, t=times, w=w))
        yield tuple(frames)


def _bad(numbers: Array | None) -> int:
    return 0 if numbers is None else int(np.size(numbers) - np.count_nonzero(np.isfinite(numbers)))


def _said(effects: list[object], figures: Figures, read: bool) -> None:
    """Count numbers that are none in what is published; `read`: as a subscriber reads them from its bytes."""
    for effect in effects:
        if isinstance(effect, Assigned):
            for part in effect.parts:
                figures["bad"] += _bad(part.p)
            figures["bad"] += _bad(effect.log_density) + _bad(effect.outlier)
            if read:
                topic = f"assignment/{effect.model}".encode()
                for body in encoded(effect):
                    heard = decode_published([topic, body])
                    figures["bad"] += _bad(heard.log_density) + _bad(heard.outlier) + _bad(heard.p)
                    figures["read"] += 1
        elif isinstance(effect, Publish):
            message = effect.message
            try:
                heard = decode_published(encode_published(message))
            except (ArithmeticError, ValueError):
                figures["unsaid"] += 1
                continue
            if isinstance(heard, Snapshot):
                figures["snapshots"] += 1
                figures["bad"] += _bad(heard.weights) + _bad(heard.means) + _bad(heard.covariances)


def _stream(make: Make, rows: int, rng: np.random.Generator, figures: Figures, seed: int) -> EngineState:
    state = new(_plan(seed))
    for number, frames in enumerate(_groups(make, rng)):
        state, effects = step(state, Frames(frames))
        _said(list(effects), figures, read=number % 8 == 0)
        over = state.offset >= rows
        if over or number % SNAPSHOT_GROUPS == 0:
            state, effects = step(state, Tick(1e10 * (number + 1), 0.0))
            _said(list(effects), figures, read=False)
        if over:
            break
    return state


def trial(trial: Trial) -> Figures:
    """Every kind of stream in turn, each into seven models, until there were so many rows."""
    figures: Figures = dict.fromkeys(("rows", "bad", "read", "snapshots", "unsaid", "streams"), 0.0)
    with np.errstate(all="ignore"):  # as in the engine's loop: results are checked, not the way to them
        for number, make in enumerate(cycle(STREAMS)):
            rng = np.random.default_rng([trial.seed, number])
            rows = min(STREAM_ROWS, max(trial.size // len(STREAMS), ROWS))
            figures["rows"] += _stream(make, rows, rng, figures, number).offset
            figures["streams"] += 1
            if number % 10 == 9:
                trial.say(f"{figures['rows']:,.0f} rows, {figures['bad']:.0f} bad numbers")
            if figures["rows"] >= trial.size and number + 1 >= len(STREAMS):
                return figures
    return figures


def broken(figures: Figures) -> list[str]:
    """What was not kept."""
    return at_most(figures, {"bad": 0}) + at_least(figures, {"rows": 1, "read": 1, "snapshots": 1})


PROMISE = Promise(15, "numbers", "no number turns bad", "rows", 100_000_000, 20_000, trial, broken)
