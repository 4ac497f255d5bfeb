"""What the three estimators share: named features in front, a `mixture.Model` behind.

A model of `stream_mix.mixture` knows columns, not names, and takes rows, not dicts. This class keeps the two
in step: a feature becomes a column with its first value, and all that a call learns is taken over at once or
not at all.

Where it can, the model is live (`mixture.live`): compiled code reads a dict, learns and answers by itself.
What it leaves, a new feature or a value of an odd type, comes back here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from river import base

from ..features import Features
from ..mixture import (
    Merged,
    Model,
    Posterior,
    Prior,
    Rows,
    Spec,
    expand,
    from_state,
    learn,
    merge,
    named_family,
    to_state,
)
from ..mixture import posterior as model_posterior
from ..mixture.arranging import arranged
from ..mixture.arrays import Array
from ..mixture.lateness import check_lateness, on_time
from ..mixture.live import Live, goes_live, live_of, model_of
from ..mixture.memories import memory_of
from .beside import along, unix_seconds, weight
from .checks import whole
from .frames import Table, read_frame
from .views import Views


class Learner(Views, base.Estimator):
    """The learning half of an estimator: a subclass sets its parameters as attributes and calls `_begin`."""

    half_life: float | str | None
    time_half_life: float | None
    window: int | None
    step_exponent: float | None
    averaged: bool
    batch_size: int
    time_feature: Hashable | None
    weight_feature: Hashable | None
    lateness: float | None
    degrees_of_freedom: float | None = None
    robust: bool = False
    seed: int | None

    def _begin(self, n_components: int, family: str, prior: Prior, up_to: int | None = None) -> None:
        """An empty model. Raises ValueError for parameters that make no sense."""
        if self.time_feature is not None and self.time_feature == self.weight_feature:
            raise ValueError(f"time_feature and weight_feature are both {self.time_feature!r}, expected two")
        # Without a seed every instance draws its own, as River's estimators do.
        drawn = int(np.random.default_rng().integers(1 << 62))
        size = whole("batch_size", self.batch_size, 1)
        given = self.half_life, self.time_half_life, self.window, self.step_exponent, self.averaged
        spec = Spec(
            n_components=n_components,
            up_to=up_to,
            **named_family(family),
            memory=memory_of(*given, n_components=n_components, batch_size=size),
            prior=prior,
            batch_size=size,
            random_state=drawn if self.seed is None else whole("seed", self.seed, 0),
            lateness=None if self.lateness is None else check_lateness(self.lateness),
            degrees_of_freedom=self.degrees_of_freedom,
            robust=self.robust,
        )
        self._beside = frozenset({self.time_feature, self.weight_feature} - {None})
        self._features = Features()
        self._model = Model.new(spec, 0)

    # `_held` is the model as it went live, or was last asked for; `_live` what it has become since.
    _held: Model
    _live: Live | None

    @property
    def _model(self) -> Model:
        """The model as it stands, a frozen record."""
        if self._live is not None and self._live.generation != self._held.generation:
            self._held = model_of(self._live, self._held)
        return self._held

    @_model.setter
    def _model(self, model: Model) -> None:
        self._held = model
        self._live = live_of(model, self._features.names, self.weight_feature, self.time_feature)

    @property
    def _supervised(self) -> bool:
        return False

    def __getstate__(self) -> dict[str, Any]:
        # What can be computed from the statistics stays behind, so a pickle holds only what was learned.
        state = {**self.__dict__, "_model": to_state(self._model), "_features": self._features.names}
        del state["_held"], state["_live"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        model = from_state(state.pop("_model"))
        self.__dict__.update(state)
        self._features = Features(state["_features"])
        self._model = model

    # Learning

    def learn_one(self, x: dict[Hashable, Any], w: float = 1.0, t: Any = None) -> None:
        """Learns one row: features x, weight w > 0, event time t (Unix seconds or a datetime).

        New features are added; absent ones, None and NaN are missing. A row without any value teaches
        nothing and is not counted. Raises ValueError where a value is not a number, naming the feature;
        nothing is learned then.
        """
        live = self._live
        if live is None or not live.learn_one(x, w, t):
            self._learn_named(x, w, t)

    def _learn_named(self, x: dict[Hashable, Any], w: float, t: Any) -> None:
        """`learn_one` for any row that there is."""
        features, row = self._features.learned(self._named(x))
        mass = 1.0 if w == 1.0 else weight(w, "w")
        if self.weight_feature is not None:
            mass *= weight(x.get(self.weight_feature), f"weight {self.weight_feature!r}")
        if t is not None:
            t = unix_seconds(t, "t")
        elif self.time_feature is not None:
            t = unix_seconds(x.get(self.time_feature), f"event time {self.time_feature!r}")
        else:
            t = self._no_time()
        if not row.size or (math.isnan(row[0]) and np.isnan(row).all()):
            return
        self._learn(features, Rows(row[None], np.array([mass]), np.array([t])))

    def learn_many(self, X: Any, w: Any = None, t: Any = None) -> None:
        """Learns the rows of a data frame, in their order: to the last bit the same as `learn_one` for each.

        X is an eager frame of any backend that narwhals knows; w and t are series, arrays, lists or one
        value for all rows. Raises ValueError, naming feature and row, where a value is not a number; nothing
        is learned then.
        """
        table = read_frame(X, self._beside)
        mass, times = self._weights(table, w), self._times(table, t)
        some = ~np.isnan(table.values).all(axis=1)
        given = Rows(table.values[some], mass[some], times[some])
        before = self._features, self._model
        try:
            # A feature that only late rows have is not learned from them, nor named.
            given = given if self.lateness is None else self._on_time(given)
            for features, part in _pieces(self._features, table.names, given.x):
                rows = Rows(features.matrix(table.names, given.x[part]), given.w[part], given.t[part])
                self._learn(features, rows)
        except BaseException:
            self._features, self._model = before
            raise

    def _learn(self, features: Features, rows: Rows) -> None:
        """Learns rows of these features in their order: live as far as that goes, and what it leaves by
        `learn`.

        A live model goes on from single rows only, so which way a row takes does not depend on how rows are
        grouped.
        """
        if self._held.spec.lateness is not None:
            rows = self._on_time(rows)
        live = self._live if features is self._features else None
        by_row = goes_live(self._held.spec)
        done = 0
        while True:
            if live is not None:
                done += live.learn_rows(rows.x[done:], rows.w[done:], rows.t[done:])
            if done == len(rows):
                return
            part = rows[done : done + 1] if by_row else rows[done:]
            model, _ = learn(expand(self._model, len(features)), part)
            self._features, self._model = features, model
            live = self._live
            done += len(part)

    def _on_time(self, rows: Rows) -> Rows:
        """The rows that are not late; the others are counted."""
        held, live = self._held, self._live
        now = held if live is None else replace(held, t=live.t)
        after, rows = on_time(now, rows)
        self._held = replace(held, late=after.late)
        return rows

    def _named(self, x: Mapping[Hashable, Any]) -> Mapping[Hashable, Any]:
        """The features of x without weight and event time."""
        if not isinstance(x, Mapping):
            raise TypeError(f"x is a {type(x).__name__}, expected a dict of feature names and values")
        return {name: value for name, value in x.items() if name not in self._beside} if self._beside else x

    def _weights(self, table: Table, w: Any) -> Array:
        mass = np.ones(len(table)) if w is None else along(w, len(table), "w", weight)
        column = None if self.weight_feature is None else table.column(self.weight_feature)
        if column is not None:
            mass = mass * along(column, len(table), f"weight {self.weight_feature!r}", weight)
        return mass

    def _times(self, table: Table, t: Any) -> Array:
        if t is not None:
            return along(t, len(table), "t", unix_seconds)
        if self.time_feature is None:
            return np.full(len(table), self._no_time())
        column = table.column(self.time_feature)
        if column is None:
            return np.full(len(table), np.nan)
        return along(column, len(table), f"event time {self.time_feature!r}", unix_seconds)

    def _no_time(self) -> float:
        """NaN; raises ValueError where the memory is one of event time, which would then never forget."""
        if self.time_half_life is not None:
            raise ValueError("time_half_life needs event times: pass t, or name a feature as time_feature")
        return math.nan

    def merge(self, other: Self) -> Merged:
        """Takes in all that another estimator of the same kind has learned, features by name; it stays as it
        is.

        Exact where both went on from one start (`mixture.merging`), else the components that differ least are
        joined, under the ids of this one. Returns what was matched and how far apart it was. Raises
        ValueError where family or memory differ; nothing is merged then.
        """
        if not isinstance(other, Learner):
            raise TypeError(f"merge: the other is a {type(other).__name__}, expected a {type(self).__name__}")
        features = self._features.plus(other._features.names)
        theirs = expand(other._model, len(features))
        known = other._features.columns
        new = iter(range(len(known), len(features)))
        columns = [known[name] if name in known else next(new) for name in features.names]
        ours = expand(self._model, len(features))
        model, merged = merge(ours, arranged(theirs, np.array(columns, dtype=np.int64)))
        self._features, self._model = features, model
        return merged

    # Answers

    def _posterior(self, x: dict[Hashable, Any]) -> Posterior:
        return model_posterior(self._model, self._features.row(self._named(x))[None])

    def _posterior_of(self, table: Table) -> Posterior:
        return model_posterior(self._model, self._features.matrix(table.names, table.values))

    @property
    def model(self) -> Model:
        """The model as it stands, a frozen record; `stream_mix.mixture` has what can be asked of it."""
        return self._model


def _pieces(known: Features, names: tuple[Hashable, ...], values: Array) -> Iterator[tuple[Features, slice]]:
    """Cuts rows (n, c) where a feature has its first value: there, learning row by row would add it."""
    present = ~np.isnan(values)
    first = {name: int(present[:, i].argmax()) for i, name in enumerate(names) if present[:, i].any()}
    first = {name: row for name, row in first.items() if name not in known.columns}
    if not len(values):
        return
    starts = sorted({0, *first.values()})
    for start, stop in zip(starts, [*starts[1:], len(values)], strict=True):
        known = known.plus(name for name, row in first.items() if row == start)
        yield known, slice(start, stop)
