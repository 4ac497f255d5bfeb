"""What both estimators share: rows in, a model of the core kept, pickled small."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from ..mixture import (
    Model,
    Posterior,
    Rows,
    Spec,
    TimeHalfLife,
    flush,
    from_state,
    learn,
    merge,
    posterior,
    to_state,
)
from ..mixture.arrays import Array, Ints
from ..mixture.batch import Fitted, fit
from . import inputs


class Learner(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The part of an estimator that does not depend on whether it is a mixture or k-means.

    Attributes:
        model_: the `stream_mix.mixture.Model`, present once rows were learned.
        n_features_in_: number of features.
        feature_names_in_: names of the features where X came with names that are all strings.
    """

    model_: Model
    max_iter: int
    tol: float

    def _spec(self, random_state: int) -> Spec:
        """The parameters, checked, as the core takes them."""
        raise NotImplementedError

    def _too_few(self, n: int, k: int) -> str:
        """scikit-learn's words for n rows that are too few for k components."""
        raise NotImplementedError

    def _learned(self, x: Array, fitted: Fitted | None) -> None:
        """What else is kept after rows x (n, d) were learned, by a fit or (None) by `partial_fit`."""
        raise NotImplementedError

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None, t: Any = None) -> Self:
        """Learns the next rows of a stream, in their order, once each.

        Rows are learned in batches of `batch_size`; what is left at the end of a call is learned as a shorter
        batch. So calls with a multiple of `batch_size` rows learn the same, to the last bit, as one call with
        all of them.

        Args:
            X: rows (n, d), NaN where a value is missing.
            y: ignored.
            sample_weight: weights (n,) >= 0; rows of weight 0 are left out.
            t: event times (n,), Unix seconds or datetime64; only `time_half_life` looks at them, and needs
                them.
        """
        first = not self.__sklearn_is_fitted__()
        spec = self._spec(inputs.seed(self.random_state) if first else self.model_.spec.random_state)
        if not first:
            self._same_shape(spec)
        if t is None and isinstance(spec.memory, TimeHalfLife):
            raise ValueError("partial_fit: time_half_life needs event times: pass t, one for each row")
        x = inputs.values(self, X, reset=first)
        model = Model.new(spec, x.shape[1]) if first else replace(self.model_, spec=spec)
        model, _ = learn(model, _rows(x, sample_weight, t))
        self.model_, _ = flush(model)
        self._learned(x, None)
        return self

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Starts over and fits X (n, d) by sweeps over all rows until `tol` is met.

        The order of the rows does not matter, and a row of weight 2 is the row twice. A memory (`half_life`,
        `time_half_life`, `window`) forgets nothing here, only in `partial_fit`.

        Warns with ConvergenceWarning where `max_iter` sweeps were not enough. Raises ValueError for too few
        rows.
        """
        x = inputs.values(self, X, reset=True)
        spec = self._spec(inputs.seed(self.random_state))
        max_iter, tol = inputs.integer("max_iter", self.max_iter, 1), inputs.number("tol", self.tol)
        if len(x) < spec.n_components:
            raise ValueError(self._too_few(len(x), spec.n_components))
        fitted = fit(_rows(x, sample_weight), spec, max_iter=max_iter, tol=tol)
        if not fitted.converged:
            warnings.warn(
                f"{type(self).__name__} did not converge in {max_iter} sweeps; raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.model_ = fitted.model
        self.n_iter_ = len(fitted.bounds)
        self.converged_ = fitted.converged
        self._learned(x, fitted)
        return self

    def merge(self, other: Self) -> Self:
        """Takes in all that another estimator has learned; it stays as it is.

        Exact where both went on from one start (`stream_mix.mixture.merging`), else the components that
        differ least are joined, in this one's order; `merged_` says which, and how far apart they were.
        Raises ValueError where features, family or memory differ.
        """
        check_is_fitted(self)
        check_is_fitted(other)
        names, theirs = (getattr(one, "feature_names_in_", None) for one in (self, other))
        if names is not None and theirs is not None and not np.array_equal(names, theirs):
            raise ValueError("merge: the other estimator has features of other names, or in another order")
        self.model_, self.merged_ = merge(self.model_, other.model_)
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> Ints:
        """`fit`, then `predict` of the same rows."""
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def predict(self, X: Any) -> Ints:
        """Index (n,), from 0, of each row's likeliest component."""
        labels: Ints = self._posterior(X).p.argmax(axis=1)
        return labels

    def outlier_samples(self, X: Any) -> Array:
        """How strange each row is (n,): 0 where the density is highest, towards 1 far out.

        It is the chance that a row drawn from the mixture is likelier, over the features that were observed.
        """
        return self._posterior(X).outlier

    def _posterior(self, X: Any) -> Posterior:
        check_is_fitted(self)
        return posterior(self.model_, inputs.values(self, X, reset=False))

    def _same_shape(self, spec: Spec) -> None:
        """Refuses what cannot change while a model learns; memory, prior and batch size can."""
        for name in ("n_components", "family"):
            before, now = getattr(self.model_.spec, name), getattr(spec, name)
            if before != now:
                raise ValueError(
                    f"partial_fit: {name} was {before!r} and is now {now!r}; fit or clone starts afresh"
                )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_") and not self.model_.warming

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        # The model's own state leaves out all that it has computed and kept for speed.
        state = dict(super().__getstate__())
        return {**state, "model_": to_state(state["model_"])} if "model_" in state else state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "model_": from_state(state["model_"])} if "model_" in state else state)


def _rows(x: Array, sample_weight: Any, t: Any = None) -> Rows:
    """Checked rows without those of weight 0."""
    w, when = inputs.weights(sample_weight, len(x)), inputs.times(t, len(x))
    if w is not None and not w.all():
        kept = w > 0
        x, w, when = x[kept], w[kept], None if when is None else when[kept]
    return Rows.of(x, w, when)


def mean(per_row: Array, sample_weight: Any) -> float:
    """The mean of (n,) values, weighted where there are weights."""
    w = inputs.weights(sample_weight, len(per_row))
    return float(per_row.mean() if w is None else np.average(per_row, weights=w))


def view(compute: Callable[[Any], Any]) -> property:
    """A learned attribute, computed from the model when asked for; absent before any learning."""

    def get(self: Any) -> Any:
        check_is_fitted(self)
        return compute(self)

    return property(get, doc=compute.__doc__)
