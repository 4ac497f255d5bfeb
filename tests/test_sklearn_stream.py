"""Calls of `partial_fit` that follow each other: the way that skips the checks is the way that does not."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.base import clone

from stream_mix.mixture import posterior, state_hash
from stream_mix.mixture.kernels import available, chosen
from stream_mix.sklearn import GaussianMixture, KMeans, base

BOTH = [
    pytest.param(GaussianMixture(3, random_state=0, batch_size=32), id="full"),
    pytest.param(GaussianMixture(3, covariance_type="diag", random_state=0, batch_size=32), id="diag"),
    pytest.param(KMeans(3, random_state=0, batch_size=32), id="kmeans"),
]
COMPILED = chosen().name != available()[-1]


def rows(n: int, d: int = 3, seed: int = 0) -> NDArray[np.float64]:
    """Overlapping clusters."""
    rng = np.random.default_rng(seed)
    return 100.0 + 3.0 * rng.normal(size=(3, d))[rng.integers(0, 3, n)] + rng.normal(size=(n, d))


def started(estimator: Any) -> Any:
    """The estimator past its start, with a call behind it that checked everything."""
    return clone(estimator).partial_fit(rows(640)).partial_fit(rows(32, seed=1))


def state(estimator: Any) -> str:
    return state_hash(estimator.model_)


def slowly(estimator: Any, x: Any) -> Any:
    """`partial_fit` with every check."""
    with mock.patch.object(base.Learner, "_learn_plain", return_value=False):
        return estimator.partial_fit(x)


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("memory", [{}, {"half_life": 300}, {"half_life": "auto"}, {"window": 400}])
@pytest.mark.parametrize("sizes", [[32] * 9, [1, 5, 33, 64, 7], [3000, 10]])
def test_both_ways_learn_the_same_to_the_last_bit(
    estimator: Any, memory: dict[str, Any], sizes: list[int]
) -> None:
    estimator = clone(estimator).set_params(**memory)
    ours, theirs = started(estimator), started(estimator)
    for seed, n in enumerate(sizes):
        x = rows(n, seed=seed)
        assert ours.partial_fit(x) is ours
        slowly(theirs, x)
        assert state(ours) == state(theirs)
        if isinstance(ours, KMeans):
            assert np.array_equal(ours.labels_, theirs.labels_)


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled here")
@pytest.mark.parametrize("estimator", BOTH)
def test_plain_rows_go_without_checks_and_others_with_them(estimator: Any) -> None:
    x = rows(64)
    fitted = started(estimator)
    checks = mock.Mock(wraps=base.inputs.values)
    with mock.patch.object(base.inputs, "values", checks):
        for plain in (x, x.astype(np.float32), x[:1], x[:50]):
            fitted.partial_fit(plain)
            assert not checks.called
        holes = x.copy()
        holes[40, 0] = np.nan
        fitted.partial_fit(holes)  # the rows before the hole are plain
        assert not checks.called
        others = x.tolist(), np.asfortranarray(x), x[::2], x.astype(">f8"), x.astype(int), pd.DataFrame(x)
        for other in others:
            fitted.partial_fit(other)
            assert checks.called
            checks.reset_mock()
        fitted.partial_fit(x, sample_weight=np.ones(64))
        assert checks.called


@pytest.mark.parametrize("estimator", BOTH)
def test_rows_of_every_kind_are_learned_as_their_numbers(estimator: Any) -> None:
    x = rows(64).astype(np.float32).astype(np.float64)
    expected = state(started(estimator).partial_fit(x))
    for same in (x.astype(np.float32), x.tolist(), np.asfortranarray(x), x.astype(">f8"), pd.DataFrame(x)):
        assert state(started(estimator).partial_fit(same)) == expected


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e101])
@pytest.mark.parametrize("n", [1, 32, 70])
def test_what_is_refused_is_refused_in_the_same_words_and_changes_nothing(
    estimator: Any, bad: float, n: int
) -> None:
    fitted, x = started(estimator), rows(n)
    before = state(fitted)
    x[n - 1, 1] = bad
    with pytest.raises(ValueError) as expected:  # noqa: PT011  # the words are compared below
        slowly(fitted, x)
    with pytest.raises(ValueError, match=r"infinity|expected a number up to") as found:
        fitted.partial_fit(x)
    assert str(found.value) == str(expected.value)
    assert state(fitted) == before


@pytest.mark.parametrize("estimator", BOTH)
def test_arrays_of_another_shape_or_type_are_refused_in_the_same_words(estimator: Any) -> None:
    fitted, x = started(estimator), rows(5)
    before = state(fitted)
    for wrong in (rows(5, d=2), x[0], x[:0], x[None], x[:, :0], np.full((5, 3), "a")):
        with pytest.raises(ValueError) as expected:  # noqa: PT011
            slowly(fitted, wrong)
        with pytest.raises(ValueError) as found:  # noqa: PT011
            fitted.partial_fit(wrong)
        assert str(found.value) == str(expected.value)
    assert state(fitted) == before


@pytest.mark.parametrize("estimator", BOTH)
def test_parameters_that_are_set_between_calls_count_from_the_next_on(estimator: Any) -> None:
    x = rows(64)
    fitted = started(estimator)
    count = "n_clusters" if isinstance(fitted, KMeans) else "n_components"
    refused = ({count: 4}, "was 3 and is now 4"), ({count: True}, "is True"), ({"batch_size": 0}, "is 0")
    for bad, words in refused:
        before, given = state(fitted), fitted.get_params()
        with pytest.raises(ValueError, match=words):
            fitted.set_params(**bad).partial_fit(x)
        assert state(fitted) == before
        fitted.set_params(**given)
    changes: tuple[dict[str, Any], ...] = (
        {"half_life": 10.0},
        {"half_life": None, "window": 100},
        {"window": None, "batch_size": 16},
        {"half_life": "auto"},
        {"batch_size": 32},
        {"half_life": None},
    )
    for change in changes:
        theirs = clone(fitted)
        theirs.__setstate__(fitted.__getstate__())
        fitted.set_params(**change).partial_fit(x).partial_fit(x)
        slowly(slowly(theirs.set_params(**change), x), x)
        assert state(fitted) == state(theirs)
        assert fitted.model_.spec.batch_size == fitted.batch_size


def test_event_times_are_asked_for_after_a_call_that_had_them() -> None:
    x = rows(640)
    fitted = KMeans(3, random_state=0, time_half_life=10.0).partial_fit(x, t=np.arange(640.0))
    with pytest.raises(ValueError, match="needs event times"):
        fitted.partial_fit(x)
    fitted.set_params(time_half_life=None).partial_fit(x).partial_fit(x)
    with pytest.raises(ValueError, match="needs event times"):
        fitted.set_params(time_half_life=10.0).partial_fit(x)


@pytest.mark.parametrize("estimator", BOTH)
def test_names_of_features_are_asked_for_where_there_were_some(estimator: Any) -> None:
    frame = pd.DataFrame(rows(640), columns=["a", "b", "c"])
    fitted = clone(estimator).partial_fit(frame).partial_fit(frame)
    with pytest.warns(UserWarning, match="feature names"):
        fitted.partial_fit(frame.to_numpy())
    with pytest.warns(UserWarning, match="feature names"):
        fitted.predict(frame.to_numpy())


@pytest.mark.parametrize("estimator", BOTH)
def test_another_model_takes_the_place_of_the_one_before(estimator: Any) -> None:
    x = rows(64)
    fitted, other = started(estimator), started(estimator).partial_fit(rows(400, seed=9))
    fitted.partial_fit(x)
    fitted.model_ = other.model_
    assert state(fitted.partial_fit(x)) == state(slowly(other, x))
    refitted = started(estimator).fit(rows(300))
    assert state(refitted.partial_fit(x)) == state(slowly(clone(estimator).fit(rows(300)), x))


@pytest.mark.parametrize("estimator", BOTH)
def test_a_model_that_was_handed_out_stays(estimator: Any) -> None:
    fitted = started(estimator)
    held, x = fitted.model_, rows(32)
    before, means = state_hash(held), held.parameters.means.copy()
    fitted.partial_fit(x).partial_fit(x)
    assert state_hash(held) == before
    assert np.array_equal(held.parameters.means, means)
    assert fitted.model_.learned == held.learned + 64


@pytest.mark.parametrize("estimator", BOTH)
def test_pickles_and_copies_go_on(estimator: Any) -> None:
    fitted, x = started(estimator).partial_fit(rows(32)), rows(50)
    twins = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)]
    fitted.partial_fit(x)
    for twin in twins:
        assert state(twin.partial_fit(x)) == state(fitted)
        assert state(twin.partial_fit(x)) != state(fitted)
    assert "_checked" not in fitted.__getstate__()


@pytest.mark.parametrize("estimator", BOTH)
def test_each_answer_is_the_posteriors(estimator: Any) -> None:
    fitted, x = started(estimator), rows(100)
    missing = x.copy()
    missing[3, 1] = np.nan
    for part in (x, x.astype(np.float32).astype(np.float64), x[:1], missing, x.tolist()):
        found = posterior(fitted.model_, part)
        assert np.array_equal(fitted.predict(part), found.label)
        assert np.array_equal(fitted.outlier_samples(part), found.outlier)
        if isinstance(fitted, GaussianMixture):
            assert np.array_equal(fitted.predict_proba(part), found.p)
            assert np.array_equal(fitted.score_samples(part), found.log_density)
            assert np.array_equal(fitted.predict_proba(part).argmax(axis=1), found.label)
    x[5, 0] = 1e101
    with pytest.raises(ValueError, match="row 5, feature 0"):
        fitted.outlier_samples(x)


@pytest.mark.parametrize("n", [32, 50, 96])
def test_labels_that_were_read_come_with_the_next_call(n: int) -> None:
    kmeans = KMeans(3, random_state=0, batch_size=32)
    eager, lazy = started(kmeans), started(kmeans)
    for seed in range(80):
        x = rows(n, seed=seed)
        assert len(eager.partial_fit(x).labels_) == n
        lazy.partial_fit(x)
        copied = pickle.loads(pickle.dumps(lazy))
        x[:] = 0.0  # the caller's array is the caller's
        assert np.array_equal(eager.labels_, copied.labels_)
    assert np.array_equal(lazy.labels_, eager.labels_)
    # Far from where the model is its basis moves with it, and labels are still those under its centres.
    far = KMeans(3, random_state=0, batch_size=32, half_life=64).partial_fit(rows(640))
    for seed in range(70):
        x = 1e6 * rows(32, seed=seed)
        assert np.array_equal(far.partial_fit(x).labels_, far.predict(x))
