"""The Gaussian mixture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import DensityMixin
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.utils import check_random_state

from ..mixture import Prior, Spec, named_family, parameters
from ..mixture.arrays import Array, Ints
from ..mixture.batch import Fitted
from ..mixture.memories import memory_of
from . import convert, inputs
from .base import Learner, mean, view

_COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "auto")


class GaussianMixture(DensityMixin, Learner):  # type: ignore[misc]  # scikit-learn ships no types
    """A mixture of k Gaussians over d features, learned in one pass by `partial_fit` or to convergence by
    `fit`.

    Args:
        n_components: number of components, k; "auto": as many as the rows speak for, chosen anew as they
            come (`stream_mix.mixture.choosing`).
        up_to: most components where `n_components` is "auto".
        covariance_type: `full` (each its own matrix), `tied` (one matrix for all), `diag` (variances) or
            `spherical` (one variance each); `auto`: found out from how well each foretells rows
            (`stream_mix.mixture.contest`), `covariance_type_` being the one in use.
        tol: `fit` stops when a sweep changes the mean log density by less than this.
        reg_covar: added to every variance, in units of the squared scale of each feature (its variance when
            the model started), so that the units of the data do not matter; scikit-learn's is in the data's
            own squared units.
        max_iter: most sweeps of `fit`.
        random_state: seed of the start and of `sample`; None draws one from NumPy's global generator.
        batch_size: rows that `partial_fit` learns at once.
        half_life: rows after which a row counts half; None: rows count for ever; `auto`: found out from how
            well several foretell the stream.
        time_half_life: the same in seconds of event time, the `t` of `partial_fit`.
        window: only about the last `window` rows count. At most one of these three can be given, or the next
            two.
        step_exponent: steps fall as rows^-step_exponent, > 0.5 and <= 1, so that memory amounts to about
            rows^step_exponent rows: the first ones are forgotten, slowly.
        averaged: whether what is said is the average over the second half of the stream of what such steps
            left (`stream_mix.mixture.steps`); the exponent is then 0.6 unless given.
        lateness: seconds of event time by which a row of `partial_fit` may be older than the newest before
            it; one that is older still is not learned but counted, in `model_.late`.
        degrees_of_freedom: components are Student's t with so many of them (4 is usual): rows far out hardly
            move them. `covariances_` are then their scale matrices. None: components are normal.
        robust: whether a background takes rows that no component accounts for: components do not learn from
            them, and `predict` says -1, as DBSCAN does.
        prior: pseudo-rows (`stream_mix.mixture.Prior`; its own reg_covar is not used); None: one pseudo-row
            each, which keeps components with few rows sound. `MAXIMUM_LIKELIHOOD` is scikit-learn's M-step.

    Attributes:
        weights_: (k,).
        means_: (k, d).
        covariance_type_: the type of the covariances, where "auto" found it out too.
        covariances_: full (k, d, d), tied (d, d), diag (k, d), spherical (k,); precisions_ and
            precisions_cholesky_ alike.
        n_iter_: sweeps of the last `fit`; converged_: whether they were enough; lower_bounds_: mean log
            density of X before the update of each; lower_bound_: the last of them.
        model_: the model itself.

    >>> X = [[0.0], [0.2], [0.4], [9.0], [9.2], [9.4]]
    >>> mixture = GaussianMixture(n_components=2, random_state=0).partial_fit(X)
    >>> mixture.means_.round(1).ravel().tolist() in ([0.2, 9.2], [9.2, 0.2])
    True
    """

    def __init__(
        self,
        n_components: int | str = 1,
        *,
        up_to: int = 64,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        random_state: Any = None,
        batch_size: int = 256,
        half_life: float | str | None = None,
        time_half_life: float | None = None,
        window: int | None = None,
        step_exponent: float | None = None,
        averaged: bool = False,
        lateness: float | None = None,
        degrees_of_freedom: float | None = None,
        robust: bool = False,
        prior: Prior | None = None,
    ) -> None:
        self.n_components = n_components
        self.up_to = up_to
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.random_state = random_state
        self.batch_size = batch_size
        self.half_life = half_life
        self.time_half_life = time_half_life
        self.window = window
        self.step_exponent = step_exponent
        self.averaged = averaged
        self.lateness = lateness
        self.degrees_of_freedom = degrees_of_freedom
        self.robust = robust
        self.prior = prior

    def _spec(self, random_state: int) -> Spec:
        if self.covariance_type not in _COVARIANCE_TYPES:
            known = ", ".join(map(repr, _COVARIANCE_TYPES))
            raise ValueError(f"covariance_type is {self.covariance_type!r}, expected one of {known}")
        if self.prior is not None and not isinstance(self.prior, Prior):
            raise TypeError(f"prior is {self.prior!r}, expected a stream_mix.mixture.Prior or None")
        auto = isinstance(self.n_components, str) and self.n_components == "auto"
        k = 1 if auto else inputs.integer("n_components", self.n_components, 1, " or 'auto'")
        size = inputs.integer("batch_size", self.batch_size, 1)
        given = self.half_life, self.time_half_life, self.window, self.step_exponent, self.averaged
        return Spec(
            n_components=k,
            up_to=inputs.integer("up_to", self.up_to, 1) if auto else None,
            **named_family(self.covariance_type),
            memory=memory_of(*given, n_components=k, batch_size=size),
            prior=replace(self.prior or Prior(), reg_covar=inputs.number("reg_covar", self.reg_covar)),
            batch_size=size,
            random_state=random_state,
            lateness=self.lateness,
            degrees_of_freedom=self.degrees_of_freedom,
            robust=self.robust,
        )

    def _too_few(self, n: int, k: int) -> str:
        return f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {n}"

    def _learned(self, x: Array, fitted: Fitted | None, labels: Ints | None = None) -> None:
        if fitted is not None:
            self.lower_bounds_ = list(fitted.bounds)
            self.lower_bound_ = fitted.bounds[-1]

    def predict_proba(self, X: Any) -> Array:
        """Responsibility (n, k) of each component for each row."""
        responsibilities: Array = self._said(X, "p")
        return responsibilities

    def score_samples(self, X: Any) -> Array:
        """Log density (n,) of each row, over the features that were observed."""
        log_density: Array = self._said(X, "log_density")
        return log_density

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Mean log density of the rows."""
        return mean(self.score_samples(X), sample_weight)

    def bic(self, X: Any) -> float:
        """Bayesian information criterion on X, p log n - 2 log L with p free parameters; lower is better."""
        log_density = self.score_samples(X)
        return self._n_parameters() * math.log(len(log_density)) - 2.0 * float(log_density.sum())

    def aic(self, X: Any) -> float:
        """Akaike's information criterion on X, 2 p - 2 log L with p free parameters; lower is better."""
        return 2.0 * self._n_parameters() - 2.0 * float(self.score_samples(X).sum())

    def _n_parameters(self) -> int:
        return self.model_.spec.family_value.n_parameters(self.model_.k, self.model_.d)

    def sample(self, n_samples: int = 1) -> tuple[Array, Ints]:
        """Rows (n_samples, d) drawn from the mixture, ordered by their component, and that (n_samples,)."""
        found = convert.of_model(self)
        n = inputs.integer("n_samples", n_samples, 1)
        rng = check_random_state(self.random_state)
        y: Ints = np.repeat(np.arange(self.model_.k), rng.multinomial(n, found.weights / found.weights.sum()))
        noise = rng.standard_normal((n, self.model_.d))
        if (student := found.family.student) is not None:
            noise /= np.sqrt(rng.chisquare(student.degrees, (n, 1)) / student.degrees)
        if found.family.scatter == "diag":
            return found.means[y] + noise * np.sqrt(found.dense)[y], y
        root = np.linalg.cholesky(found.dense)
        for k in range(self.model_.k):
            noise[y == k] = noise[y == k] @ (root if root.ndim == 2 else root[k]).T
        return found.means[y] + noise, y

    @classmethod
    def from_sklearn(cls, fitted: SklearnMixture, rows: float = 1000.0, **params: Any) -> Self:
        """This estimator with the parameters of a fitted `sklearn.mixture.GaussianMixture`, ready to learn
        on.

        The parameters count as if learned from `rows` rows. `predict_proba` and `score_samples` agree with
        scikit-learn's to rounding because the M-step is made to give the parameters back: `prior` is
        MAXIMUM_LIKELIHOOD, as scikit-learn's is, and `reg_covar` at most 1e-6 and half the least eigenvalue
        of the covariances (in units of the mixture's own variances).

        `params` are further parameters of this class, such as `half_life`.

        >>> from sklearn.mixture import GaussianMixture as Theirs
        >>> X = np.array([[0.0], [0.3], [0.6], [5.0], [5.3], [5.6]])
        >>> theirs = Theirs(n_components=2, random_state=0).fit(X)
        >>> ours = GaussianMixture.from_sklearn(theirs, half_life=500)
        >>> bool(abs(ours.predict_proba(X) - theirs.predict_proba(X)).max() < 1e-9)
        True
        """
        return convert.from_sklearn(cls, fitted, rows, params)

    def to_sklearn(self) -> SklearnMixture:
        """A fitted `sklearn.mixture.GaussianMixture` with these parameters; it cannot take missing values.

        Raises ValueError where components are Student's t, which scikit-learn does not have.
        """
        return convert.to_sklearn(self)

    @view
    def weights_(self) -> Array:
        """Weights (k,) of the components."""
        return convert.of_model(self).weights

    @view
    def means_(self) -> Array:
        """Means (k, d)."""
        return parameters(self.model_).means

    @view
    def covariance_type_(self) -> str:
        """The type that the covariances have, whoever chose it."""
        return self.model_.spec.family

    @view
    def covariances_(self) -> Array:
        """Covariances: full (k, d, d), tied (d, d), diag (k, d), spherical (k,)."""
        return parameters(self.model_).covariances

    @view
    def precisions_(self) -> Array:
        """Inverse covariances, in the same shape."""
        return convert.precisions(self.model_.spec.family, self.precisions_cholesky_)

    @view
    def precisions_cholesky_(self) -> Array:
        """P with precision = P P', upper triangular; for diag and spherical 1 / standard deviation."""
        return convert.precisions_cholesky(self.model_.spec.family, self.covariances_)
