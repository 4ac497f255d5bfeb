"""Many components: how the time of a row grows with K, and what is lost where not all of them are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from stream_mix.mixture import FAMILIES, Basis, Moments, Parameters
from stream_mix.mixture.em import sweep
from stream_mix.mixture.kernels.shortlist import dense

from . import machine
from .record import ALL, Name, Options, Record, Target
from .timing import alternate, ratio

GROUP = "large-k"
D, SMALL, LARGE = 16, 64, 4096
KINDS = ("diag", "full")
MOST_GROWTH = 8.0
MOST_LOST = 0.1
SPREAD = 2.0
"""Of the centres, in standard deviations of a cluster."""
ROWS, ROWS_QUICK = 1 << 17, 1 << 15
DENSE = 16
"""All components are timed on this part of the rows only: it takes long, and as long for each."""


def _growth(kind: str) -> Name:
    return Name(GROUP, f"growth of a row's time from K={SMALL} to K={LARGE}, {kind}, D={D}, {ALL}", "dense")


def _lost(kind: str) -> Name:
    return Name(GROUP, f"log-likelihood lost against dense, {kind}, D={D} K={LARGE}")


def names() -> list[Name]:
    """Every row of this group."""
    return [name for kind in KINDS for name in (_growth(kind), _lost(kind))]


def records(options: Options) -> Iterator[Record]:
    """Time and log-likelihood of a pass over rows of as many clusters as there are components."""
    n = ROWS_QUICK if options.quick else ROWS
    with machine.threads(machine.cores()):
        for kind in KINDS[:1] if options.quick else KINDS:
            options.say(f"K={SMALL} to K={LARGE}, {kind}")
            yield from _records(kind, n, options.repetitions)


def _records(kind: str, n: int, repetitions: int) -> Iterator[Record]:
    small, large = _pass(kind, SMALL, n), _pass(kind, LARGE, n)

    def densely() -> None:
        with dense():
            large(n // DENSE)

    with dense():
        _, whole = large()
    _, found = large()
    taken = alternate({"small": small, "large": large, "dense": densely}, repetitions)
    taken["dense"] = [DENSE * value for value in taken["dense"]]
    micros = {name: 1e6 * median(values) / n for name, values in taken.items()}
    yield Record(
        _growth(kind),
        ratio(taken["large"], taken["small"]),
        "x",
        ratio(taken["dense"], taken["small"]),
        ratio(taken["dense"], taken["large"]),
        target=Target("ours", "<=", MOST_GROWTH),
        note=f"{micros['small']:.3g} us a row at K={SMALL}, {micros['large']:.3g} at K={LARGE}, of"
        f" {n:,} rows",
    )
    # A gain is no loss: what is left out may happen to be noise.
    lost = max(100.0 * (whole - found) / abs(whole), 0.0)
    note = f"mean log density {found / n:.4f}, dense {whole / n:.4f}"
    yield Record(_lost(kind), lost, "%", target=Target("ours", "<=", MOST_LOST), note=note)


def _pass(kind: str, k: int, n: int) -> Callable[..., tuple[Moments, float]]:
    """One pass over n rows of k clusters, with components near the clusters, as after a few passes."""
    rng = np.random.default_rng(k)
    centres = SPREAD * rng.normal(size=(k, D))
    x = centres[rng.integers(0, k, n)] + rng.normal(size=(n, D))
    means = centres + 0.1 * rng.normal(size=(k, D))
    covariances = rng.uniform(0.8, 1.25, (k, D))
    if kind == "full":
        root = np.linalg.qr(rng.normal(size=(k, D, D)))[0]
        covariances = np.matmul(root * covariances[:, None], np.swapaxes(root, 1, 2))
        covariances = 0.5 * (covariances + np.swapaxes(covariances, 1, 2))
    basis, known = Basis(np.zeros(D), np.ones(D)), np.ones((k, D))
    weights = np.full(k, 1.0 / k)

    def work(rows: int = n) -> tuple[Moments, float]:
        before = Parameters(FAMILIES[kind], weights, means, covariances)
        return sweep(before, x[:rows], None, basis, known, hard=False)

    return work
