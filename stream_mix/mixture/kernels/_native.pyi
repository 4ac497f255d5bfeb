# The extension module; see native/module.cpp.
from collections.abc import Hashable
from typing import Any

from ..arrays import Array, Floats, Ints

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
    def density(self, x: Array, threads: int) -> Array | None: ...
    def nearest_two(self, x: Array, threads: int) -> tuple[Ints, Array, Array]: ...
    def posterior(self, x: Array, threads: int) -> tuple[Any, ...] | None: ...
    def accumulate(
        self, x: Array, w: Array | None, hard: bool, tell: bool, threads: int
    ) -> tuple[Any, ...] | None: ...

class Folded:
    def moments(self) -> tuple[Array, Array, Array, Array]: ...

class Marginals:
    def __init__(self, *, isa: str, kind: str, weights: Array, means: Array, covariances: Array) -> None: ...
    def posterior(self, x: Array, threads: int) -> tuple[Any, ...] | None: ...
    def outlier(self, x: Array, log_density: Array, threads: int) -> Array | None: ...
    def accumulate(
        self, x: Array, w: Array | None, known: Array | None, hard: bool, threads: int
    ) -> tuple[Any, ...] | None: ...

class Lists:
    @property
    def share(self) -> float: ...
    def members(self, leaf: int) -> list[int]: ...

class Leaves:
    def __init__(
        self,
        *,
        isa: str,
        second: str,
        round: bool,
        origin: Array,
        inverse_scale: Array,
        centre: Array,
        means: Array,
        whiten: Array,
        weights: Array,
        peak: Array,
        reaches: list[float],
        threads: int,
    ) -> None: ...
    def centres(self) -> Array: ...
    def lists(self, reach: int) -> Lists: ...
    def density(
        self, lists: Lists | None, x: Array, reach: float, threads: int
    ) -> tuple[Array, int, int] | None: ...
    def accumulate(
        self, lists: Lists, x: Array, w: Array | None, hard: bool, reach: float, pairs: float, threads: int
    ) -> tuple[Array, Array, Array, Array, Ints] | None: ...

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
        watch: bool,
        k: int,
        d: int,
    ) -> None: ...
    def folded(
        self, mass: Array, seen: Array, mean: Array, scatter: Array, origin: Array, scale: Array
    ) -> Folded: ...
    # Responsibilities, labels, log densities and outlier scores, those that are not asked for None.
    def judge(
        self, folded: Folded, x: Array, p: bool, label: bool, log_density: bool, outlier: bool, threads: int
    ) -> tuple[Any, ...] | None: ...
    # Moments, batches, rows, newest time, evidence, sum of log densities, what was said of the rows before,
    # and the labels after.
    def learn(
        self,
        folded: Folded,
        t: float,
        evidence: float,
        counted: float,
        x: Array,
        w: Array | None,
        times: Array | None,
        largest: float,
        most: int,
        rest: bool,
        tell: bool,
        label: bool,
        outweighing: float,
        threads: int,
    ) -> tuple[Any, ...] | None: ...
    # The same of several memories side by side: records and their rows, a Choice, the rows learned at each
    # drift, and what `learn` gives of the rest.
    def learn_beside(
        self,
        records: list[Folded],
        half_lives: list[float],
        rows: list[int],
        extra: int,
        settling: int,
        chosen: int,
        evidence: list[float],
        drifted: bool,
        same_until: int,
        weighed: tuple[float, float],
        learned: int,
        generation: int,
        t: float,
        density: float,
        counted: float,
        x: Array,
        w: Array | None,
        times: Array | None,
        largest: float,
        most: int,
        rest: bool,
        tell: bool,
        threads: int,
    ) -> tuple[Any, ...] | None: ...

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
        outweighing: float,
        due: Ints,
        guarded: bool,
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
    def remoteness_one(self, x: object, /) -> float | None: ...
    def strangeness_one(self, x: object, /) -> float | None: ...
    def __deepcopy__(self, memo: object) -> Live: ...
    # How many of the rows (n, d) were learned, from the first on.
    def learn_rows(self, x: Array, w: Array, t: Array) -> int: ...
    def moments(self) -> tuple[Array, Array, Array, Array]: ...
    # Memories side by side: of each its name, half-life, moments and number of rows.
    def put_beside(
        self,
        records: list[tuple[str, float, Array, Array, Array, Array, int]],
        extra: int,
        chosen: int,
        evidence: list[float],
        drifted: bool,
        same_until: int,
        weighed: tuple[float, float],
        settling: int,
    ) -> None: ...
    # Moments and rows of each, which is in use, what speaks for the others, and the rest of a Choice.
    def choice(
        self,
    ) -> (
        tuple[
            list[tuple[tuple[Array, Array, Array, Array], int]],
            int,
            tuple[float, ...],
            bool,
            int,
            tuple[float, float],
        ]
        | None
    ): ...
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
