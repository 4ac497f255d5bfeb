"""What became of the models that were compared, in plain numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_mix.mixture import Model

Array = npt.NDArray[np.float64]

_DENSITY = ("ICL", "BIC", "the log-likelihood")
"""The figures that can favour a single component."""


@dataclass(frozen=True, slots=True)
class Line:
    """One model of the comparison; None for what does not apply.

    Attributes:
        mass: rows that its memory holds at the end.
        log_likelihood: mean log density of a row, each before it was learned (prequential); all models are
            judged by the same rows.
        bic, icl, silhouette, xie_beni: as `mixture.Validity` has them, at the end.
        clusters: components that overlap being taken for one.
        stability: adjusted Rand index of the labels with those of a second seed.
        rand_index, mutual_information: both adjusted, of the labels with the true ones.
        merged_rand_index: the same of clusters.
        centroid_index: centres in the wrong place, against the means of the true clusters.
        seconds: of processor time for learning and judging all rows.
    """

    name: str
    components: int
    family: str
    mass: float
    log_likelihood: float | None
    bic: float | None
    icl: float | None
    silhouette: float | None
    xie_beni: float | None
    clusters: int | None
    stability: float | None
    rand_index: float | None
    mutual_information: float | None
    merged_rand_index: float | None
    centroid_index: int | None
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """All lines in the order asked for, with their models.

    Attributes:
        rows: of the recording.
        features: their names, in the order of the models' columns.
        sample: some of the rows (n, d), drawn evenly, to be looked at.
        sums: sums of log densities (groups of rows, models) over the rows that count.
        counts: what the rows of each group weigh (groups,).
    """

    lines: tuple[Line, ...]
    models: tuple[Model, ...]
    rows: int
    features: tuple[str, ...]
    sample: Array
    sums: Array
    counts: Array

    def best(self, figure: Callable[[Line], float | None], *, largest: bool = False) -> int | None:
        """The place of the line with the least, or largest, of a figure; None where no line has it."""
        known = [(i, value) for i, line in enumerate(self.lines) if (value := figure(line)) is not None]
        sign = -1.0 if largest else 1.0
        return min(known, key=lambda item: sign * item[1])[0] if known else None

    @property
    def favoured(self) -> dict[str, int]:
        """The line that each figure favours, by the figure's name.

        The log-likelihood favours the fewest components among those within two standard errors of the
        highest. Silhouette and Xie-Beni can only tell clusterings from one another: where most of the others
        favour one component, no clusters, they have nothing to say.
        """
        found = {
            "ICL": self.best(lambda line: line.icl),
            "BIC": self.best(lambda line: line.bic),
            "the log-likelihood": self._likeliest(),
            "the silhouette": self.best(lambda line: line.silhouette, largest=True),
            "Xie-Beni": self.best(lambda line: line.xie_beni),
        }
        known = {name: place for name, place in found.items() if place is not None}
        single = [self.lines[known[name]].components == 1 for name in _DENSITY if name in known]
        if 2 * sum(single) > len(single):
            known = {name: place for name, place in known.items() if name in _DENSITY}
        return known

    @property
    def chosen(self) -> int | None:
        """The line that is favoured, all figures together: of the number of components that more than half of
        them favour, else that ICL does, as it asks for clusters and not for density alone; of several such
        lines the one of the least ICL."""
        favoured = self.favoured
        if "ICL" not in favoured:
            return None
        wanted, votes = Counter(self.lines[i].components for i in favoured.values()).most_common(1)[0]
        if 2 * votes <= len(favoured):
            wanted = self.lines[favoured["ICL"]].components
        alike = [i for i, line in enumerate(self.lines) if line.components == wanted and line.icl is not None]
        return min(alike, key=lambda i: self.lines[i].icl or 0.0, default=None)

    def _likeliest(self) -> int | None:
        best = self.best(lambda line: line.log_likelihood, largest=True)
        if best is None:
            return None
        near = [best]
        for i, line in enumerate(self.lines):
            lead, error = self.lead(best, i)
            if line.log_likelihood is not None and lead <= 2.0 * error:
                near.append(i)
        return min(near, key=lambda i: (self.lines[i].components, -(self.lines[i].log_likelihood or 0.0)))

    def lead(self, one: int, other: int) -> tuple[float, float]:
        """By how much the log-likelihood of a row is higher under one model than under another, and the
        standard error of that: groups of rows are compared pairwise, so what is hard for both counts for
        neither."""
        total = self.counts.sum()
        if total <= 0 or len(self.counts) < 2:
            return math.nan, math.nan
        apart = self.sums[:, one] - self.sums[:, other]
        mean = apart.sum() / total
        rest = apart - mean * self.counts
        m = len(rest)
        return float(mean), float(math.sqrt(m / (m - 1) * np.square(rest).sum()) / total)
