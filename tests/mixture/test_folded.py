"""Moments that stay in compiled code between two calls: nobody can tell, but by the time that it takes."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from unittest import mock

import numpy as np
import pytest

from stream_mix.mixture import (
    Forever,
    HalfLife,
    Memory,
    Model,
    Rows,
    TimeHalfLife,
    flush,
    from_state,
    learn,
    posterior,
    state_hash,
    to_state,
)
from stream_mix.mixture import batches as compiled_batches
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.folders import ANSWERS, answer, forget, judged
from stream_mix.mixture.kernels import available, named
from stream_mix.mixture.learning import learn_whole

from .streams import ALL_FAMILIES, holes, spec

COMPILED = available()[:-1]
ARRAYS = ("mass", "seen", "mean", "scatter")


@pytest.fixture(autouse=True)
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The best there is, whatever was chosen, or the one that a test is for."""
    if not COMPILED:
        pytest.skip("nothing is compiled here")
    name = getattr(request, "param", COMPILED[0])
    monkeypatch.setattr("stream_mix.mixture.folders.chosen", lambda: named(name))
    forget()
    yield
    forget()


def settled(family: str, memory: Memory, d: int = 3, batch_size: int = 20) -> tuple[Model, Rows]:
    """A model past its start, and 2000 rows that it has not seen."""
    rng = np.random.default_rng(0)
    x = 3.0 * rng.normal(size=(3, d))[rng.integers(0, 3, 2600)] + rng.normal(size=(2600, d))
    rows = Rows.of(1e4 + 10.0 * x)
    model, _ = learn(Model.new(spec(family, memory=memory, batch_size=batch_size), d), rows[:600])
    return model, rows[600:]


def again(model: Model) -> Model:
    """The same model, of which compiled code knows nothing."""
    return from_state(to_state(model))


def alike(ours: Model, theirs: Model) -> None:
    """The same to rounding."""
    assert (ours.generation, ours.learned) == (theirs.generation, theirs.learned)
    np.testing.assert_equal(ours.t, theirs.t)
    np.testing.assert_allclose(ours.evidence, theirs.evidence, rtol=1e-10)
    for name in ARRAYS:
        expected = getattr(theirs.moments, name)
        atol = 1e-10 * float(np.abs(expected).max())
        np.testing.assert_allclose(getattr(ours.moments, name), expected, rtol=1e-10, atol=atol, err_msg=name)


@pytest.mark.parametrize("instruction_set", COMPILED, indirect=True)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", [Forever(), HalfLife(300.0), TimeHalfLife(20.0)])
@pytest.mark.parametrize("n", [1, 7, 19])
def test_a_last_shorter_batch_is_learned_as_in_python(family: str, memory: Memory, n: int) -> None:
    model, rows = settled(family, memory)
    rng = np.random.default_rng(n)
    part = Rows.of(rows.x[:n], rng.uniform(0.5, 2.0, n), np.cumsum(rng.exponential(1.0, n)))
    model, _ = learn(model, part)
    ours, done = flush(model)
    with mock.patch.object(compiled_batches, "run", return_value=None):
        theirs, expected = flush(model)
    alike(ours, theirs)
    assert (done.rows, done.batches) == (expected.rows, expected.batches) == (n, 1)
    assert done.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-10)
    assert not len(ours.pending)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("memory", [Forever(), HalfLife(300.0)], ids=["all", "rows"])
