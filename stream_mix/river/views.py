"""What a model has learned, by the names of its features and the ids of its components."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from ..features import Features
from ..mixture import Model, parameters


class Views:
    """The part of an estimator that shows its model and changes nothing."""

    _features: Features
    _model: Model

    @property
    def feature_names(self) -> tuple[Hashable, ...]:
        """The known features, in the order of the model's columns."""
        return self._features.names

    @property
    def learned_rows(self) -> int:
        """Rows learned, without those that wait for their batch to fill."""
        return self._model.learned

    @property
    def late_rows(self) -> int:
        """Rows that were left out because they came later than `lateness` allows."""
        return self._model.late

    @property
    def weights(self) -> dict[int, float]:
        """Component -> its share of the rows remembered; even shares before any learning."""
        even = np.full(self._model.k, 1.0 / self._model.k)
        return self._by_component((even if self._model.warming else self._model.parameters.weights).tolist())

    @property
    def centers(self) -> dict[int, dict[Hashable, float]]:
        """Component -> feature -> mean, in the data's units; empty before any learning."""
        if self._model.warming:
            return {}
        names = self._observed()
        means = parameters(self._model).means[:, list(names.values())].tolist()
        return self._by_component([dict(zip(names, mean, strict=True)) for mean in means])

    @property
    def covariances(self) -> dict[int, dict[Hashable, dict[Hashable, float]]]:
        """Component -> feature -> feature -> covariance, in the data's units; empty before any learning."""
        if self._model.warming:
            return {}
        names = self._observed()
        which = np.array(list(names.values()), dtype=np.intp)
        matrices = parameters(self._model).matrices[:, which[:, None], which].tolist()
        tables = [[dict(zip(names, row, strict=True)) for row in matrix] for matrix in matrices]
        return self._by_component([dict(zip(names, table, strict=True)) for table in tables])

    def _observed(self) -> dict[Hashable, int]:
        """The features that were learned, with their columns: not those whose first row still waits."""
        known = ~np.isnan(self._model.basis.origin)
        return {name: column for column, name in enumerate(self._features.names) if known[column]}

    def _by_component(self, values: list[Any]) -> dict[int, Any]:
        return dict(zip(self._model.components, values, strict=True))
