"""Which implementation of the kernels runs: the best that the machine can, or what STREAM_MIX_KERNELS
names."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import Any, Protocol

from ..arrays import Array, Floats, Ints
from ..basis import Basis
from .answers import Filled, Sums, Told
from .natural import Natural
from .reference import Reference

VARIABLE = "STREAM_MIX_KERNELS"


class Marginals(Protocol):
    """A mixture of full or tied components for rows z (n, d) that may lack features, any of them each.

    Every answer is None where a covariance is so nearly singular that its factor has no digits left.
    """

    def posterior(self, z: Array) -> Told | None:
        """E-step of the rows."""

    def outlier(self, z: Array, log_density: Array) -> Array | None:
        """As `outliers.outlier`, (n,)."""

    def accumulate(self, z: Array, w: Array | None, known: Array | None, hard: bool) -> Filled | None:
        """As `em.batch_moments`."""


class Kernels(Protocol):
    """One implementation of the hot loops.

    Attributes:
        name: what STREAM_MIX_KERNELS calls it.
        described: the same for people.
    """

    name: str
    described: str

    def posterior(self, x: Array, natural: Natural, basis: Basis | None = None) -> Told | None:
        """E-step of rows x (n, d) of `basis`, or in its data's units where a basis is given; None where a
        value is missing."""

    def accumulate(
        self,
        x: Array,
        w: Array | None,
        natural: Natural,
        hard: bool = False,
        tell: bool = False,
        basis: Basis | None = None,
    ) -> Sums | None:
        """E-step and sums of rows x (n, d) with weights w (n,) in one visit; None where a value is
        missing."""

    def nearest_two(self, x: Array, centres: Array) -> tuple[Ints, Array, Array]:
        """The nearest of the centres (k, d) to each row of x (n, d), its squared distance (n,), and that of
        the second nearest (n,)."""

    def first_beyond(self, x: Array, most: float) -> int:
        """The first row of x (n, d) with a number further than `most` from 0, or -1; NaN is no such
        number."""

    def marginals(self, kind: str, weights: Array, means: Array, covariances: Array) -> Marginals | None:
        """What takes rows with holes for a mixture of weights (k,), means (k, d) and covariances `tied` (d,
        d) or `full` (k, d, d); None where nothing is faster than going pattern by pattern."""

    def folder(self, **choices: Any) -> Any:
        """The fold over whole batches for a family and memory that it knows; None where there is none."""

    def crc32(self, data: bytes, before: int = 0) -> int:
        """`zlib.crc32`, by other means where there are better."""

    def read_points(
        self, message: bytes, rows: int, features: int, cells: int, string: int, seq: int, value: float
    ) -> tuple[Any, ...] | None:
        """Source, seq, x (n, d), t, w and features of a frame of points within these limits, None for what it
        lacks; None where it is anything else, or has a bad row."""

    def columns(self, label: Ints, p: Floats | None, log_density: Array, outlier: Floats) -> Any:
        """What a model says of n rows, to be cut into messages of some of them; None where that is left to
        whoever asks."""


def _compiled() -> tuple[tuple[Kernels, ...], str]:
    if find_spec("._native", __package__) is None:
        return (), "not compiled: no C++ compiler, or one that failed, when stream_mix was installed"
    try:
        from . import compiled
    except ImportError as error:
        return (), f"compiled, but not to be loaded: {error}"
    return tuple(compiled.Compiled(isa) for isa in compiled.implementations()), ""


_COMPILED, WHY_NOT_COMPILED = _compiled()
_ALL: dict[str, Kernels] = {kernels.name: kernels for kernels in (*_COMPILED, Reference())}


def available() -> tuple[str, ...]:
    """Names of the implementations that this machine can run, the best first.

    >>> available()[-1]
    'reference'
    """
    return tuple(_ALL)


def named(name: str) -> Kernels:
    """The implementation of that name. Raises ValueError where this machine cannot run it."""
    if name not in _ALL:
        why = f" ({WHY_NOT_COMPILED})" if WHY_NOT_COMPILED else ""
        raise ValueError(f"{VARIABLE} is {name!r}, expected one of {', '.join(_ALL)}{why}")
    return _ALL[name]


@cache
def chosen() -> Kernels:
    """The implementation that STREAM_MIX_KERNELS named when it was asked for first, else the best."""
    return named(os.environ.get(VARIABLE) or available()[0])
