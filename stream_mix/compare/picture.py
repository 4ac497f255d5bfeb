"""The picture: criteria against the number of components, and the rows in the colours of their clusters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stream_mix.demo.palette import COLOURS, FAINT, INK, PAPER, colour
from stream_mix.mixture import Model, clusters, posterior

from .figures import Array, Line, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = ("-", "--", ":", "-.")
"""One for each family, or memory, or whatever else tells lines apart."""
_LOW = (("icl", "ICL"), ("bic", "BIC"), ("log_likelihood", "-2 log-likelihood"))
_HIGH = (
    ("silhouette", "silhouette"), ("stability", "stability"), ("rand_index", "Rand index with the labels"),
)  # fmt: skip


def draw(path: Path, result: Result, title: str) -> None:
    """Write the picture; its format is told by the suffix. Raises ValueError where nothing was chosen."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    if result.chosen is None:
        raise ValueError("--picture: no model learned enough rows to be drawn")
    with mpl.rc_context({"font.size": 10, "axes.edgecolor": FAINT, "axes.linewidth": 0.8}):
        figure = Figure(figsize=(13.0, 6.2), dpi=130, facecolor=PAPER, layout="constrained")
        axes: Any = figure.subplot_mosaic([["low", "rows"], ["high", "rows"]], height_ratios=[3, 2],
                                          width_ratios=[1, 1.1])  # fmt: skip
        _curves(axes["low"], result, _LOW, "nats a row, twice: lower is better")
        _curves(axes["high"], result, _HIGH, "higher is better")
        axes["high"].set_xlabel("components", color=INK)
        axes["high"].set_ylim(top=1.03)
        _rows(axes["rows"], result)
        figure.suptitle(title, color=INK, fontsize=11)
        figure.savefig(path)


def _curves(ax: Axes, result: Result, figures: tuple[tuple[str, str], ...], label: str) -> None:
    """A curve for each figure and each kind of model, over the number of components."""
    from matplotlib.ticker import MaxNLocator

    kinds: dict[str, list[Line]] = {}
    for line in result.lines:
        kinds.setdefault(line.family, []).append(line)
    for style, (family, lines) in enumerate(kinds.items()):
        lines = sorted(lines, key=lambda line: line.components)
        for place, (name, words) in enumerate(figures):
            # What the colours mean is said once, beside the first family.
            sign = -2.0 if name == "log_likelihood" else 1.0
            points = [(line.components, sign * getattr(line, name)) for line in lines
                      if getattr(line, name) is not None]  # fmt: skip
            if points:
                look: dict[str, Any] = {"color": colour(place), "marker": "o", "markersize": 4}
                kind = _STYLES[style % len(_STYLES)]
                ax.plot(*zip(*points, strict=True), kind, label=None if style else words, **look)
        if len(kinds) > 1 and figures is _LOW:
            ax.plot([], [], _STYLES[style % len(_STYLES)], color=INK, label=family)
    assert result.chosen is not None
    chosen = result.lines[result.chosen]
    ax.axvline(chosen.components, color=INK, linewidth=6.0, alpha=0.12, zorder=0)
    ax.annotate(
        f"{chosen.components}", (chosen.components, 1.0), xycoords=("data", "axes fraction"), ha="center",
        va="bottom", color=INK, fontweight="bold",
    )  # fmt: skip
    ax.set_ylabel(label, color=INK)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.tick_params(colors=FAINT, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, framealpha=0.9, edgecolor=FAINT)


