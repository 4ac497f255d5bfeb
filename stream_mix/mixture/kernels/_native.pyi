# The extension module; see native/module.cpp.
from typing import Any

from ..arrays import Array

def implementations() -> list[str]: ...

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
    ) -> None: ...
    def posterior(self, x: Array, threads: int) -> tuple[Any, ...] | None: ...
    def accumulate(
        self, x: Array, w: Array | None, hard: bool, tell: bool, threads: int
    ) -> tuple[Any, ...] | None: ...
