"""One pass of EM over rows in memory: E-step, sums, M-step. Ours beside scikit-learn's own two steps.

Both go on from scikit-learn's mixture after its usual start and one step, as most passes of a fit do. What a
pass costs scikit-learn does not depend on the state; ours costs less where components share few rows.
So there are rows of our worst case too, in which every component has a share in every row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from stream_mix.mixture import FAMILIES, MAXIMUM_LIKELIHOOD, Basis, Parameters, estimate
from stream_mix.mixture.em import sweep

from . import machine
from .record import ALL, ONE, SHAPES, Name, Options, Record, Target, at
from .timing import alternate, ratio

GROUP = "em"
PEER = "sklearn GaussianMixture, one iteration"
LEAST = 20.0
LEAST_SHARE = 0.6
ROWS = {2: 1 << 18, 8: 1 << 17, 32: 1 << 15}
"""For each number of features."""
FEW = 1 << 12
"""So few rows that all of scikit-learn's arrays stay in the cache: its best case."""
TOGETHER = 0.25
"""A spread of the centres at which every component has a share in every row: our worst case."""


@dataclass(frozen=True)
class Case:
    """A workload; `spread` is that of the clusters' centres, in standard deviations of a cluster."""

    kind: str
    d: int
    k: int
    cores: str = ALL
    rows: int = 0
    spread: float = 2.0

    @property
    def judged(self) -> bool:
        """The plain case, with all cores; the others are shown beside it."""
        return self.cores == ALL and not self.rows and self.spread == 2.0

    @property
    def name(self) -> Name:
        """The row of the table."""
        what = f", {self.rows:,} rows" if self.rows else ", centres close together" if self.spread < 1 else ""
        return Name(GROUP, f"one EM pass, {self.kind}{what}, {self.cores}", PEER, at(self.d, self.k))


KINDS = ("diag", "full")
CASES = (
    *(Case(kind, d, k, cores) for cores in (ALL, ONE) for kind in KINDS for d, k in SHAPES),
    *(Case(kind, d, k, ONE, rows=FEW) for kind in KINDS for d, k in SHAPES),
    *(Case(kind, d, k, spread=TOGETHER) for kind in KINDS for d, k in SHAPES),
)
SHARE = Name(GROUP, f"one EM pass, full, {at(32, 64)}: share of the matrix-product rate, {ALL}")
MARKED = Case("full", 32, 64)


def names() -> list[Name]:
    """Every row of this group."""
    return [*(case.name for case in CASES), SHARE]


def overlapping(d: int, k: int, n: int, seed: int = 0, spread: float = 2.0) -> np.ndarray:
    """n rows of k Gaussians (spread 1) about centres drawn with that spread, which overlap."""
    rng = np.random.default_rng(seed)
    return spread * rng.normal(size=(k, d))[rng.integers(0, k, n)] + rng.normal(size=(n, d))


def records(options: Options) -> Iterator[Record]:
    """Each case; then the share of the machine's rate that the dense work of the largest comes to."""
    marked = None
    for cores, count in machine.counts().items():
        with machine.threads(count):
            for case in (case for case in CASES if case.cores == cores):
                if options.quick and not case.judged:
                    continue
                options.say(f"{case.name.work}, {case.name.shape}")
                record = _record(case, options)
                marked = record if case == MARKED else marked
                yield record
    assert marked is not None
    yield Record(SHARE, 100 * (marked.share or 0.0), "%", target=Target("ours", ">=", 100 * LEAST_SHARE))


def _record(case: Case, options: Options) -> Record:
    """One case, with parameters that both sides start each pass from, and the machine's rate beside them."""
    n, d, k = case.rows or ROWS[case.d] // (8 if options.quick else 1), case.d, case.k
    x = overlapping(d, k, n, spread=case.spread)
    ours, theirs = _sides(case.kind, x, k, apart=case.spread >= 1)
    taken = alternate(
        {"theirs": theirs, "ours": ours, "machine": machine.matrix_product()}, options.repetitions
    )
    seconds = median(taken["ours"])
    # Multiplications and additions that two dense products of scores and sums need.
    width = 1 + 2 * d if case.kind == "diag" else 1 + d + d * (d + 1) // 2
    return Record(
        case.name,
        n / seconds,
        "rows/s",
        n / median(taken["theirs"]),
        ratio(taken["theirs"], taken["ours"]),
        share=4.0 * n * k * width / machine.OPERATIONS * ratio(taken["machine"], taken["ours"]),
        traffic=options.limits[case.cores].traffic(8.0 * n * d, seconds),
        target=Target("ratio", ">=", LEAST) if case.judged else None,
        note=f"{n:,} rows",
    )


def _sides(kind: str, x: np.ndarray, k: int, *, apart: bool = True) -> tuple:
    """Our pass and theirs, from the same parameters, after a check that both come to the same ones."""
    theirs = _started(kind, x, k, "kmeans" if apart else "random_from_data")
    start = Parameters(FAMILIES[kind], theirs.weights_, theirs.means_, theirs.covariances_)
    d = x.shape[1]
    basis, known = Basis(np.zeros(d), np.ones(d)), np.ones((k, d))
    state = theirs._get_parameters()

    def our_pass() -> Parameters:
        # A new record each time: what is derived from parameters is kept with them, and must be counted.
        before = Parameters(start.family, start.weights, start.means, start.covariances)
        moments, _ = sweep(before, x, None, basis, known, hard=False)
        return estimate(before.family, moments, MAXIMUM_LIKELIHOOD)

    def their_pass() -> None:
        theirs._set_parameters(state)
        _, log_responsibilities = theirs._e_step(x)
        theirs._m_step(x, log_responsibilities)

    their_pass()
    _same_work(our_pass(), theirs)
    return our_pass, their_pass


def _started(kind: str, x: np.ndarray, k: int, how: str) -> GaussianMixture:
    """scikit-learn's mixture after its start and first step, with parameters to go on from."""
    mixture = GaussianMixture(
        k, covariance_type=kind, max_iter=1, init_params=how, random_state=0, reg_covar=1e-6
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
