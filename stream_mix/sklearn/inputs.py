"""What users give, checked: parameters, rows, weights, event times."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from ..mixture.arrays import Array
from ..mixture.kernels import first_beyond
from ..mixture.rows import LARGEST


def integer(name: str, value: Any, least: int, otherwise: str = "") -> int:
    """The value as an int. Raises ValueError where it is none, or less than `least`; `otherwise` are words
    for what else it may be."""
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ValueError(f"{name} is {value!r}, expected an integer >= {least}{otherwise}")
    return int(value)


def number(name: str, value: Any) -> float:
    """The value as a float. Raises ValueError where it is no finite number >= 0."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0.0 <= float(value) < math.inf:
        raise ValueError(f"{name} is {value!r}, expected a finite number >= 0")
    return float(value)


def seed(random_state: Any) -> int:
    """A seed: the integer itself, or one drawn from a RandomState (None: from NumPy's global one)."""
    if isinstance(random_state, Integral) and not isinstance(random_state, bool) and int(random_state) >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def values(estimator: BaseEstimator, X: Any, *, reset: bool) -> Array:
    """X (n, d) as float64 with NaN for missing values; with `reset` its features are the estimator's from now
    on.

    Raises ValueError, in scikit-learn's words, for infinite values, wrong shapes and features that are not
    those of the fit.
    """
    if not reset and (x := plain(estimator, X)) is not None and first_beyond(x, LARGEST) < 0:
        return x
    checked: Array = validate_data(
        estimator, X, reset=reset, dtype=np.float64, order="C", ensure_all_finite="allow-nan"
    )
    return checked


_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


def plain(estimator: BaseEstimator, X: Any) -> Array | None:
    """What the checks would return for X if none of its values is infinite; None where they have to be asked.

    They take longer than learning a thousand rows does.
    """
    # NumPy has one object for each of these types; a type that is written otherwise is for the checks.
    if type(X) is not np.ndarray or not (X.dtype is _FLOAT64 or X.dtype is _FLOAT32) or X.ndim != 2:
        return None
    n, d = X.shape
    flags, known = X.flags, estimator.__dict__
    if not (n and d == known["n_features_in_"] and flags.c_contiguous and flags.aligned):
        return None
    if "feature_names_in_" in known:
        return None
    return X if X.dtype is _FLOAT64 else X.astype(np.float64)


def weights(sample_weight: Any, n: int) -> Array | None:
    """Weights (n,) >= 0 from an array or one number for all rows; None where all are alike to the learner.

    Raises ValueError for another shape, negative or infinite weights, and where there is nothing but zeros.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, sample_weight, dtype=np.float64)
    w: Array = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if w.shape != (n,):
        raise ValueError(f"sample_weight has shape {w.shape}, expected ({n},) as there are {n} rows")
    if (w < 0).any():
        i = int((w < 0).argmax())
        raise ValueError(f"Negative values in sample_weight: row {i} has {w[i]}, expected a weight >= 0")
    if not w.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return w


def times(t: Any, n: int) -> Array | None:
    """Event times (n,) in Unix seconds, from numbers or from datetime64 (NaT: none)."""
    if t is None:
        return None
    column = np.asarray(t)
    if column.dtype.kind == "M":
        missing = np.isnat(column)
        seconds = (column - np.datetime64(0, "s")) / np.timedelta64(1, "s")
        column = np.where(missing, np.nan, seconds)
    try:
        column = column.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"t holds {column.dtype} values, expected Unix seconds or datetime64") from None
    if column.shape != (n,):
        raise ValueError(f"t has shape {column.shape}, expected ({n},) as there are {n} rows")
    return column
