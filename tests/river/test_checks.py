"""River's own checks on all three estimators, and the ones that it does not give to clusterers."""

from __future__ import annotations

import copy
import functools
import gc
import itertools
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from river import checks, datasets
from river.checks import anomaly, common

from stream_mix.mixture import state_hash
from stream_mix.river import GaussianMixture, GaussianMixtureScorer, KMeans

Data = list[tuple[dict[Any, Any], Any]]

CLUSTERERS = [
    pytest.param(GaussianMixture(n_components=2), id="GaussianMixture"),
    pytest.param(GaussianMixture(n_components=3, covariance_type="diag", window=50), id="Window"),
    pytest.param(KMeans(n_clusters=3), id="KMeans"),
]
SCORERS = [
    pytest.param(GaussianMixtureScorer(n_components=2), id="GaussianMixtureScorer"),
    pytest.param(GaussianMixtureScorer(n_components=2, score="log_density"), id="Density"),
]
ESTIMATORS = CLUSTERERS + SCORERS
LEARNERS = [*CLUSTERERS, SCORERS[0]]  # what the second scorer learns is what the first one learns


@functools.cache
def rows_of(name: str, n: int) -> Data:
    return list(getattr(datasets, name)().take(n))


DATA = [pytest.param(name, id=name) for name in ("ImageSegments", "Phishing", "Bananas")]


@pytest.fixture(autouse=True)
def steady_random() -> None:
    # River's checks draw from the module's own generator, and estimators without a seed from the machine's.
    random.seed(42)


@pytest.mark.parametrize("model", CLUSTERERS)
def test_check_estimator(model: Any) -> None:
    checks.check_estimator(model)


def test_check_estimator_of_the_scorer() -> None:
    if not datasets.CreditCard().is_downloaded:
        pytest.skip("River checks detectors on CreditCard, a download; the next test does on bundled data")
    checks.check_estimator(GaussianMixtureScorer(n_components=2))


def test_all_that_check_estimator_does_on_bundled_data() -> None:
    model = GaussianMixtureScorer(n_components=2)
    done = []
    for check in checks.yield_checks(model):
        if isinstance(check, functools.partial):
            long = check.func is common.check_bounded_memory_growth
            check.func(model.clone(), dataset=rows_of("Shuttle", 1100 if long else 150))
        else:
            check(model.clone())
        done.append(check.__name__)
    assert {"check_seeding_is_idempotent", "check_roc_auc", "check_bounded_memory_growth"} <= set(done)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", LEARNERS)
@pytest.mark.parametrize(
    "check",
    [
        common.check_learn_one,
        common.check_pickling,
        common.check_shuffle_features_no_impact,
        common.check_emerging_features,
        common.check_disappearing_features,
        common.check_radically_disappearing_features,
        common.check_no_state_aliasing_with_input,
        common.check_clone_is_independent,
        common.check_seeding_is_idempotent,
        common.check_learn_many_matches_learn_one,
    ],
)
def test_rivers_checks_that_apply_as_they_are(check: Callable[..., None], model: Any, data: str) -> None:
    check(model.clone(), dataset=rows_of(data, 40))


@pytest.mark.parametrize("score", ["tail_probability", "log_density", "remoteness"])
def test_a_detector_ranks_anomalies_above_the_rest(score: str) -> None:
    model = GaussianMixtureScorer(n_components=2, score=score, seed=42)
    anomaly.check_roc_auc(model, rows_of("Shuttle", 400))


# River's checks of the same names return early where an estimator is neither detector nor classifier.


def answers(model: Any, x: dict[Any, Any]) -> Iterator[Any]:
    """What every question gets for an answer."""
    if isinstance(model, GaussianMixtureScorer):
        yield model.score_one(x)
    else:
        yield model.predict_one(x)
        yield model.predict_proba_one(x)


def ask_frame(model: Any, X: pd.DataFrame) -> Iterator[list[Any]]:
    """The same questions asked of a frame, row by row."""
    if isinstance(model, GaussianMixtureScorer):
        yield from ([score] for score in model.score_many(X).tolist())
    else:
        probabilities = model.predict_proba_many(X).to_dict("records")
        yield from ([a, b] for a, b in zip(model.predict_many(X).tolist(), probabilities, strict=True))


def seeded(model: Any) -> Any:
    return model.clone({"seed": 42})


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", ESTIMATORS)
def test_answering_changes_neither_input_nor_model(model: Any, data: str) -> None:
    model = seeded(model)
    for x, _ in rows_of(data, 40):
        model.learn_one(x)
        before, state = copy.deepcopy(x), pickle.dumps(model)
        first = list(answers(model, x))
        list(answers(model, {**x, "never seen": 1.0}))
        assert list(answers(model, x)) == first
        assert x == before
        assert list(x) == list(before)
        assert pickle.dumps(model) == state


