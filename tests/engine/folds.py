"""Streams for the fold, ways to run them, and what was said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from hypothesis import strategies as st

from stream_mix.engine import (
    Assigned,
    Effect,
    EngineState,
    Frames,
    Plan,
    Publish,
    new,
    step,
)
from stream_mix.mixture import (
    HalfLife,
    Spec,
    TimeHalfLife,
    Window,
)
from stream_mix.protocol import (
    Assignment,
    Frame,
)

SPECS = {
    "soft": Spec(n_components=3, family="diag", batch_size=8),
    "oval": Spec(n_components=2, family="full", batch_size=5, memory=HalfLife(200.0)),
    "hard": Spec(n_components=3, family="kmeans", batch_size=16, memory=Window(64)),
    "prompt": Spec(n_components=2, family="full", batch_size=4, memory=TimeHalfLife(5.0), lateness=0.3),
}
NAMES = ("a", "b", "c", "d")


def frame(x: object, **parts: object) -> Frame:
    rows = np.atleast_2d(np.asarray(x, dtype=np.float64))
    return Frame(rows, parts.pop("n_sent", len(rows)), **parts)  # type: ignore[arg-type]  # parts of a frame


@st.composite
def streams(draw: st.DrawFn) -> list[Frame]:
    """Frames with their own feature orders and subsets, times, weights, ids and sources."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = rng.normal(0, 8, (3, len(NAMES)))
    frames: list[Frame] = []
    for seq in range(draw(st.integers(1, 8))):
        n, d = draw(st.integers(1, 15)), draw(st.sampled_from((2, 2, 2, 3, 4)))
        names = draw(st.permutations(NAMES[:d])) if draw(st.booleans()) else list(NAMES[:d])
        columns = [NAMES.index(name) for name in names]
        x = (centres[rng.integers(0, 3, n)] + rng.normal(size=(n, len(NAMES))))[:, columns]
        if draw(st.booleans()):
            x[rng.random(x.shape) < 0.2] = np.nan
            x[np.isnan(x).all(axis=1), 0] = 1.0
        frames.append(
            frame(
                x,
                source=draw(st.sampled_from((None, "one", "two"))),
                seq=draw(st.sampled_from((None, seq))),
                features=tuple(names),
                t=1e9 + rng.random(n) if draw(st.booleans()) else None,
                w=rng.uniform(0.5, 2.0, n) if draw(st.booleans()) else None,
                id=tuple(range(n)) if draw(st.booleans()) else None,
            )
        )
    return frames


def split(frames: Sequence[Frame], cuts: Sequence[bool]) -> Iterator[tuple[Frame, ...]]:
    group: list[Frame] = []
    for i, one in enumerate(frames):
        group.append(one)
        if cuts[i % len(cuts)]:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)


def run(state: EngineState, groups: Iterator[tuple[Frame, ...]]) -> tuple[EngineState, list[Effect]]:
    effects: list[Effect] = []
    for group in groups:
        state, some = step(state, Frames(group))
        effects += some
    return state, effects


def assignments(effects: Sequence[Effect], model: str) -> list[Assignment]:
    return [m for e in effects if isinstance(e, Assigned) and e.model == model for m in e.messages()]


def same(one: Assignment, other: Assignment) -> None:
    for key in ("model", "offset", "generation", "components", "id", "source", "seq", "refused"):
        assert getattr(one, key) == getattr(other, key), key
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_allclose(one.log_density, other.log_density, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.outlier, other.outlier, rtol=1e-5, atol=1e-6)
    assert one.p is not None
    assert other.p is not None
    np.testing.assert_allclose(one.p, other.p, rtol=1e-5, atol=1e-7)


def published(effects: Sequence[Effect], kind: type) -> list[object]:
    return [e.message for e in effects if isinstance(e, Publish) and isinstance(e.message, kind)]


def warm(rows: int = 400, **plan: object) -> tuple[EngineState, list[Effect]]:
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [9.0, 9.0], [-9.0, 9.0]])[rng.integers(0, 3, rows)] + rng.normal(size=(rows, 2))
    return step(new(Plan({"m": SPECS["soft"]}, **plan)), Frames((frame(x, features=("a", "b")),)))  # type: ignore[arg-type]  # keys of a plan