@pytest.mark.parametrize("n", [1, 20, 500, 507, 2000])
def test_rows_without_weights_are_learned_as_others_are(family: str, memory: Memory, n: int) -> None:
    model, rows = settled(family, memory)
    x = rows.x[:n]
    expected, _ = flush(learn(model, Rows.of(x))[0])
    ours, done, labels = learn_whole(model, x, label=True)
    # One call goes no further than to where the basis or the sample is looked at.
    assert model.sample is not None
    look = min(64 - model.generation, (model.sample.last - model.learned) // 20 + 1)
    assert done == min(n, 20 * look)
    assert (labels is not None) == (done == n)
    ours, _ = flush(learn(ours, Rows.of(x[done:]))[0])
    assert state_hash(ours) == state_hash(expected)
    if labels is not None:
        assert labels.tolist() == posterior(again(ours), x).label.tolist()


def test_labels_are_those_after_the_basis_has_moved() -> None:
    model, rows = settled("kmeans", HalfLife(10.0))
    model = replace(model, sample=None)  # at a look at which the call would end
    x = 1e6 * rows.x[: 20 * (64 - model.generation)]
    after, done, labels = learn_whole(model, x, label=True)
    assert done == len(x)
    assert not after.basis.same(model.basis)
    assert labels is None


def test_rows_that_are_left_are_those_that_python_has_to_learn() -> None:
    model, rows = settled("full", Forever())
    x = rows.x[:100].copy()
    x[50:55] = holes(x[50:55], 0.5)
    after, done, labels = learn_whole(model, x, label=True)
    assert (done, labels) == (40, None)
    assert state_hash(after) == state_hash(learn(model, Rows.of(x[:40]))[0])
    x = rows.x[:100].copy()
    for bad in (np.inf, -np.inf, 1e101, -1e101):
        for at, expected in ((0, 0), (19, 0), (20, 20), (39, 20)):
            wrong = x.copy()
            wrong[at, 1] = bad
            after, done, labels = learn_whole(model, wrong, label=True)
            assert (done, labels) == (expected, None)
            assert state_hash(after) == state_hash(learn(model, Rows.of(x[:expected]))[0])
    x[39, 1] = 0.9e100
    assert learn_whole(model, x)[1] == 40
    waiting, _ = learn(model, rows[:3])
    assert learn_whole(waiting, rows.x[:20]) == (waiting, 0, None)


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_each_answer_alone_is_what_all_of_them_are(family: str) -> None:
    model, rows = settled(family, Forever())
    for n in (1, 33):
        found = judged(model.spec, model.moments, rows.x[:n])
        assert found is not None
        for name, expected in zip(ANSWERS, found, strict=True):
            np.testing.assert_array_equal(answer(model.spec, model.moments, rows.x[:n], name), expected)
    if family == "full":
        assert answer(model.spec, model.moments, holes(rows.x[:9], 0.5), "label") is None


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_models_of_one_kind_that_take_turns_do_not_meet(family: str) -> None:
    model, rows = settled(family, HalfLife(100.0))
    branches = [model, model, model]
    alone = [again(model) for _ in branches]
    for turn in range(4):
        for i in range(len(branches)):
            part = rows[100 * (3 * turn + i) :][: 20 + 10 * i]
            branches[i], _ = learn(branches[i], part)
            found = posterior(branches[i], rows.x[:50])
            forget()
            alone[i], _ = learn(again(alone[i]), part)
            forget()
            expected = posterior(again(alone[i]), rows.x[:50])
            assert state_hash(branches[i]) == state_hash(alone[i])
            for name in ANSWERS:
                np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("looked_at", [True, False])
def test_a_model_that_was_handed_out_is_nobody_elses(family: str, looked_at: bool) -> None:
    model, rows = settled(family, Forever())
    model, _ = learn(model, rows[:40])
    before = state_hash(again(model)) if looked_at else None
    after, _ = learn(model, rows[40:80])
    expected = state_hash(after)
    # What one does to the arrays of the one reaches neither the other nor what is learned from here on.
    for name in ARRAYS:
        getattr(after.moments, name)[...] = -1.0
    assert before in (None, state_hash(model))
    assert state_hash(learn(model, rows[40:80])[0]) == expected
    x = rows.x[:5]
    np.testing.assert_array_equal(
        posterior(after, x).log_density, posterior(learn(model, rows[40:80])[0], x).log_density
    )


@pytest.mark.parametrize("family", ["diag", "full"])
def test_a_pickle_and_a_copy_go_on_where_the_model_was(family: str) -> None:
    model, rows = settled(family, Forever())
    model, _ = learn(model, rows[:40])
    expected = state_hash(learn(model, rows[40:100])[0])
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), copy.copy(model)):
        assert state_hash(twin) == state_hash(model)
        assert state_hash(learn(twin, rows[40:100])[0]) == expected
    moments = replace(model.moments, rows=7)
    assert (moments.rows, moments.k, moments.d) == (7, model.k, model.d)
    np.testing.assert_array_equal(moments.mean, model.moments.mean)
    assert not hasattr(model.moments, "median")


