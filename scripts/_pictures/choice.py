"""k-means or mixture: the same stream through both."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from stream_mix.mixture import Model, Rows, Spec, flush, learn, parameters, posterior

from . import draw

SHOWN = 1800
"""Rows that are drawn, of all that were learned."""


def stream(n: int = 6000, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 2) of five clusters: two long ones side by side, a tight one near a wide one, and another."""
    rng = np.random.default_rng(seed)
    shapes = (
        # centre, standard deviations, angle in degrees, share
        ((-3.4, 3.0), (2.0, 0.42), 20.0, 0.24),
        ((-2.7, 0.8), (2.0, 0.42), 20.0, 0.24),
        ((4.2, 1.9), (1.6, 1.5), 0.0, 0.22),
        ((2.6, -0.5), (0.32, 0.32), 0.0, 0.12),
        ((0.9, -2.8), (2.1, 0.55), -14.0, 0.18),
    )
    label = rng.choice(len(shapes), n, p=[share for *_, share in shapes])
    x = np.empty((n, 2))
    for c, (centre, deviations, angle, _) in enumerate(shapes):
        rows = np.flatnonzero(label == c)
        a = np.radians(angle)
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        x[rows] = centre + (rng.normal(size=(len(rows), 2)) * deviations) @ turn.T
    return x, label


def one_pass(family: str, x: np.ndarray, k: int) -> Model:
    """The model after the rows went by once, in batches of 256."""
    model = Model.new(Spec(n_components=k, family=family), x.shape[1])
    for start in range(0, len(x), 256):
        model, _ = learn(model, Rows.of(x[start : start + 256]))
    return flush(model)[0]


def figure() -> Figure:
    """Two panels: hard and round on the left, soft and oval on the right."""
    x, label = stream()
    k = int(label.max()) + 1
    drawn = Figure(figsize=(13.0, 6.3), layout="constrained")
    left, right = drawn.subplots(1, 2, sharex=True, sharey=True)
    truth = np.stack([x[label == c].mean(axis=0) for c in range(k)])
    for axes, family in ((left, "kmeans"), (right, "full")):
        model = one_pass(family, x, k)
        order = linear_sum_assignment(np.square(truth[:, None] - parameters(model).means).sum(axis=2))[1]
        said = posterior(model, x)
        score = adjusted_rand_score(label, said.label)
        (_kmeans if family == "kmeans" else _mixture)(axes, model, x, order, score)
    spread = np.percentile(x, (0.2, 99.8), axis=0)
    left.set_xlim(spread[0, 0] - 0.6, spread[1, 0] + 0.6)
    left.set_ylim(spread[0, 1] - 0.6, spread[1, 1] + 0.6)
    drawn.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.02)
    return drawn


def _kmeans(axes: Axes, model: Model, x: np.ndarray, order: np.ndarray, score: float) -> None:
    means = parameters(model).means[order]
    nearest = np.square(x[:SHOWN, None] - means).sum(axis=2).argmin(axis=1)
    draw.points(axes, x[:SHOWN], draw.COLOURS[nearest])
    _borders(axes, x, means)
    draw.crosses(axes, means)
    title = f"k-means: adjusted Rand index {score:.2f}"
    draw.panel(axes, title, "round and hard: each row to its nearest centre")


def _borders(axes: Axes, x: np.ndarray, means: np.ndarray) -> None:
    """Where the nearest centre changes."""
    low, high = x.min(axis=0) - 1, x.max(axis=0) + 1
    across, up = np.meshgrid(np.linspace(low[0], high[0], 600), np.linspace(low[1], high[1], 600))
    grid = np.stack([across, up], axis=-1)
    nearest = np.square(grid[..., None, :] - means).sum(axis=-1).argmin(axis=-1)
    for c in range(len(means)):
        axes.contour(across, up, nearest == c, levels=[0.5], colors=[draw.INK], linewidths=0.9)


def _mixture(axes: Axes, model: Model, x: np.ndarray, order: np.ndarray, score: float) -> None:
    found = parameters(model)
    p = posterior(model, x[:SHOWN]).p[:, order]
    draw.points(axes, x[:SHOWN], draw.soft(p))
    draw.ellipses(axes, found.means[order], found.covariances[order])
    title = f"mixture: adjusted Rand index {score:.2f}"
    draw.panel(axes, title, "oval and soft: each row in its components' colours, mixed")
