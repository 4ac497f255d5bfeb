"""A picture a row family: a dot for each learner on each set, a bar over seeds, a stroke at the figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from .family import Family, Record

OURS, THEIRS = ("#c1440e", "#e39b2f"), ("#30638e", "#5f8f5a", "#7d6b91", "#4d9a9a", "#8a8a8a", "#a77c5b")
STYLE = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#e5e5e5", "axes.axisbelow": True, "figure.dpi": 110, "svg.hashsalt": "",
}  # fmt: skip


def write(family: Family, records: Sequence[Record], file: Path) -> None:
    """The family's picture as PNG."""
    mpl.use("Agg")
    from matplotlib import pyplot

    measures = list(dict.fromkeys(row.get("measure", family.axis) for row in records))
    rows_of = [[row for row in records if row.get("measure", family.axis) == name] for name in measures]
    heights = [1 + 0.9 * len({row["set"] for row in rows}) for rows in rows_of]
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(measures), 1, figsize=(8, 1 + 0.55 * sum(heights)), height_ratios=heights, squeeze=False,
            layout="constrained",
        )  # fmt: skip
        colours = _colours(records)
        for name, rows, ax in zip(measures, rows_of, axes[:, 0], strict=True):
            _panel(ax, rows, colours)
            ax.set_xlabel(name)
            if family.scale == "symlog":
                ax.set_xscale("symlog", linthresh=0.01)
            elif family.scale != "linear":
                ax.set_xscale(family.scale)
        figure.suptitle(family.title, x=0.01, ha="left", fontsize=9)
        handles = [mpl.lines.Line2D([], [], marker="o", ls="", color=c, label=n) for n, c in colours.items()]
        figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=7)
        figure.savefig(file, metadata={"Software": None})
        pyplot.close(figure)


def _colours(records: Sequence[Record]) -> dict[str, str]:
    """A colour for each learner, warm ones for ours."""
    names = list(dict.fromkeys(row["learner"] for row in records))
    ours = [name for name in names if name.startswith("stream_mix")]
    theirs = [name for name in names if name not in ours]
    shades = {name: OURS[i % len(OURS)] for i, name in enumerate(ours)}
    return shades | {name: THEIRS[i % len(THEIRS)] for i, name in enumerate(theirs)}


def _panel(ax: mpl.axes.Axes, rows: Sequence[Record], colours: dict[str, str]) -> None:
    sets = list(dict.fromkeys(row["set"] for row in rows))
    for at, name in enumerate(sets):
        here = [row for row in rows if row["set"] == name]
        for i, row in enumerate(here):
            y = at + 0.8 * ((i + 0.5) / len(here) - 0.5)
            if row["goal"] is not None:
                ax.plot([row["goal"]] * 2, [at - 0.45, at + 0.45], color="black", lw=1, zorder=3)
            if row["value"] is not None:
                ax.plot([row["low"], row["high"]], [y, y], color=colours[row["learner"]], lw=1.5)
                ax.plot(row["value"], y, "o", ms=4, color=colours[row["learner"]], zorder=4)
    ax.set_yticks(range(len(sets)), sets)
    ax.set_ylim(len(sets) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