def test_what_follows_a_model_is_a_model_in_every_field() -> None:
    model, rows = settled("diag", Forever())
    model, _ = learn(model, rows[:7])
    generation, learned = model.generation + 2, model.learned + 9
    twin = replace(model, store=(), generation=generation, learned=learned, t=3.0, evidence=(1.0, 2.0))
    made = model.followed((), 2, 9, 3.0, (1.0, 2.0))
    assert vars(made).keys() == {field.name for field in fields(Model)}
    for field in fields(Model):
        assert getattr(made, field.name) == getattr(twin, field.name), field.name


def test_threads_share_a_twin_and_answer_as_if_alone() -> None:
    model, rows = settled("full", HalfLife(200.0), d=6)
    parts = [rows[i * 100 : i * 100 + 100] for i in range(16)]

    def work(part: Rows) -> tuple[str, list[float]]:
        after = model
        for _ in range(20):
            after, _ = learn(after, part)
        return state_hash(after), posterior(after, part.x).log_density.tolist()

    expected = [work(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, parts)) == expected


@pytest.mark.parametrize("instruction_set", COMPILED, indirect=True)
@pytest.mark.parametrize("jump", [0.0, 0.1, 1.0, 1e3])
@pytest.mark.parametrize(("d", "k"), [(1, 2), (2, 5), (9, 16)])
def test_labels_followed_through_a_batch_are_those_under_the_centres_after_it(
    jump: float, d: int, k: int
) -> None:
    """Most labels after a batch are told from those before it: each must be of a nearest centre all the
    same, however far the centres went."""
    rng = np.random.default_rng(3)
    centres = 2.0 * rng.normal(size=(k, d))

    def draw(n: int) -> Array:
        return centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))

    kind = replace(spec("kmeans", batch_size=300, memory=HalfLife(600.0)), n_components=k, watch=False)
    model, _ = learn(Model.new(kind, d), Rows.of(draw(kind.start_rows(d) // 300 * 300 + 300)))
    model = replace(model, sample=None)  # else rows that went so far get centres of their own
    for _ in range(12):
        centres = centres + jump * rng.normal(size=d)
        x = draw(300)
        model, taken, labels = learn_whole(model, x, label=True)
        assert taken == 300
        if labels is None:  # the basis moved, and its labels with it
            continue
        squared = np.square(model.basis.forward(x)[:, None] - model.moments.mean).sum(axis=2)
        assert (squared[np.arange(300), labels] <= squared.min(axis=1) * (1 + 1e-9) + 1e-12).all()


def test_what_is_not_watched_is_not_computed_and_changes_nothing_else() -> None:
    """Without a running log-likelihood the moments are the same, by compiled code and by Python."""
    watched, rows = settled("kmeans", HalfLife(300.0))
    blind = replace(watched, spec=replace(watched.spec, watch=False))
    with_it, done = learn(watched, rows)
    without, silent = learn(blind, rows)
    assert done.log_likelihood < 0.0 == silent.log_likelihood
    assert without.evidence == blind.evidence != with_it.evidence
    for name in ARRAYS:
        assert np.array_equal(getattr(without.moments, name), getattr(with_it.moments, name)), name
    with mock.patch.object(compiled_batches, "run_of", return_value=None):
        slow, _ = learn(blind, rows)
    alike(without, slow)
    assert from_state(to_state(without)).spec == without.spec
