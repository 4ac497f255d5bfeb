"""What both estimators share: rows in, a model of the core kept, pickled small."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter, is_
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from ..mixture import (
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    flush,
    from_state,
    learn,
    merge,
    posterior,
    remoteness,
    to_state,
)
from ..mixture.arrays import Array, Ints
from ..mixture.batch import Fitted, fit
from ..mixture.folders import answer
from ..mixture.following import going_on
from ..mixture.kernels import first_beyond
from ..mixture.learning import learn_whole
from ..mixture.model import NOISE
from ..mixture.rows import LARGEST, checked
from . import inputs


class Learner(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """The part of an estimator that does not depend on whether it is a mixture or k-means.

    Attributes:
        model_: the `stream_mix.mixture.Model`, present once rows were learned.
        n_features_in_: number of features.
        feature_names_in_: names of the features where X came with names that are all strings.
    """

    # The parameters that `partial_fit` found sound, and the specification that they are; None: they are to be
    # looked at.
    _checked: tuple[Spec, tuple[Any, ...]] | None = None

    model_: Model
    max_iter: int
    tol: float

    def _spec(self, random_state: int) -> Spec:
        """The parameters, checked, as the core takes them."""
        raise NotImplementedError

    def _too_few(self, n: int, k: int) -> str:
        """scikit-learn's words for n rows that are too few for k components."""
        raise NotImplementedError

    def _learned(self, x: Array, fitted: Fitted | None, labels: Ints | None = None) -> None:
        """What else is kept after rows x (n, d) were learned, by a fit or (None) by `partial_fit`: their
        labels too where those are known by then."""
        raise NotImplementedError

    def _label_at_once(self, x: Array) -> bool:
        """Whether labels of rows x (n, d) are wanted with learning them."""
        return False

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
        if sample_weight is None and t is None and self._learn_plain(X):
            return self
        first = not self.__sklearn_is_fitted__()
        spec = self._spec(inputs.seed(self.random_state) if first else self.model_.spec.random_state)
        if not first:
            self._same_shape(spec)
        if t is None and isinstance(spec.memory, TimeHalfLife):
            raise ValueError("partial_fit: time_half_life needs event times: pass t, one for each row")
        x = inputs.values(self, X, reset=first)
        if first:
            model = Model.new(spec, x.shape[1])
        else:
            known = self.model_.spec
            if spec.up_to is not None:
                spec = replace(spec, n_components=known.n_components)
            if spec.families:
                spec = replace(spec, family=known.family)
            model = self.model_ if spec == self.model_.spec else going_on(self.model_, spec)
        model, _ = learn(model, _rows(x, sample_weight, t))
        self.model_, _ = flush(model)
        timeless = not isinstance(spec.memory, TimeHalfLife)
        self._checked = (model.spec, _parameters(self)) if timeless else None
        self._learned(x, None)
        return self

    def _learn_plain(self, X: Any) -> bool:
        """Learns rows where all is as it was in the call before, which checked it, and they are an array that
        needs no change; False, and nothing is learned, where that is not so."""
        if (known := self._checked) is None:
            return False
        model, (spec, before) = self.model_, known
        if model.spec is not spec or not all(map(is_, before, _parameters(self))):
            return False
        if (x := inputs.plain(self, X)) is None:
            return False
        model, done, labels = learn_whole(model, x, label=self._label_at_once(x))
        if not done or (done < len(x) and first_beyond(x[done:], LARGEST) >= 0):
            return False
        if done < len(x):
            model, _ = learn(model, Rows.of(x[done:]))
            model, _ = flush(model)
        self.model_ = model
        self._learned(x, None, labels)
        return True

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
        """Index (n,), from 0, of each row's likeliest component; -1 for noise, where `robust`."""
        labels: Ints = self._said(X, "label")
        return labels

    def outlier_samples(self, X: Any) -> Array:
        """How strange each row is (n,): 0 where the density is highest, towards 1 far out.

        It is the chance that a row drawn from the mixture is likelier, over the features that were observed.
        """
        outlier: Array = self._said(X, "outlier")
        return outlier

    def remoteness_samples(self, X: Any) -> Array:
        """How far each row is (n,) from every component that counts, from 0 on; for ranking
        (`stream_mix.mixture.remoteness`)."""
        self._expect_fitted()
        return remoteness(self.model_, checked(inputs.values(self, X, reset=False)))

    def _said(self, X: Any, name: str) -> Any:
        """What the model says of X: the answer of `posterior` by that name, labels as indices."""
        self._expect_fitted()
        model, x = self.model_, inputs.plain(self, X)
        if x is None or first_beyond(x, LARGEST) >= 0:
            x = checked(inputs.values(self, X, reset=False))
        robust = model.spec.robust
        if not robust and (found := answer(model.spec, model.moments, x, name)) is not None:
            return found
        found = posterior(model, x)
        if name != "label":
            return getattr(found, name)
        label = found.p.argmax(axis=1)
        return np.where(found.label == NOISE, NOISE, label) if robust else label

    def _expect_fitted(self) -> None:
        """Raises NotFittedError, in scikit-learn's words, before any learning."""
        if not self.__sklearn_is_fitted__():
            check_is_fitted(self)

    def _same_shape(self, spec: Spec) -> None:
        """Refuses what cannot change while a model learns; memory, prior and batch size can."""
        known = self.model_.spec.asked
        for name in ("n_components", "up_to", "families", "family"):
            before, now = getattr(known, name), getattr(spec, name)
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
        state.pop("_checked", None)
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


def _parameters(estimator: Learner) -> tuple[Any, ...]:
    """All of an estimator's parameters, none of which changes but by being set anew."""
    kind = type(estimator)
    get = _GETTERS.get(kind) or _GETTERS.setdefault(kind, attrgetter(*kind._get_param_names()))
    return get(estimator)


_GETTERS: dict[type[Learner], Callable[[Any], tuple[Any, ...]]] = {}


def mean(per_row: Array, sample_weight: Any) -> float:
    """The mean of (n,) values, weighted where there are weights."""
    w = inputs.weights(sample_weight, len(per_row))
    return float(per_row.mean() if w is None else np.average(per_row, weights=w))


def view(compute: Callable[[Any], Any]) -> property:
    """A learned attribute, computed from the model when asked for; absent before any learning."""

    def get(self: Any) -> Any:
        self._expect_fitted()
        return compute(self)

    return property(get, doc=compute.__doc__)
