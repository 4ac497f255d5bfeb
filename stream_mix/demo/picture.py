"""The picture: rows in the colours of what claims them, ellipses, strangest rows, and k-means beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .palette import FAINT, INK, PAPER, colour
from .stream import Stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]
SHOWN_ROWS = 12_000
LIGHT = 0.02
"""A component of less weight is drawn in thinner lines: it gathers what fits nowhere else."""
SPREADS = ((1.0, 2.4), (2.0, 1.2))
"""Ellipses at so many standard deviations, and the width of their lines."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A mixture and what it says of all rows: weights (k,), means (k, d), covariances (k, d, d), p (n, k)."""

    weights: Array
    means: Array
    covariances: Array
    p: Array
    strangest: list[int]


def telling(x: Array, found: Fitted) -> tuple[int, int]:
    """The two features in which the components are told apart best.

    For each pair, the mixture's own marginal in these two judges the rows; the pair wins whose judgement is
    nearest to that of all features, by the mean of sum_k p_k log q_k.
    """
    rows = x[:: max(1, len(x) // 3000)]
    p = found.p[:: max(1, len(x) // 3000)]
    weights = p / p.sum(0).clip(1.0)  # each component counts the same, the light ones too
    best, pair = -np.inf, (0, 1)
    for i, j in combinations(range(x.shape[1]), 2):
        two = [i, j]
        scores = np.log(found.weights)[None] + np.stack(
            [
                _log_normal(rows[:, two], mean[two], covariance[two][:, two])
                for mean, covariance in zip(found.means, found.covariances, strict=True)
            ],
            axis=1,
        )
        log_q = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        agreement = float((weights * np.maximum(log_q, -20)).sum())
        if agreement > best:
            best, pair = agreement, (i, j)
    return pair


def _log_normal(x: Array, mean: Array, covariance: Array) -> Array:
    centred = x - mean
    inverse = np.linalg.inv(covariance)
    return np.asarray(
        -0.5 * (np.einsum("ni,ij,nj->n", centred, inverse, centred) + np.linalg.slogdet(covariance)[1])
    )


def draw(path: Path, stream: Stream, found: Fitted, kmeans: npt.NDArray[np.int64] | None) -> tuple[str, str]:
    """Write the PNG; `kmeans` (n,) labels make a second panel. Returns the names of the features drawn."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    i, j = telling(stream.x, found)
    order = np.argsort(-found.weights)
    rng = np.random.default_rng(0)
    n = len(stream.x)
    rows = np.sort(rng.choice(n, min(n, SHOWN_ROWS), replace=False))
    # Sensors report whole numbers: rows are spread within their unit, or most would lie on one another.
    points = stream.x[rows][:, [i, j]] + rng.uniform(-0.5, 0.5, (len(rows), 2))
    panels = 1 if kmeans is None else 2
    with mpl.rc_context({"font.size": 11, "axes.edgecolor": FAINT, "axes.linewidth": 0.8}):
        figure = Figure(figsize=(7.2 * panels, 7.0), dpi=150, facecolor=PAPER, layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, panels, sharex=True, sharey=True))
        colours = np.array([_rgb(colour(place)) for place in np.argsort(order)])
        _mixture(axes[0], points, found.p[rows] @ colours, stream, found, (i, j), order)
        if kmeans is not None:
            _hard(axes[1], points, kmeans[rows])
        for ax in axes:
            _frame(ax, stream, (i, j))
        figure.savefig(path)
    return stream.features[i], stream.features[j]


def _mixture(
    ax: Axes, points: Array, colours: Array, stream: Stream, found: Fitted, pair: tuple[int, int], order: Any
) -> None:
    from matplotlib.patches import Ellipse

    two = list(pair)
    ax.scatter(points[:, 0], points[:, 1], s=6, c=np.clip(colours, 0, 1), alpha=0.4, linewidths=0)
    for place, component in enumerate(order):
        values, vectors = np.linalg.eigh(found.covariances[component][two][:, two])
        angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
        centre = found.means[component][two]
        strength = 1.0 if found.weights[component] >= LIGHT else 0.6
        for spread, width in SPREADS:
            long, short = 2 * spread * np.sqrt(values[::-1])
            ellipse = Ellipse((centre[0], centre[1]), long, short, angle=angle, fill=False, zorder=3)
            ellipse.set(lw=width * strength, alpha=strength, ec=colour(place))
            ax.add_patch(ellipse)
        ax.annotate(
            f"{found.weights[component]:.1%}", (centre[0], centre[1]), ha="center", va="center", color=INK,
            fontweight="bold", zorder=6,
            bbox={"boxstyle": "round,pad=0.25", "fc": PAPER, "ec": colour(place), "lw": 1.8},
        )  # fmt: skip
    low, high = _limits(stream, pair)
    at = stream.x[found.strangest][:, two]
    inside = ((at > low) & (at < high)).all(axis=1)
    bad = stream.anomaly[found.strangest]
    for which, marker, words in ((bad, "X", "labelled anomaly"), (~bad, "o", "labelled normal")):
        away, near = int((which & ~inside).sum()), at[which & inside]
        ax.scatter(
            near[:, 0], near[:, 1], s=75, marker=marker, facecolors=PAPER, edgecolors=INK, linewidths=1.5,
            zorder=5, label=f"{words}: {int(which.sum())}" + (f" ({away} far outside)" if away else ""),
        )  # fmt: skip
    spreads = " and ".join(f"{spread:g}" for spread, _ in SPREADS)
    ax.text(
        0.99, 0.01, f"rings: {spreads} standard deviations; points jittered by up to half a unit",
        transform=ax.transAxes, ha="right", va="bottom", color=INK, fontsize=8, zorder=7,
        bbox={"boxstyle": "round,pad=0.2", "fc": PAPER, "ec": "none", "alpha": 0.8},
    )  # fmt: skip
    title = f"the {len(at)} strangest rows"
    ax.legend(title=title, loc="upper left", fontsize=9, title_fontsize=9, framealpha=0.95, edgecolor=FAINT)
    ax.set_title("the mixture: oval, soft, each component with its own spread", color=INK)


def _hard(ax: Axes, points: Array, labels: npt.NDArray[np.int64]) -> None:
    names, counts = np.unique(labels, return_counts=True)
    places = {name: place for place, name in enumerate(names[np.argsort(-counts)].tolist())}
    colours = [colour(places[label]) for label in labels.tolist()]
    ax.scatter(points[:, 0], points[:, 1], s=6, c=colours, alpha=0.4, linewidths=0)
    for name, place in places.items():
        x, y = points[labels == name].mean(0)
        ax.scatter(x, y, s=120, marker="P", color=colour(place), edgecolors=PAPER, linewidths=1.5, zorder=5)
    ax.set_title("k-means with as many clusters: cells around centres", color=INK)


def _limits(stream: Stream, pair: tuple[int, int]) -> tuple[Array, Array]:
    inner = stream.x[:, list(pair)]
    low, high = np.percentile(inner, [0.15, 99.85], axis=0)
    room = (high - low) * 0.1
    return low - room, high + room


def _frame(ax: Axes, stream: Stream, pair: tuple[int, int]) -> None:
    low, high = _limits(stream, pair)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    ax.set_xlabel(f"sensor {stream.features[pair[0]]}", color=INK)
    ax.set_ylabel(f"sensor {stream.features[pair[1]]}", color=INK)
    ax.tick_params(colors=FAINT, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)


def _rgb(text: str) -> tuple[float, float, float]:
    red, green, blue = (int(text[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
