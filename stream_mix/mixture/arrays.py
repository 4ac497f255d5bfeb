"""The array types that every module of the mixture shares."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Floats: TypeAlias = NDArray[np.float32 | np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

LOG_2PI = float(np.log(2.0 * np.pi))


def squared_distances(x: Array, centres: Array) -> Array:
    """Squared distances (n, k) of rows x (n, d) and centres (k, d), by one matrix product about the centres'
    mean.

    >>> squared_distances(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0]]))
    array([[25., 16.]])
    """
    middle = centres.mean(axis=0)
    x, centres = x - middle, centres - middle
    squared: Array = -2.0 * (x @ centres.T)
    squared += np.square(x).sum(axis=1)[:, None]
    squared += np.square(centres).sum(axis=1)
    return np.maximum(squared, 0.0, out=squared)


def widened(values: Array, d: int, fill: float = 0.0) -> Array:
    """Values (n, c) with further columns up to d that hold `fill`.

    >>> widened(np.ones((1, 1)), 3)
    array([[1., 0., 0.]])
    """
    out = np.full((len(values), d), fill)
    out[:, : values.shape[1]] = values
    return out