def _rows(ax: Axes, result: Result) -> None:
    """The sample under the chosen model: a colour for each cluster, an ellipse for each component; or the
    density of a single feature."""
    from matplotlib.patches import Ellipse

    assert result.chosen is not None
    model = result.models[result.chosen]
    groups = clusters(model) or tuple((component,) for component in model.components)
    view = _view(model, result.features)
    told = posterior(model, result.sample)
    z = model.basis.forward(result.sample)
    points = view.of(np.where(np.isnan(z), told.p @ model.parameters.means, z))
    centres = view.of(model.parameters.means)
    tones = _tones(centres, model, groups)
    own = tones[told.p.argmax(axis=1)]
    if len(view.axes) == 1:
        ax.scatter(points[:, 0], np.exp(told.log_density), s=7, c=own, alpha=0.5, linewidths=0)
    else:
        ax.scatter(points[:, 0], points[:, 1], s=7, c=own, alpha=0.45, linewidths=0)
        for centre, covariance, tone in zip(centres, model.parameters.matrices, tones, strict=True):
            values, vectors = np.linalg.eigh(view.axes @ covariance @ view.axes.T)
            angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
            long, short = 4.0 * np.sqrt(np.maximum(values[::-1], 0.0))
            ellipse = Ellipse((centre[0], centre[1]), long, short, angle=angle, fill=False, zorder=3)
            ellipse.set(lw=1.4, ec=tone)
            ax.add_patch(ellipse)
        ax.scatter(centres[:, 0], centres[:, 1], s=26, c=tones, edgecolors=INK, linewidths=0.8, zorder=4)
        low, high = np.percentile(points, [0.2, 99.8], axis=0)
        room = 0.1 * (high - low)
        ax.set(xlim=(low[0] - room[0], high[0] + room[0]), ylim=(low[1] - room[1], high[1] + room[1]))
    ax.set_xlabel(view.names[0], color=INK)
    ax.set_ylabel(view.names[1], color=INK)
    many = f"{len(groups)} cluster{'s' * (len(groups) != 1)} where neighbours of one colour are one"
    ax.set_title(f"{model.k} component{'s' * (model.k != 1)} (2 sd), {many}", color=INK, fontsize=10)
    ax.tick_params(colors=FAINT, labelcolor=INK)
    ax.spines[["top", "right"]].set_visible(False)


def _tones(centres: Array, model: Model, groups: tuple[tuple[int, ...], ...]) -> Any:
    """A colour for each component (k,), one for a whole cluster: clusters share one only where colours run
    out, and then those far apart."""
    at = {component: i for i, component in enumerate(model.components)}
    found: dict[int, str] = {}
    for group in groups:
        own = centres[[at[component] for component in group]]
        room = {}
        for tone in COLOURS:
            others = centres[[i for i, taken in found.items() if taken == tone]]
            apart = np.square(own[:, None] - others[None]).sum(axis=2)
            room[tone] = float(apart.min(initial=np.inf))
        best = max(COLOURS, key=lambda tone: room[tone])
        found.update((at[component], best) for component in group)
    return np.array([found[i] for i in range(model.k)])


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Where to look from: directions (1 or 2, d) of the basis, where its origin lies, and two names."""

    axes: Array
    origin: Array
    names: tuple[str, str]

    def of(self, z: Array) -> Array:
        """Points z (n, d) of the basis as they are seen (n, 1 or 2)."""
        seen: Array = self.origin + z @ self.axes.T
        return seen


def _view(model: Model, features: tuple[str, ...]) -> _View:
    """The features in their units where there are no more than two, else the directions in which the means
    are furthest apart for the spread within (Fisher's discriminants)."""
    if model.d <= 2:
        names = (features[0], features[1] if model.d == 2 else "density")
        origin = np.where(np.isnan(model.basis.origin), 0.0, model.basis.origin)
        return _View(np.diag(model.basis.scale), origin, names)
    means, weights = model.parameters.means, model.parameters.weights
    within = np.einsum("k,kij->ij", weights, model.parameters.matrices)
    root = np.linalg.inv(np.linalg.cholesky(within))
    apart = (means - weights @ means) @ root.T
    _, vectors = np.linalg.eigh((apart.T * weights) @ apart)
    axes: Array = vectors[:, :-3:-1].T @ root
    first, second = (_telling(axis, features) for axis in axes)
    names = f"discriminant 1: mostly {first}", f"discriminant 2: mostly {second}"
    return _View(axes, np.zeros(2), names)


def _telling(axis: Array, features: tuple[str, ...]) -> str:
    """The two features that count most along an axis."""
    return " and ".join(features[j] for j in np.argsort(-np.abs(axis))[:2].tolist())
