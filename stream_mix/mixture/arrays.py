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


def widened(values: Array, d: int, fill: float = 0.0) -> Array:
    """Values (n, c) with further columns up to d that hold `fill`.

    >>> widened(np.ones((1, 1)), 3)
    array([[1., 0., 0.]])
    """
    out = np.full((len(values), d), fill)
    out[:, : values.shape[1]] = values
    return out
