"""Two cores against one: how much faster, and whether the bits are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from stream_mix.mixture import FAMILIES, Basis, Moments, Parameters
from stream_mix.mixture.em import sweep

from . import machine
from .em_pass import overlapping
from .record import Name, Options, Record, Target, at
from .timing import ratio, rested, seconds

GROUP = "two-cores"
LEAST = 1.8
CASES = (("kmeans", 8, 16), ("diag", 8, 16), ("full", 8, 16), ("full", 32, 64))
ROWS = {8: 1 << 20, 32: 1 << 18}


def _name(family: str, d: int, k: int) -> Name:
    return Name(GROUP, f"one EM pass, two cores against one, {family}, {at(d, k)}", "one core")


def names() -> list[Name]:
    """Every row of this group."""
    return [_name(*case) for case in CASES]


def records(options: Options) -> Iterator[Record]:
    """Each family's pass over the same rows, with one thread and with two; a matrix product as the limit."""
    for family, d, k in CASES:
        options.say(f"two cores against one, {family}, {at(d, k)}")
        n = ROWS[d] // (16 if options.quick else 1)
        yield _record(_name(family, d, k), _pass(family, overlapping(d, k, n), k), n, options.repetitions)


def _record(name: Name, work: Callable[[], tuple[Moments, float]], n: int, repetitions: int) -> Record:
    if machine.cores() < 2:
        return Record(name, None, "rows/s", note="this machine has one core")
    same = _bits(work, 1) == _bits(work, 2)
    taken = _alternate({"pass": work, "product": machine.matrix_product()}, repetitions)
    gained = ratio(taken["pass", 1], taken["pass", 2])
    product = ratio(taken["product", 1], taken["product", 2])
    one, two = (n / float(np.median(taken["pass", count])) for count in (1, 2))
    return Record(
        name,
        two,
        "rows/s",
        one,
        # Another result is no result, however fast.
        gained if same else None,
        target=Target("ratio", ">=", LEAST),
        note=("same bits" if same else f"other bits, {gained:.2f}x") + f"; a matrix product: {product:.2f}x",
    )


def _alternate(sides: dict[str, Callable], repetitions: int) -> dict[tuple[str, int], list[float]]:
    """Seconds of each side with one and with two threads, in turn; threads are set before the clock runs."""
    taken: dict[tuple[str, int], list[float]] = {(side, count): [] for side in sides for count in (1, 2)}
    for repetition in range(repetitions):
        for count in (1, 2) if repetition % 2 == 0 else (2, 1):
            with machine.threads(count):
                for side, work in sides.items():
                    work()
                    rested()
                    taken[side, count].append(seconds(work))
    return taken


def _bits(work: Callable[[], tuple[Moments, float]], count: int) -> bytes:
    """Every bit of what a pass comes to."""
    with machine.threads(count):
        moments, total = work()
    arrays = (moments.mass, moments.seen, moments.mean, moments.scatter, np.float64(total))
    return b"".join(array.tobytes() for array in arrays)


def _pass(family: str, x: np.ndarray, k: int) -> Callable[[], tuple[Moments, float]]:
    d = x.shape[1]
    spread = {"kmeans": np.ones(k), "diag": np.ones((k, d)), "full": np.tile(np.eye(d), (k, 1, 1))}
    value = FAMILIES[family]
    start = Parameters(value, np.full(k, 1.0 / k), x[:: len(x) // k][:k].copy(), spread[family])
    basis, known = Basis(np.zeros(d), np.ones(d)), np.ones((k, d))
    return lambda: sweep(start, x, None, basis, known, hard=family == "kmeans")
