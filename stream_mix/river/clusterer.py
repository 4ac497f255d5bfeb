"""What River asks of a clusterer, and the same for data frames."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from river import base

from .frames import read_frame
from .learner import Learner


class Clusterer(Learner, base.Clusterer):
    """The answering half of `GaussianMixture` and `KMeans`.

    Prediction takes `t` because `evaluate` hands every extra of a row to it; no answer depends on it.
    """

    def predict_one(self, x: dict[Hashable, Any], t: Any = None) -> int:
        """The id of the likeliest component for features x; the first one before any learning;
        -1 for a row that is noise to a `robust` mixture.

        Unknown features are left out, absent ones count as missing; with none left, the heaviest component is
        likeliest. Raises ValueError where a value is not a number.
        """
        live = self._live
        if live is not None and (component := live.predict_one(x)) is not None:
            return component
        found = self._posterior(x)
        if self.robust and not self._model.warming:
            return int(found.label[0])
        return self._model.components[int(found.p[0].argmax())]

    def predict_proba_one(self, x: dict[Hashable, Any], t: Any = None) -> dict[int, float]:
        """Component -> probability that a row with features x came from it; even before any learning."""
        live = self._live
        if live is not None and (p := live.predict_proba_one(x)) is not None:
            return p
        return self._by_component(self._posterior(x).p[0].tolist())

    def predict_many(self, X: Any) -> Any:
        """`predict_one` for each row of a data frame, as a series of the same backend and index."""
        table = read_frame(X, self._beside)
        ids = np.array(self._model.components, dtype=np.int64)
        found = self._posterior_of(table)
        noted = self.robust and not self._model.warming
        return table.series(found.label if noted else ids[found.p.argmax(axis=1)], "component")

    def predict_proba_many(self, X: Any) -> Any:
        """`predict_proba_one` for each row of a data frame: a column a component, same backend and index.

        Columns are called by their ids; backends whose names must be strings get those ids as strings.
        """
        table = read_frame(X, self._beside)
        return table.columns(self._posterior_of(table).p, self._model.components)
