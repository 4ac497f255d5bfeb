"""The compiled fold against the one it is the twin of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from stream_mix.mixture import (
    FAMILIES,
    Forever,
    HalfLife,
    Learned,
    Memory,
    Model,
    Prior,
    Rows,
    TimeHalfLife,
    Window,
    judge_batches,
    learn,
    posterior,
    state_hash,
)
from stream_mix.mixture import batches as compiled_batches
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.folders import forget
from stream_mix.mixture.kernels import available, named
from stream_mix.mixture.outliers import outlier

from .streams import ALL_FAMILIES, holes, spec

COMPILED = available()[:-1]
MEMORIES = (Forever(), HalfLife(300.0), TimeHalfLife(20.0), HalfLife(0.5))


def stream(n: int, d: int, k: int = 3, seed: int = 0) -> Rows:
    """Overlapping clusters with weights and event times, some of which are missing or late."""
    rng = np.random.default_rng(seed)
    x = 3.0 * rng.normal(size=(k, d))[rng.integers(0, k, n)] + rng.normal(size=(n, d))
    t = np.cumsum(rng.exponential(0.1, n)) + rng.normal(0.0, 0.2, n)
    t[rng.random(n) < 0.1] = np.nan
    return Rows.of(1e6 + 10.0 * x, rng.uniform(0.5, 2.0, n), t)


def settled(family: str, memory: Memory, d: int, batch_size: int, **choices: object) -> tuple[Model, Rows]:
    """A model past its start, and rows that it has not seen."""
    rows = stream(1000, d)
    model = Model.new(spec(family, memory=memory, batch_size=batch_size, **choices), d)
    model, _ = learn(model, rows[:600])
    return model, rows[600:]


def in_python(model: Model, rows: Rows) -> tuple[Model, Learned]:
    """`learn` batch by batch, without the compiled fold."""
    with mock.patch.object(compiled_batches, "run", return_value=None):
        return learn(model, rows)


def same(ours: Model, theirs: Model) -> None:
    assert (ours.generation, ours.learned) == (theirs.generation, theirs.learned)
    np.testing.assert_equal(ours.t, theirs.t)
    np.testing.assert_allclose(ours.evidence, theirs.evidence, rtol=1e-10)
    for name in ("mass", "seen", "mean", "scatter"):
        expected: Array = getattr(theirs.moments, name)
        atol = 1e-10 * float(np.abs(expected).max())
        np.testing.assert_allclose(getattr(ours.moments, name), expected, rtol=1e-9, atol=atol, err_msg=name)


@pytest.fixture(params=COMPILED)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("stream_mix.mixture.folders.chosen", lambda: named(request.param))
    forget()
    yield str(request.param)
    forget()


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", MEMORIES, ids=["forever", "rows", "time", "short"])
@pytest.mark.parametrize(("d", "batch_size"), [(1, 1), (3, 20), (9, 100)])
def test_many_batches_at_once_are_batch_after_batch(
    instruction_set: str, family: str, memory: Memory, d: int, batch_size: int
) -> None:
    model, rows = settled(family, memory, d, batch_size)
    assert compiled_batches.run(model, rows, 1) is not None
    # A memory so short forgets, and what it does not forget may grow: few batches then.
    rows = rows[: 8 * batch_size] if memory == HalfLife(0.5) else rows
    ours, theirs = learn(model, rows), in_python(model, rows)
    same(ours[0], theirs[0])
    assert ours[1].rows == theirs[1].rows
    assert ours[1].log_likelihood == pytest.approx(theirs[1].log_likelihood, rel=1e-9)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("assignment", ["soft", "hard"])
@pytest.mark.parametrize(
    "prior",
    [Prior(), Prior(weight=0.0, covariance=0.0, correlation=0.0), Prior(correlation=0.5, covariance=30.0)],
    ids=["usual", "none", "strong"],
)
def test_assignment_and_prior_are_the_same_in_both(family: str, assignment: str, prior: Prior) -> None:
    model, rows = settled(family, Forever(), 4, 50, assignment=assignment, prior=prior)
    same(learn(model, rows)[0], in_python(model, rows)[0])


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_a_component_next_to_nothing_keeps_its_shape(family: str) -> None:
    model, rows = settled(family, HalfLife(5.0), 2, 20)
    moments = model.moments
    least = np.array([3e-200, 1.0, 1.0])
    shape = {"full": least[:, None, None], "tied": 1.0}.get(family, least[:, None])
    seen, scatter = moments.seen * least[:, None], moments.scatter * shape
    faint = replace(moments, mass=moments.mass * least, seen=seen, scatter=scatter)
    model = replace(model, store=(faint,))
    far = Rows.of(np.repeat(rows.x[:1] + 1e8, 40, axis=0))
    ours, theirs = learn(model, far)[0], in_python(model, far)[0]
    same(ours, theirs)
    # Not 0, where forgetting alone would have brought it; more only as far as it has a share in the far rows.
    assert 0.9e-200 < ours.moments.mass.min() < 1e-3
    scatter = ours.moments.scatter[0]
    assert (np.diagonal(scatter) > 0 if family == "full" else scatter > 0).all()
    if family == "full":
        np.linalg.cholesky(ours.parameters.covariances)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_how_rows_are_grouped_changes_no_bit(family: str) -> None:
    model, rows = settled(family, HalfLife(200.0), 3, 20)
    whole, _ = learn(model, rows)
    for cuts in ([20, 40, 380], [7, 130, 131], [399]):
        parts = model
        for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            parts, _ = learn(parts, rows[start:stop])
        assert state_hash(parts) == state_hash(whole)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_rows_with_holes_take_turns_with_whole_ones(family: str) -> None:
    model, rows = settled(family, Forever(), 3, 20)
    x = rows.x.copy()
    x[100:140] = holes(x[100:140], 0.3)
    mixed = Rows.of(x)
    same(learn(model, mixed)[0], in_python(model, mixed)[0])


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_what_is_said_before_learning_is_the_posterior(family: str) -> None:
    model, rows = settled(family, Forever(), 3, 50)
    batch = rows[:50]
    after, _, said = judge_batches(model, batch)
    found = posterior(model, batch.x)
    for name in ("p", "label", "log_density", "outlier"):
        np.testing.assert_array_equal(getattr(said, name), getattr(found, name))
    assert state_hash(after) == state_hash(learn(model, batch)[0])
    with mock.patch("stream_mix.mixture.model.judged", return_value=None):
        slow = posterior(model, batch.x)
    np.testing.assert_array_equal(found.label, slow.label)
    for name in ("p", "log_density", "outlier"):
        np.testing.assert_allclose(getattr(found, name), getattr(slow, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7, 8, 33, 160])
@pytest.mark.parametrize("spread", [1.0, 1e4])
def test_outlier_scores_are_those_of_the_chi_square_distribution(d: int, spread: float) -> None:
    # The second of two clusters is `spread` times as wide: of 160 features the peaks are 460 apart.
    rng = np.random.default_rng(d)
    x = rng.normal(size=(2000, d))
    x[1000:] = 1e6 + spread * x[1000:]
    mixed = x[rng.permutation(len(x))]  # in the order of its clusters it would be reviewed
    model, _ = learn(Model.new(spec("spherical", n_components=2, batch_size=200), d), Rows.of(mixed))
    centre = x[:1000].mean(axis=0)
    for rows in (x[::7], centre + 3.0 * (x[:99] - centre), centre + 40.0 * (x[:99] - centre), centre[None]):
        said = posterior(model, rows)
        # Of the same log densities: what two ways of scoring differ by beside a cluster a million widths away
        # is no question here.
        log_density = said.log_density + np.log(model.basis.scale).sum()
        slow = outlier(model.parameters, model.basis.forward(rows), log_density)
        # With one degree of freedom it rises from 0 like a root: at the peak there is the root of the last
        # digit of a density, about 1e-8.
        np.testing.assert_allclose(said.outlier, slow, rtol=1e-9, atol=1e-7 if d == 1 else 1e-12)


def test_the_record_that_was_given_stays_as_it_was() -> None:
    model, rows = settled("full", Forever(), 3, 20)
    before = state_hash(model)
    learn(model, rows)
    assert state_hash(model) == before


def test_what_the_compiled_fold_does_not_know_is_left_to_python() -> None:
    model, rows = settled("diag", Window(100), 2, 20)
    assert compiled_batches.run(model, rows, 1) is None
    model, rows = settled("diag", Forever(), 2, 20)
    stranger = {**FAMILIES, "diag": replace(FAMILIES["diag"], compiled=False)}
    with mock.patch("stream_mix.mixture.spec.FAMILIES", stranger):
        forget()
        assert compiled_batches.run(model, rows, 1) is None
        same(learn(model, rows)[0], in_python(model, rows)[0])
    forget()
    assert compiled_batches.run(model, rows, 1) is not None


def test_sizes_that_do_not_fit_are_refused() -> None:
    choices = {"hard": False, "memory": "forever", "half_life": 1.0, "batch_size": 4, "watch": True}
    choices = {**choices, "prior": (1.0, 1.0, 1.0, 1e-6)}
    folder = named(COMPILED[0]).folder(family="diag", k=2, d=3, **choices)
    ones, cells = np.ones(2), np.ones((2, 3))
    good = (ones, cells, cells, cells, np.zeros(3), np.ones(3))
    x, all_of_it = np.zeros((4, 3)), (True, True, True, True)
    folded = folder.folded(*good)
    assert folder.judge(folded, x, *all_of_it, 1) is not None
    for i in range(6):
        bad = [array[:-1] if j == i else array for j, array in enumerate(good)]
        with pytest.raises(ValueError, match="expected"):
            folder.folded(*bad)
    learning = (math.inf, 9, False, False, False, math.inf, 1)
    with pytest.raises(ValueError, match="features"):
        folder.judge(folded, x[:, :2], *all_of_it, 1)
    with pytest.raises(ValueError, match="features"):
        folder.learn(folded, 0.0, 0.0, 0.0, x[:, :2], None, None, *learning)
    with pytest.raises(ValueError, match="times"):
        folder.learn(folded, 0.0, 0.0, 0.0, x, None, np.zeros(3), *learning)
    with pytest.raises(ValueError, match="weights"):
        folder.learn(folded, 0.0, 0.0, 0.0, x, np.ones(3), None, *learning)
    for family, k, d in (("diag", 3, 3), ("diag", 2, 4), ("full", 2, 3), ("tied", 2, 3)):
        other = named(COMPILED[0]).folder(family=family, k=k, d=d, **choices)
        with pytest.raises(ValueError, match="another shape"):
            other.judge(folded, np.zeros((4, d)), *all_of_it, 1)
        with pytest.raises(ValueError, match="another shape"):
            other.learn(folded, 0.0, 0.0, 0.0, np.zeros((4, d)), None, None, *learning)
