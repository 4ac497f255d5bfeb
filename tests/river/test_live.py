"""Estimators with a live model against the same without: what they learn, answer, refuse and leave behind."""

from __future__ import annotations

import copy
import datetime as dt
import math
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import state_hash
from stream_mix.mixture.live import isas
from stream_mix.river import GaussianMixture, GaussianMixtureScorer, KMeans, learner

pytestmark = pytest.mark.skipif(not isas(), reason="nothing is compiled here: no model goes live")

KINDS = ["kmeans", "spherical", "diag", "tied", "full"]
MEMORIES: list[dict[str, Any]] = [{}, {"half_life": 30.0}, {"time_half_life": 20.0}]
NOON = dt.datetime(2024, 5, 1, 12, tzinfo=dt.UTC)


@contextmanager
def never_live() -> Iterator[None]:
    """Estimators that are made here stay with `learn`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "live_of", lambda *choices: None)
        patch.setattr(learner, "goes_live", lambda spec: False)
        yield


def made(kind: str, **options: Any) -> Any:
    if kind == "kmeans":
        return KMeans(3, seed=7, **options)
    return GaussianMixture(3, kind, seed=7, **options)


values = st.one_of(
    st.floats(-20.0, 20.0),
    st.integers(-20, 20),
    st.booleans(),
    st.none(),
    st.just(math.nan),
    st.floats(-20.0, 20.0).map(np.float64),
    st.floats(-20.0, 20.0, width=32).map(np.float32),
    st.integers(-20, 20).map(np.int64),
    st.integers(-20, 20).map(lambda value: Fraction(value, 3)),
    st.decimals(-20, 20, places=3),
)
names = st.sampled_from(["a", "b", "c", 4, True, (1, 2)])
rows = st.lists(
    st.tuples(
        st.dictionaries(names, values, max_size=5),
        st.sampled_from([1.0, 2, True, 0.5, np.float32(3.0)]),
        st.sampled_from([0.0, 3, 60.0, math.nan, NOON, np.float64(9.0)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("kind", KINDS)
@given(memory=st.sampled_from(MEMORIES), stream=rows, beside=st.booleans())
@settings(max_examples=10)
def test_live_or_not_the_same_is_learned(kind: str, memory: Any, stream: Any, beside: bool) -> None:
    options = {**memory, **({"weight_feature": "w", "time_feature": "t"} if beside else {})}
    one = made(kind, **options)
    other = made(kind, **options)
    for x, w, t, ordered in stream:
        row = OrderedDict(x) if ordered else x
        given = {"t": t, **row, "w": w} if beside else row
        extra = {} if beside else {"w": w, "t": t}
        one.learn_one(given, **extra)
        with never_live():
            other.learn_one(given, **extra)
        assert one.learned_rows == other.learned_rows
        assert one.feature_names == other.feature_names
    np.testing.assert_allclose(list(one.weights.values()), list(other.weights.values()), atol=1e-7)
    for x, *_ in stream[:5]:
        ours, theirs = one.predict_proba_one(x), other.predict_proba_one(x)
        np.testing.assert_allclose(list(ours.values()), list(theirs.values()), atol=1e-5)
        assert theirs[one.predict_one(x)] >= max(theirs.values()) - 1e-5


def settled(kind: str, **options: Any) -> tuple[Any, list[dict[str, float]]]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(640, 2)) + 5.0 * rng.integers(0, 3, (640, 1))
    table = [dict(zip("ab", row, strict=True)) for row in x.tolist()]
    model = made(kind, **options)
    for row in table[:600]:
        model.learn_one(row, t=1.0)
    assert model._live is not None
    return model, table


REFUSED: list[tuple[Any, dict[str, Any]]] = [
    ({"a": 1.0, "b": "red"}, {}),
    ({"a": 1.0, "b": math.inf}, {}),
    ({"a": 1.0, "b": 10**400}, {}),
    ({"a": 1.0, "b": 1j}, {}),
    ({"a": 1.0, "new": [2]}, {}),
    ({"a": 1.0}, {"w": 0}),
    ({"a": 1.0}, {"w": "2"}),
    ({"a": 1.0}, {"w": -math.inf}),
    ({"a": 1.0}, {"t": "noon"}),
    ({"a": 1.0}, {"t": math.inf}),
    ([1.0], {}),
    (None, {}),
]


@pytest.mark.parametrize("kind", KINDS)
def test_live_or_not_the_same_is_refused_in_the_same_words(kind: str) -> None:
    model, _ = settled(kind)
    with never_live():
        other = copy.deepcopy(model)
    assert other._live is None
    before = pickle.dumps(model)
    for x, extra in REFUSED:
        words = []
        for each in (model, other):
            with pytest.raises((ValueError, TypeError)) as caught:
                each.learn_one(x, **extra)
            words.append((caught.type, str(caught.value)))
        assert words[0] == words[1]
        if not extra:
            for ask in ("predict_one", "predict_proba_one"):
                with pytest.raises(words[0][0]) as caught:
                    getattr(model, ask)(x)
                assert str(caught.value) == words[0][1]
    assert pickle.dumps(model) == before
    timed, _ = settled(kind, time_half_life=50.0)
    with pytest.raises(ValueError, match="time_half_life needs event times"):
        timed.learn_one({"a": 1.0, "b": 1.0})


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_to_the_bit_as_a_pickle_a_copy_or_a_frame(kind: str) -> None:
    model, table = settled(kind, half_life=100.0)
    twins = [pickle.loads(pickle.dumps(model)), copy.deepcopy(model), model.clone(include_attributes=True)]
    for i, row in enumerate(table[600:]):
        row = {"b": row["b"]} if i % 7 == 0 else row
        for each in (model, *twins):
            each.learn_one(row, w=1.0 + i % 3)
    whole, split = made(kind, half_life=100.0), made(kind, half_life=100.0)
    frame = pd.DataFrame(table)
    whole.learn_many(frame, t=1.0)
    split.learn_many(frame[:601], t=1.0)
    assert split.model.learned == 601
    for row in table[601:]:
        split.learn_one(row, t=1.0)
    assert state_hash(whole.model) == state_hash(split.model)
    for twin in twins:
        assert state_hash(twin.model) == state_hash(model.model)
        assert twin.predict_proba_one(table[0]) == model.predict_proba_one(table[0])


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_at_the_model_changes_nothing(kind: str) -> None:
    watched, alone = made(kind), made(kind)
    rng = np.random.default_rng(1)
    for x in rng.normal(size=(150, 2)).tolist():
        for model in (watched, alone):
            model.learn_one(dict(zip("ab", x, strict=True)))
        seen = watched.model
        assert seen.learned == watched.learned_rows
        assert len(seen.reservoir) == 0 or sum(map(len, seen.reservoir)) == seen.learned
    assert state_hash(watched.model) == state_hash(alone.model)


def test_a_model_that_was_handed_out_stays_as_it_was() -> None:
    model, table = settled("full")
    out = model.model
    before = state_hash(out)
    for row in table:
        model.learn_one(row)
    assert state_hash(out) == before != state_hash(model.model)


@pytest.mark.parametrize("score", ["tail_probability", "log_density", "remoteness"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_scores(kind: str, score: str) -> None:
    rng = np.random.default_rng(0)
    model = GaussianMixtureScorer(2, kind, score=score, seed=42)
    for a, b in rng.normal(size=(300, 2)).tolist():
        model.learn_one({"a": a, "b": b + a})
    questions: list[dict[Any, Any]] = [{"a": 0.1, "b": 0.2}, {"a": 9.0, "b": -3}, {"b": 1.0}, {}, {"z": 1}]
    with never_live():
        other = copy.deepcopy(model)
    for x in questions:
        assert model._live is not None
        assert model.score_one(x) == pytest.approx(other.score_one(x), abs=1e-9)
        assert model.score_one({**x, "c": Decimal(1)}) == pytest.approx(model.score_one(x), abs=1e-9)


def test_a_learn_many_that_fails_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    model, table = settled("diag")
    before = pickle.dumps(model)
    real = learner.learn

    def out_of_memory(*given: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(learner, "learn", out_of_memory)
    frame = pd.DataFrame([*table[:5], {"a": 1.0, "new": 2.0}])
    with pytest.raises(MemoryError):
        model.learn_many(frame)
    assert pickle.dumps(model) == before
    monkeypatch.setattr(learner, "learn", real)
    model.learn_many(frame)
    assert model.learned_rows == 606
