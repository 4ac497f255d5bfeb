"""Colours, ellipses and panels that the pictures share."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image

COLOURS = np.array(
    [to_rgb(name) for name in ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")]
)
"""Told apart with any kind of colour vision (Okabe & Ito 2008)."""
INK, FAINT = "#22262B", "#555B63"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": "#D5D8DC",
    "axes.titlesize": 14,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 26,
}


def soft(p: np.ndarray) -> np.ndarray:
    """The colour (n, 3) of each row: its responsibilities (n, k) mix the components' colours."""
    return np.clip(p @ COLOURS[: p.shape[1]], 0.0, 1.0)


def panel(axes: Axes, title: str, subtitle: str) -> None:
    """A panel without ticks, a title, and a line below it."""
    axes.set_title(title)
    axes.text(0.0, 1.025, subtitle, transform=axes.transAxes, color=FAINT, fontsize=11)
    axes.set_xticks([])
    axes.set_yticks([])


def points(axes: Axes, x: np.ndarray, colour: np.ndarray, size: float = 11.0) -> None:
    """Rows x (n, 2) as dots."""
    axes.scatter(x[:, 0], x[:, 1], s=size, c=colour, alpha=0.75, linewidths=0, rasterized=True)


def ellipses(axes: Axes, means: np.ndarray, covariances: np.ndarray, deviations: float = 2.0) -> None:
    """The outlines, at so many standard deviations, of components: means (k, 2), covariances (k, 2, 2)."""
    for mean, covariance, colour in zip(means, covariances, COLOURS, strict=False):
        values, vectors = np.linalg.eigh(covariance)
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        width, height = 2.0 * deviations * np.sqrt(values[::-1])
        for line, edge in ((4.0, "white"), (2.0, tuple(0.8 * colour))):
            axes.add_patch(Ellipse(mean, width, height, angle=angle, fill=False, lw=line, ec=edge))
    crosses(axes, means)


def crosses(axes: Axes, means: np.ndarray) -> None:
    """Centres (k, 2)."""
    axes.scatter(*means.T, s=110, marker="P", c=INK, edgecolors="white", linewidths=1.2, zorder=5)


def write(figure: Figure, path: Path, dpi: int = 130) -> None:
    """A PNG of 256 colours: a third of the size, and no eye sees the difference."""
    raw = io.BytesIO()
    figure.savefig(raw, dpi=dpi, facecolor="white")
    image = Image.open(raw).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