@pytest.mark.parametrize("model", ESTIMATORS)
def test_answers_before_any_learning(model: Any) -> None:
    model = seeded(model)
    for x in ({}, {"a": 1.0}, {"a": None}):
        found = list(answers(model, x))
        if isinstance(model, GaussianMixtureScorer):
            assert found == [0.0]
        else:
            k = len(model.weights)
            assert found == [0, dict.fromkeys(range(k), 1.0 / k)]
    assert model.centers == {}
    assert model.feature_names == ()


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", CLUSTERERS)
def test_probabilities_sum_to_one_and_agree_with_the_label(model: Any, data: str) -> None:
    model = seeded(model)
    for x, _ in rows_of(data, 40):
        p = model.predict_proba_one(x)
        assert abs(sum(p.values()) - 1.0) <= 1e-12
        assert max(p, key=p.__getitem__) == model.predict_one(x)
        model.learn_one(x)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", ESTIMATORS)
def test_many_answers_as_one_does(model: Any, data: str) -> None:
    model = seeded(model)
    rows = [x for x, _ in rows_of(data, 70)]
    for x in rows[:40]:
        model.learn_one(x)
    holed = [{name: value for name, value in x.items() if random.random() < 0.8} for x in rows[40:]]
    for queries in (rows[40:], holed):
        many = list(ask_frame(model, pd.DataFrame(queries)))
        assert len(many) == len(queries)
        for x, (*label, last) in zip(queries, many, strict=True):
            *one_label, one_last = answers(model, x)
            assert label == one_label
            if isinstance(last, dict):
                assert list(last) == list(one_last)
                last, one_last = list(last.values()), list(one_last.values())
            np.testing.assert_allclose(last, one_last, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("model", LEARNERS)
def test_learn_many_is_learn_one_to_the_last_bit(model: Any, data: str) -> None:
    one, many = seeded(model), seeded(model)
    rows = [x for x, _ in rows_of(data, 75)]
    features = list(rows[0])
    half = len(features) // 2
    subsets = [features[:half], features, features[half:], features[:1], features]
    for i, names in enumerate(subsets):
        chunk = [{name: x[name] for name in names} for x in rows[15 * i : 15 * (i + 1)]]
        for x in chunk:
            one.learn_one(x)
        many.learn_many(pd.DataFrame(chunk, columns=names))
        assert one.feature_names == many.feature_names
        assert state_hash(one.model) == state_hash(many.model)
    assert one.learned_rows == 75


@pytest.mark.parametrize("model", ESTIMATORS)
def test_seeds(model: Any) -> None:
    rows = rows_of("ImageSegments", 60)
    one, same, other = seeded(model), seeded(model), model.clone({"seed": 7})
    assert model._is_stochastic
    assert not one._is_stochastic
    free = model.clone(), model.clone()
    assert free[0].model.spec.random_state != free[1].model.spec.random_state
    for x, _ in rows:
        assert list(answers(one, x)) == list(answers(same, x))
        for each in (one, same, other):
            each.learn_one(x)
    assert state_hash(one.model) == state_hash(same.model) != state_hash(other.model)


@pytest.mark.parametrize("model", LEARNERS)
def test_memory_does_not_grow_once_the_start_is_settled(model: Any) -> None:
    model = seeded(model)
    common.check_bounded_memory_growth(model.clone(), dataset=rows_of("Bananas", 600))
    sizes = []
    # By then the sample of the stream is full, too.
    for first, stop in ((0, 2100), (2100, 2250), (2250, 2550)):
        for x, _ in itertools.islice(rows_of("Bananas", 2550), first, stop):
            model.learn_one(x)
        gc.collect()
        sizes.append(model._raw_memory_usage + len(pickle.dumps(model)))
    # And up to 256 rows of two features, a weight and a time wait for the next look, with their numbers.
    waiting = 256 * 6 * 8
    assert max(sizes) <= min(sizes) + waiting + 2048, "no more than what was computed and kept differs"


@pytest.mark.parametrize("model", ESTIMATORS)
def test_a_pickle_goes_on_where_the_model_was(model: Any) -> None:
    model = seeded(model)
    rows = [x for x, _ in rows_of("Phishing", 60)]
    for x in rows[:30]:
        model.learn_one(x)
    twins = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), model.clone(include_attributes=True)]
    for x in rows[30:]:
        for each in (model, *twins):
            each.learn_one(x)
    for twin in twins:
        assert state_hash(twin.model) == state_hash(model.model)
        assert list(answers(twin, rows[0])) == list(answers(model, rows[0]))
        assert twin.feature_names == model.feature_names
