"""The part that an assignment, and an answer to predict or score, have in common on the wire."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ProtocolError
from ..messages import Prediction, RowId
from .wire import Map, integers, natural, text, vector, wrong

_F8, _F4, _I8 = np.dtype("<f8"), np.dtype("<f4"), np.dtype("<i8")


def as_bin(array: npt.NDArray[Any], dtype: np.dtype[Any] = _F8) -> bytes:
    """Return the elements, row-major, as `dtype`."""
    return np.asarray(array, dtype).tobytes()


def put_prediction(message: Map, said: Prediction) -> None:
    """Add the fields of a prediction to a message."""
    message["offset"] = said.offset
    message["n"] = len(said.label)
    message["generation"] = said.generation
    message["components"] = said.components
    message["label"] = as_bin(said.label, _I8)
    if said.p is not None:
        message["p"] = as_bin(said.p, _F4)
    message["log_density"] = as_bin(said.log_density)
    message["outlier"] = as_bin(said.outlier, _F4)
    if said.id is not None:
        message["id"] = said.id
    if said.refused:
        message["refused"] = said.refused


def take_prediction(message: Map) -> Map:
    """Return the fields of a prediction as keyword arguments of its record; raises ProtocolError."""
    n = natural(message, "n")
    components = integers(message, "components")
    k = len(components)
    p = vector(message, "p", _F4, n * k).reshape(n, k) if "p" in message else None
    return {
        "model": text(message, "model"),
        "offset": natural(message, "offset"),
        "generation": natural(message, "generation"),
        "components": components,
        "label": vector(message, "label", _I8, n),
        "p": p,
        "log_density": vector(message, "log_density", _F8, n),
        "outlier": vector(message, "outlier", _F4, n),
        "id": _ids(message, n),
        "refused": refused_rows(message),
    }


def log_density(message: Map) -> npt.NDArray[np.float64]:
    """Return the (n,) log densities of an answer to score."""
    return vector(message, "log_density", _F8, natural(message, "n"))


def refused_rows(message: Map) -> tuple[int, ...]:
    """Return the indices of refused rows, none where the key is left out."""
    return integers(message, "refused") if "refused" in message else ()


def _ids(message: Map, n: int) -> tuple[RowId, ...] | None:
    value = message.get("id")
    if value is None:
        return None
    if type(value) is not list or not {str, int, type(None)}.issuperset(map(type, value)):
        raise wrong("id", "an array of strings, integers and nil", value)
    if len(value) != n:
        raise ProtocolError("shape", f"id: expected {n} items, got {len(value)}")
    return tuple(value)
