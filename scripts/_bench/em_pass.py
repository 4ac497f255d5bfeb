"""One pass of EM over rows in memory: E-step, sums, M-step. Ours beside scikit-learn's own two steps."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from statistics import median

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from stream_mix.mixture import FAMILIES, MAXIMUM_LIKELIHOOD, Basis, Parameters, estimate
from stream_mix.mixture.em import sweep

from . import machine
from .record import Options, Record
from .timing import alternate, ratio

GROUP = "em"
SHAPES = ((2, 5, 1 << 18), (8, 16, 1 << 18), (32, 64, 1 << 17))
"""Features, components, rows."""
FEW = 1 << 12
"""So few rows that all of scikit-learn's arrays stay in the cache: its best case, shown and not judged."""
JUDGED = ((8, 16), (32, 64))
LEAST = 3.0


def overlapping(d: int, k: int, n: int, seed: int = 0) -> np.ndarray:
    """n rows of k Gaussians (spread 1, centres spread 2), which overlap."""
    rng = np.random.default_rng(seed)
    return 2.0 * rng.normal(size=(k, d))[rng.integers(0, k, n)] + rng.normal(size=(n, d))


def records(options: Options) -> Iterator[Record]:
    """Each shape and family, with one thread and with all cores; a quick run has a quarter of the rows and
    one thread."""
    for count in [1] if options.quick else sorted({1, machine.cores()}):
        with machine.threads(count):
            rate = machine.matrix_rate(repetitions=3)
            for d, k, n in SHAPES:
                for rows in (n // 4 if options.quick else n, FEW):
                    for kind in ("diag", "full"):
                        options.say(f"one EM pass: {kind}, D={d} K={k}, {rows} rows, {count} threads")
                        yield _record(kind, d, k, rows, options, count, rate)


def _record(kind: str, d: int, k: int, n: int, options: Options, count: int, rate: float) -> Record:
    """One shape, with parameters that both sides start each pass from."""
    x = overlapping(d, k, n)
    theirs = _started(kind, x, k)
    ours = Parameters(FAMILIES[kind], theirs.weights_, theirs.means_, theirs.covariances_)
    basis = Basis(np.zeros(d), np.ones(d))
    known = np.ones((k, d))
    state = theirs._get_parameters()

    def our_pass() -> Parameters:
        # A new record each time: what is derived from parameters is kept with them, and must be counted.
        before = Parameters(ours.family, ours.weights, ours.means, ours.covariances)
        moments, _ = sweep(before, x, None, basis, known, hard=False)
        return estimate(before.family, moments, MAXIMUM_LIKELIHOOD)

    def their_pass() -> None:
        theirs._set_parameters(state)
        _, log_responsibilities = theirs._e_step(x)
        theirs._m_step(x, log_responsibilities)

    their_pass()
    _same_work(our_pass(), theirs)
    taken = alternate({"theirs": their_pass, "ours": our_pass}, options.repetitions)
    seconds = median(taken["ours"])
    # Multiplications and additions that two dense products of scores and sums need.
    width = 1 + 2 * d if kind == "diag" else 1 + d + d * (d + 1) // 2
    return Record(
        GROUP,
        f"one EM pass, {kind}, D={d} K={k}, {n:,} rows, {machine.counted(count)}",
        n / seconds,
        "rows/s",
        "sklearn GaussianMixture",
        n / median(taken["theirs"]),
        ratio(taken["theirs"], taken["ours"]),
        share=4.0 * n * k * width / seconds / 1e9 / rate,
        target=("ratio", ">=", LEAST) if (d, k) in JUDGED and n > FEW else None,
    )


def _started(kind: str, x: np.ndarray, k: int) -> GaussianMixture:
    """scikit-learn's mixture after its first step, with parameters to go on from."""
    mixture = GaussianMixture(
        k, covariance_type=kind, max_iter=1, init_params="random_from_data", random_state=0, reg_covar=1e-6
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one step is what is wanted
        mixture.fit(x)
    return mixture


def _same_work(ours: Parameters, theirs: GaussianMixture) -> None:
    """Both must come to the same parameters, or the times would compare different things."""
    for name, a, b in (
        ("weights", ours.weights, theirs.weights_),
        ("means", ours.means, theirs.means_),
        ("covariances", ours.covariances, theirs.covariances_),
    ):
        worst = float(np.abs(a - b).max())
        if worst > 1e-4:
            raise AssertionError(
                f"one EM pass: {name} differ from scikit-learn's by {worst:.1e}, expected rounding"
            )
