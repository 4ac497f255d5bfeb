"""The Gaussian mixture as a River clusterer."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

from .checks import components_of, covariance_family, prior_of
from .clusterer import Clusterer


class GaussianMixture(Clusterer):
    """Soft clustering of a stream by a mixture of Gaussians, learned in one pass.

    The first rows (500, or 100 a component where that is more) are also kept, and the mixture starts afresh
    from them each time their number has doubled; from then on a row costs one step of online EM (Cappé &
    Moulines 2009) and memory stays as it is. Components keep their ids. Without a memory parameter every row
    counts the same for ever; at most one of `half_life`, `time_half_life` and `window` may be given, or
    `step_exponent` and `averaged`.

    A River pipeline drops `w` and `t` before an unsupervised last step. There, let weight and time travel as
    features, past the scaler: `weight_feature` and `time_feature` name them, and they are not clustered.

    Parameters
    ----------
    n_components
        Number of components, k; "auto": as many as the rows speak for, chosen anew as they come.
    covariance_type
        `full`, `tied`, `diag` or `spherical`; `auto`: found out from how well each foretells the stream.
    up_to
        Most components where `n_components` is "auto".
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
        Rows that are learned at once. With 1 what was learned shows in the next prediction; with more, rows
        wait until their batch is full, however they come in.
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
        Whether a background takes rows that no component accounts for: components do not learn from
        them, and `predict_one` says -1.
    reg_covar
        Added to every variance, in units of the squared scale of its feature.
    seed
        Seed of the start. None draws another one for each instance.

    Examples
    --------
    >>> from river import compose, datasets, metrics, preprocessing
    >>> from stream_mix.river import GaussianMixture

    >>> model = preprocessing.StandardScaler() | GaussianMixture(n_components=3, seed=42)
    >>> for x, _ in datasets.ImageSegments().take(600):
    ...     model.learn_one(x)
    >>> p = model.predict_proba_one(x)
    >>> max(p, key=p.get) == model.predict_one(x), round(sum(p.values()), 9)
    (True, 1.0)

    The time travels beside the scaled features, and old rows fade:

    >>> scaled = compose.Discard("t") | preprocessing.StandardScaler()
    >>> model = (scaled + compose.Select("t")) | GaussianMixture(
    ...     n_components=2, time_feature="t", time_half_life=60, seed=42
    ... )
    >>> for second in range(300):
    ...     model.learn_one({"t": second, "level": second % 2})
    >>> model["GaussianMixture"].feature_names
    ('level',)
    """

    def __init__(
        self,
        n_components: int | str = 5,
        covariance_type: str = "full",
        *,
        up_to: int = 64,
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
        self.n_components = n_components
        self.up_to = up_to
        self.covariance_type = covariance_type
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

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"n_components": 3}
        yield {"n_components": 2, "covariance_type": "diag", "half_life": 100.0}
