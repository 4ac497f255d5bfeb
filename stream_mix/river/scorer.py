"""The Gaussian mixture as a River anomaly detector."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from river import base

from ..mixture import Model, posterior, remoteness
from ..mixture.arrays import Array
from .checks import components_of, covariance_family, prior_of
from .frames import read_frame
from .learner import Learner

_SCORES: Mapping[str, Callable[[Model, Array], Array]] = MappingProxyType(
    {
        "tail_probability": lambda model, x: posterior(model, x).outlier,
        "log_density": lambda model, x: 0.0 - posterior(model, x).log_density,
        "remoteness": remoteness,
    }
)

_LIVE: Mapping[str, str] = MappingProxyType(
    {"tail_probability": "tail_one", "log_density": "strangeness_one", "remoteness": "remoteness_one"}
)
"""What a live model calls them."""

_ROWS_EACH = 10
"""Rows learned for each component before which no tail probability is told. To components of a row or two
nearly every other one is strange, and a filter that keeps strange rows from its detector, as River's do,
would never let it learn more than those."""


class GaussianMixtureScorer(Learner, base.AnomalyDetector):
    """Anomaly detection in a stream by a mixture of Gaussians: how far out is a row, higher being stranger.

    `tail_probability` is the chance that a row drawn from the mixture is likelier: 0 where the density is
    highest, 1 as strange as can be, 0 until ten rows were learned for each component. Since it is 1.0 for all
    rows far out, it cannot rank them; `log_density`, the negative logarithm of the density in the data's
    units, can, and is not bounded. `remoteness` can, too, and serves best where anomalies come in numbers and
    are learned like all other rows: it looks past components that they have won (`mixture.remoteness`).
    Everything else is as in `GaussianMixture`.

    Parameters
    ----------
    n_components
        Number of components, k; "auto": as many as the rows speak for, chosen anew as they come.
    covariance_type
        `full`, `tied`, `diag` or `spherical`; `auto`: found out from how well each foretells the stream.
    up_to
        Most components where `n_components` is "auto".
    score
        `tail_probability`, `log_density` or `remoteness`.
    half_life
        Rows after which a row counts half; `auto`: found out from how well several foretell the stream.
    time_half_life
        Seconds of event time after which a row counts half.
    window
        Rows that are remembered, and none before them.
    step_exponent
        Steps fall as rows^-step_exponent, > 0.5 and <= 1, so that memory amounts to about
        rows^step_exponent rows: the first ones are forgotten, slowly.
    averaged
        Whether what is said is the average over the second half of the stream of what such steps left; the
        exponent is then 0.6 unless given.
    batch_size
        Rows that are learned at once; with more than 1, rows wait until their batch is full. One by one is
        fastest here: compiled code reads the dicts.
    time_feature
        Name of a feature that is the event time: Unix seconds, or a datetime (read as UTC if it has no time
        zone).
    weight_feature
        Name of a feature that is the weight, > 0.
    lateness
        Seconds of event time by which a row may be older than the newest before it; one that is older still
        is not learned but counted, in `late_rows`.
    degrees_of_freedom
        Components are Student's t with so many of them (4 is usual): rows far out hardly move them. None:
        components are normal.
    robust
        Whether a background takes rows that no component accounts for: components do not learn from them.
    reg_covar
        Added to every variance, in units of the squared scale of its feature.
    seed
        Seed of the start. None draws another one for each instance.

    Examples
    --------
    >>> from river import datasets
    >>> from stream_mix.river import GaussianMixtureScorer

    >>> model = GaussianMixtureScorer(n_components=2, seed=42)
    >>> for x, _ in datasets.Bananas().take(600):
    ...     model.learn_one(x)
    >>> model.score_one({"1": 0.0, "2": 0.0}) < 0.9 < model.score_one({"1": 9.0, "2": -9.0})
    True
    """

    def __init__(
        self,
        n_components: int | str = 5,
        covariance_type: str = "full",
        *,
        up_to: int = 64,
        score: str = "tail_probability",
        half_life: float | str | None = None,
        time_half_life: float | None = None,
        window: int | None = None,
        step_exponent: float | None = None,
        averaged: bool = False,
        batch_size: int = 1,
        time_feature: Hashable | None = None,
        weight_feature: Hashable | None = None,
        lateness: float | None = None,
        degrees_of_freedom: float | None = None,
        robust: bool = False,
        reg_covar: float = 1e-6,
        seed: int | None = None,
    ) -> None:
        if score not in _SCORES:
            raise ValueError(f"score is {score!r}, expected one of {', '.join(map(repr, _SCORES))}")
        self.n_components = n_components
        self.up_to = up_to
        self.covariance_type = covariance_type
        self.score = score
        self.half_life = half_life
        self.time_half_life = time_half_life
        self.window = window
        self.step_exponent = step_exponent
        self.averaged = averaged
        self.batch_size = batch_size
        self.time_feature = time_feature
        self.weight_feature = weight_feature
        self.lateness = lateness
        self.degrees_of_freedom = degrees_of_freedom
        self.robust = robust
        self.reg_covar = reg_covar
        self.seed = seed
        k, most = components_of(n_components, up_to)
        self._begin(k, covariance_family(covariance_type), prior_of(reg_covar), most)

    # Kept, since to ask takes as long as to answer; it can be found out, and so is no part of the state.
    _ripe = False

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_ripe", None)
        return state

    @property
    def _unripe(self) -> bool:
        """Whether it is too early to tell a tail probability."""
        if self._ripe or self.score != "tail_probability":
            return False
        source = self._held if self._live is None else self._live
        self._ripe = source.learned >= _ROWS_EACH * self._held.k
        return not self._ripe

    def score_one(self, x: dict[Hashable, Any], t: Any = None) -> float:
        """How strange features x are to what was learned so far.

        Unknown features are left out, absent ones count as missing; a row with nothing known scores 0. `t`
        is taken because `evaluate` hands every extra of a row to it; the score does not depend on it. Raises
        ValueError where a value is not a number.
        """
        unripe = self._unripe
        live = None if unripe else self._live
        if live is not None:
            score: float | None = getattr(live, _LIVE[self.score])(x)
            if score is not None:
                return score
        row = self._features.row(self._named(x))[None]
        return 0.0 if unripe else float(_SCORES[self.score](self._model, row)[0])

    def score_many(self, X: Any) -> Any:
        """`score_one` for each row of a data frame, as a series of the same backend and index."""
        table = read_frame(X, self._beside)
        rows = self._features.matrix(table.names, table.values)
        scores = np.zeros(len(rows)) if self._unripe else _SCORES[self.score](self._model, rows)
        return table.series(scores, "score")

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"n_components": 3}
        yield {"n_components": 2, "score": "log_density"}
        yield {"n_components": 2, "score": "remoteness"}
