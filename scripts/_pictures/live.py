"""A stream as it goes by: what was said of each row before it was learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stream_mix.mixture import Model, Rows, Spec, learn, parameters, posterior, rows_until_batch

from . import draw
from .choice import stream

K = 5
BATCH = 100
MOMENTS = (300, 1200, 6000)
"""Rows after which the stream is looked at."""
SHOWN = 1200
STRAYS, STRANGEST = 0.01, 10
RED = "#C1121F"


@dataclass(frozen=True, eq=False)
class Look:
    """The model at a moment, the rows so far (n, 2), and what was said of each of them."""

    model: Model
    x: np.ndarray
    p: np.ndarray
    outlier: np.ndarray


def rows() -> np.ndarray:
    """The stream of the other picture, where one row in a hundred comes from anywhere."""
    x, _ = stream()
    rng = np.random.default_rng(1)
    stray = np.flatnonzero(rng.random(len(x)) < STRAYS)
    low, high = x.min(axis=0), x.max(axis=0)
    x[stray] = low + rng.random((len(stray), 2)) * (high - low)
    return x


def looks() -> list[Look]:
    """The stream once, judged before it is learned, as the engine does it."""
    x = rows()
    model = Model.new(Spec(n_components=K, batch_size=BATCH), 2)
    found: list[Look] = []
    p, outlier = np.full((len(x), K), 1.0 / K), np.zeros(len(x))
    start = 0
    while start < len(x):
        stop = min(start + rows_until_batch(model), len(x))
        said = posterior(model, x[start:stop])
        p[start:stop], outlier[start:stop] = said.p, said.outlier
        model, _ = learn(model, Rows.of(x[start:stop]))
        start = stop
        if stop in MOMENTS:
            found.append(Look(model, x[:stop], p[:stop].copy(), outlier[:stop].copy()))
    return found


def figure() -> Figure:
    """Three moments, side by side."""
    every = looks()
    drawn = Figure(figsize=(13.0, 5.0), layout="constrained")
    panels = drawn.subplots(1, len(every), sharex=True, sharey=True)
    for axes, look in zip(panels, every, strict=True):
        _panel(axes, look)
    drawn.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.02)
    return drawn


def _panel(axes: Axes, look: Look) -> None:
    """The last rows as they were judged, the components as they are now, a ring about the strangest rows."""
    n = len(look.x)
    shown = slice(max(0, n - SHOWN), n)
    draw.points(axes, look.x[shown], draw.soft(look.p[shown]), size=9.0)
    found = parameters(look.model)
    draw.ellipses(axes, found.means, found.covariances)
    strange = np.argsort(-look.outlier[shown], kind="stable")[:STRANGEST] + shown.start
    axes.scatter(*look.x[strange].T, s=95, facecolors="none", edgecolors=RED, linewidths=1.6, zorder=6)
    said = f"log density {look.model.log_likelihood:.2f}".replace("-", "\N{MINUS SIGN}")
    draw.panel(axes, f"after {n:,} rows", f"{said} per row; red: the strangest")
