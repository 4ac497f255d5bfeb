# The extension module; see native/module.cpp.
from collections.abc import Hashable
from typing import Any, TypeAlias

from ..arrays import Array, Floats, Ints

Lists: TypeAlias = tuple[Ints, Ints, Ints, float]

def implementations() -> list[str]: ...
def first_beyond(isa: str, x: Array, most: float) -> int: ...

def crc32(data: bytes, before: int = 0) -> int: ...
def read_points(
    message: bytes, rows: int, features: int, cells: int, string: int, seq: int, value: float
) -> tuple[Any, ...] | None: ...

class Columns:
    def __init__(self, label: Ints, p: Floats | None, log_density: Array, outlier: Floats) -> None: ...
    def message(self, head: bytes, first: int, last: int, tail: bytes) -> bytes: ...

class Mixture:
    def __init__(
        self,
        *,
        isa: str,
        scores: str,
        second: str,
        origin: Array,
        inverse_scale: Array,
        centre: Array,
        theta: Array,
        whiten: Array,
        precision: float,
        peak: Array,
        holes: bool,
    ) -> None: ...
    def label(self, x: Array, threads: int) -> Ints | None: ...
    def nearest_two(self, x: Array, threads: int) -> tuple[Ints, Array, Array]: ...
    def posterior(self, x: Array, lists: Lists | None, threads: int) -> tuple[Any, ...] | None: ...
    def accumulate(
        self, x: Array, w: Array | None, hard: bool, tell: bool, lists: Lists | None, threads: int
    ) -> tuple[Any, ...] | None: ...

class Folder:
    def __init__(
        self,
        *,
        isa: str,
        family: str,
        hard: bool,
        memory: str,
        half_life: float,
        prior: tuple[float, float, float, float],
        batch_size: int,
        k: int,
        d: int,
    ) -> None: ...
    def learn(self, *state_and_rows: Any) -> tuple[Any, ...]: ...

class Live:
    def __init__(
        self,
        isa: str,
        family: str,
        hard: bool,
        memory: str,
        half_life: float,
        weight: float,
        covariance: float,
        correlation: float,
        reg_covar: float,
        mass: Array,
        seen: Array,
        mean: Array,
        scatter: Array,
        origin: Array,
        scale: Array,
        t: float,
        density: float,
        weights: float,
        generation: int,
        learned: int,
        rows: int,
        next_start: int,
        components: tuple[int, ...],
        names: tuple[Hashable, ...] | None,
        weight_name: Hashable | None,
        time_name: Hashable | None,
    ) -> None: ...
    # A row as a dict. False or None: not to be done here; nothing is changed then.
    def learn_one(self, x: object, w: object, t: object, /) -> bool: ...
    def predict_one(self, x: object, /) -> int | None: ...
    def predict_proba_one(self, x: object, /) -> dict[int, float] | None: ...
    def tail_one(self, x: object, /) -> float | None: ...
    def strangeness_one(self, x: object, /) -> float | None: ...
    def __deepcopy__(self, memo: object) -> Live: ...
    # How many of the rows (n, d) were learned, from the first on.
    def learn_rows(self, x: Array, w: Array, t: Array) -> int: ...
    def moments(self) -> tuple[Array, Array, Array, Array]: ...
    def take_reservoir(self) -> Array: ...
    @property
    def origin(self) -> Array: ...
    @property
    def scale(self) -> Array: ...
    @property
    def rows(self) -> int: ...
    @property
    def generation(self) -> int: ...
    @property
    def learned(self) -> int: ...
    @property
    def t(self) -> float: ...
    @property
    def evidence(self) -> tuple[float, float]: ...
