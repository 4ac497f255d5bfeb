"""What saves work must change nothing: bounds of scores, labels in single precision, sums of few features.

Bounds are for 12 features or more, 8 components or more, and 16 rows or more for each feature.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture.arrays import Array, Floats
from stream_mix.mixture.kernels import Kernels, Natural, Told, available, named
from stream_mix.mixture.kernels.compiled import _pack

REFERENCE = named("reference")
COMPILED = available()[:-1]
every_compiled = pytest.mark.parametrize("kernels", [named(name) for name in COMPILED], ids=COMPILED)
every_isa = pytest.mark.parametrize("isa", COMPILED)

WORLDS = ("apart", "together", "needle", "blanket", "twice", "far", "uneven", "tilted")


def world(name: str, kind: str, d: int, k: int, n: int, seed: int = 0) -> tuple[Array, Natural]:
    """Rows (n, d) of k Gaussians, and these; every name is one way to fool a bound."""
    rng = np.random.default_rng(seed)
    spread = {"together": 0.2, "far": 300.0}.get(name, 3.0)
    means, roots = spread * rng.normal(size=(k, d)), np.tile(np.eye(d), (k, 1, 1))
    if kind == "full":
        roots = np.tril(0.3 * rng.normal(size=(k, d, d)) / math.sqrt(d), -1) + roots
    roots *= rng.uniform(0.8, 1.2, (k, 1, 1))
    if name == "needle":
        roots[0] *= 1e-6
    if name == "blanket":
        roots[0] *= 1e3
    if name == "twice":
        means[k // 2 :], roots[k // 2 :] = means[: k - k // 2], roots[: k - k // 2]
    if name == "uneven":
        units = 10.0 ** rng.uniform(-6, 6, d)
        means, roots = means * units, roots * units[:, None]
    if name == "tilted" and kind == "full":
        # All but flat, each in another direction.
        flat = rng.normal(size=(k, d, 1))
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        covariances = np.eye(d) - (1.0 - 1e-6) * flat @ np.swapaxes(flat, 1, 2)
        roots = np.linalg.cholesky(covariances)
    whose = rng.integers(0, k, n)
    x = means[whose] + np.matmul(roots[whose], rng.normal(size=(n, d, 1)))[:, :, 0]
    x[: n // 8] = means[rng.integers(0, k, n // 8)]
    if name == "far":
        x[::7] *= 1e4
    covariances = np.matmul(roots, np.swapaxes(roots, 1, 2))
    weights = rng.dirichlet(np.full(k, 2.0))
    shape = np.einsum("kjj->kj", covariances) if kind == "diag" else covariances
    return x, Natural.of(kind, np.log(weights), means, shape)


def told(kernels: Kernels, x: Array, natural: Natural) -> Told:
    found = kernels.posterior(x, natural)
    assert found is not None
    return found


def scores(x: Array, natural: Natural) -> Array:
    """Of all rows under all components (n, k), each worked out by itself in extended precision."""
    wide = np.longdouble
    y = (x - natural.origin).astype(wide)[:, None] - natural.means.astype(wide)
    whiten = natural.whiten.astype(wide)
    z = y * whiten if natural.kind == "diag" else np.einsum("kij,nkj->nki", whiten, y)
    found: Array = natural.peak - 0.5 * np.square(z).sum(axis=2)
    return found


@every_compiled
@pytest.mark.parametrize("kind", ["diag", "full"])
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize(("d", "k"), [(12, 8), (13, 11), (16, 33), (33, 9)])
def test_what_is_said_is_what_all_scores_say(kernels: Kernels, kind: str, name: str, d: int, k: int) -> None:
    x, natural = world(name, kind, d, k, 20 * d)
    ours, all_scores = told(kernels, x, natural), scores(x, natural)
    top = all_scores.max(axis=1, keepdims=True)
    e = np.exp(all_scores - top)
    total = e.sum(axis=1, keepdims=True)
    # Rounding is in proportion to the score, and more of it where a component is next to a point.
    rounding = (1e-9 if name in ("needle", "tilted") else 1e-13) * (1.0 + np.abs(top))
    assert (np.abs(ours.p - e / total) <= 1e-11 + rounding).all()
    assert (np.abs(ours.log_density - (top + np.log(total))[:, 0]) <= rounding[:, 0]).all()
    np.testing.assert_allclose(ours.p.sum(axis=1), 1.0, atol=1e-12)
    assert (np.take_along_axis(all_scores, ours.label[:, None], axis=1) >= top - rounding).all()


@every_compiled
@pytest.mark.parametrize("kind", ["diag", "full"])
@pytest.mark.parametrize("name", WORLDS)
def test_sums_are_those_of_all_responsibilities(kernels: Kernels, kind: str, name: str) -> None:
    x, natural = world(name, kind, 14, 10, 700, seed=1)
    w = np.random.default_rng(0).uniform(0.0, 2.0, len(x))
    sums = kernels.accumulate(x, w, natural)
    assert sums is not None
    p, y = told(kernels, x, natural).p * w[:, None], x - sums.origin
    second = np.einsum("nk,nj->kj", p, y**2) if kind == "diag" else np.einsum("nk,ni,nj->kij", p, y, y)
    for ours, expected in (
        (sums.mass, p.sum(axis=0)),
        (sums.first, p.T @ y),
        (sums.second, second),
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-11 * float(np.abs(expected).max()))


@every_compiled
@pytest.mark.parametrize("kind", ["diag", "full"])
@given(seed=st.integers(0, 1000), d=st.integers(12, 18), k=st.integers(8, 13))
def test_no_row_changes_what_is_said_of_another(
    kernels: Kernels, kind: str, seed: int, d: int, k: int
) -> None:
    # Rows near to one component among rows near to all: whole tiles are worked out in this way and in that.
    apart, natural = world("apart", kind, d, k, 96, seed)
    between = (
        natural.origin + natural.means.mean(axis=0) + 0.01 * np.random.default_rng(seed).normal(size=(300, d))
    )
    x = np.concatenate([apart[:48], between, apart[48:]])
    together = told(kernels, x, natural)
    for i in (0, 40, 60, 180, 330, 360, len(x) - 1):
        alone = told(kernels, x[i : i + 1], natural)
        np.testing.assert_array_equal(alone.p[0], together.p[i])
        assert alone.log_density[0] == together.log_density[i]
        assert alone.label[0] == together.label[i]


@every_compiled
@pytest.mark.parametrize("kind", ["diag", "full"])
@pytest.mark.parametrize("value", [1e153, -1e200, 1e308])
def test_numbers_that_overflow_are_bounded_by_nothing(kernels: Kernels, kind: str, value: float) -> None:
    x, natural = world("apart", kind, 12, 8, 256)
    x[5, 3] = value
    with np.errstate(all="ignore"):
        ours, before = kernels.posterior(x, natural), told(kernels, x[6:], natural)
    assert ours is not None
    np.testing.assert_array_equal(ours.p[6:], before.p)
    np.testing.assert_array_equal(ours.label[6:], before.label)


@every_compiled
@pytest.mark.parametrize("kind", ["diag", "full"])
@pytest.mark.parametrize("value", [1e6, -1e12, 1e19, -1e21, 1e38, -1e39, 1e60])
def test_rows_that_single_precision_cannot_hold(kernels: Kernels, kind: str, value: float) -> None:
    # A broad component takes them, whichever feature it is: among narrow ones no rounding may hide it.
    x, natural = world("blanket", kind, 12, 8, 256)
    rows = np.arange(0, len(x), 5)
    x[rows, rows % 12] = value
    ours = told(kernels, x, natural)
    expected = scores(x, natural)
    assert ours.label[rows].tolist() == expected[rows].argmax(axis=1).tolist()
    np.testing.assert_allclose(ours.log_density[rows], expected[rows].max(axis=1), rtol=1e-9)


@every_compiled
@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("d", range(1, 11))
def test_sums_of_full_components_of_any_width(kernels: Kernels, d: int, hard: bool, weighted: bool) -> None:
    x, natural = world("apart", "full", d, 3, 250, seed=d)
    w = np.random.default_rng(0).uniform(0.1, 3.0, len(x)) if weighted else None
    ours, theirs = (each.accumulate(x, w, natural, hard) for each in (kernels, REFERENCE))
    assert ours is not None
    assert theirs is not None
    for name in ("mass", "first", "second", "log_density"):
        expected = getattr(theirs, name)
        np.testing.assert_allclose(
            getattr(ours, name),
            expected,
            rtol=1e-10,
            atol=1e-11 * float(np.abs(expected).max()),
            err_msg=name,
        )


def centres(k: int, d: int, seed: int = 0) -> Array:
    return 3.0 * np.random.default_rng(seed).normal(size=(k, d))


def labels(isa: str, x: Floats, means: Array) -> Array:
    """Of the nearest of the means (k, d), as k-means asks for them: nothing else is."""
    k, d = means.shape
    even = np.log(np.full(k, 1.0 / k))
    natural = Natural.of("diag", even, means, np.ones((k, d)), round=True)
    found: Array = _pack(isa, natural, None).label(x, 1)
    return found


def squared(x: Array, means: Array) -> Array:
    return np.square(x[:, None].astype(np.longdouble) - means).sum(axis=2)


@every_isa
@pytest.mark.parametrize(("k", "d"), [(64, 32), (16, 33), (130, 4), (5, 2)])
@pytest.mark.parametrize("far", [0.0, 1e3, 1e8, 1e25])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_single_precision_labels_no_row_otherwise(isa: str, k: int, d: int, far: float, dtype: type) -> None:
    means = centres(k, d)
    means[-1] += far
    rng = np.random.default_rng(1)
    x = (means[rng.integers(0, k, 500)] + rng.normal(size=(500, d))).astype(dtype)
    ours, distances = labels(isa, x, means), squared(x, means)
    own = distances[np.arange(len(x)), ours]
    # Rounding may choose between two that are as far.
    scale = 1e-13 * (
        1.0
        + np.square(x.astype(np.float64) - means[0]).sum(axis=1)
        + float(np.square(means).sum(axis=1).max())
    )
    assert (own <= distances.min(axis=1) + scale).all()


@every_isa
def test_centres_that_single_precision_cannot_tell_apart(isa: str) -> None:
    pair = centres(40, 16)
    means = np.concatenate([pair, pair + 1e-9])
    rng = np.random.default_rng(2)
    side = rng.integers(0, 2, 400)
    whose = rng.integers(0, 40, 400)
    x = pair[whose] + np.where(side, 1e-5, -1e-5)[:, None]
    np.testing.assert_array_equal(labels(isa, x, means), whose + 40 * side)


@every_isa
def test_of_equal_centres_the_first_is_named(isa: str) -> None:
    half = centres(40, 16)
    found = labels(isa, half, np.concatenate([half, half]))
    np.testing.assert_array_equal(found, np.arange(40))


@every_isa
def test_a_label_does_not_depend_on_the_rows_beside_it(isa: str) -> None:
    means = centres(64, 16)
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 16)) * rng.choice([1e-3, 1.0, 1e4], (300, 1))
    together = labels(isa, x, means)
    assert [int(labels(isa, x[i : i + 1], means)[0]) for i in range(300)] == together.tolist()
