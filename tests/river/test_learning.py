"""Laws of learning by name: grouping, order, holes, new features, weights, times, and what is refused."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import Model, Rows, Spec, health, learn, parameters, posterior, state_hash
from stream_mix.river import GaussianMixture, GaussianMixtureScorer, KMeans

MEMORIES: list[dict[str, Any]] = [
    {}, {"half_life": 5.0}, {"window": 6}, {"time_half_life": 3.0}, {"half_life": 5.0, "lateness": 10.0},
    {"half_life": "auto"}, {"step_exponent": 0.7}, {"averaged": True},
]  # fmt: skip

values = st.one_of(st.none(), st.booleans(), st.integers(-50, 50), st.floats(-1e6, 1e6), st.just(math.nan))
features = st.dictionaries(st.sampled_from("abcde"), values, max_size=5)
times = st.one_of(st.none(), st.floats(0.0, 100.0))
events = st.lists(st.tuples(features, st.floats(0.1, 10.0), times), min_size=1, max_size=24)


@st.composite
def estimators(draw: st.DrawFn) -> Any:
    size = draw(st.sampled_from([1, 1, 3, 8]))
    options = {**draw(st.sampled_from(MEMORIES)), "batch_size": size, "seed": 42}
    if draw(st.booleans()):
        return KMeans(n_clusters=2, **options)
    kind = draw(st.sampled_from(["full", "tied", "diag", "spherical"]))
    return GaussianMixture(2, kind, degrees_of_freedom=draw(st.sampled_from([None, None, 4.0])), **options)


def assert_same(one: Any, other: Any) -> None:
    assert one.feature_names == other.feature_names
    assert state_hash(one.model) == state_hash(other.model)


@given(estimators(), events, st.data())
def test_grouping_changes_no_bit(model: Any, stream: list[Any], data: st.DataObject) -> None:
    one, many = model.clone(), model.clone()
    for x, w, t in stream:
        one.learn_one(x, w=w, t=math.nan if t is None else t)
    rest = stream
    while rest:
        n = data.draw(st.integers(1, len(rest)))
        chunk, rest = rest[:n], rest[n:]
        xs, ws, ts = zip(*chunk, strict=True)
        columns = data.draw(st.permutations(list({name: None for x in xs for name in x})))
        if data.draw(st.booleans()):
            X: Any = pd.DataFrame(list(xs), columns=columns, index=range(5, 5 + n))
        else:
            cells = {name: [x.get(name) for x in xs] for name in columns}
            X = pl.DataFrame(cells, schema=dict.fromkeys(columns, pl.Float64), strict=False)
            # A polars frame without columns has no rows either; then there is nothing to learn.
            ws, ts = (ws, ts) if columns else ((), ())
        many.learn_many(X, w=list(ws), t=list(ts))
    assert_same(one, many)


def test_a_feature_that_only_late_rows_have_is_not_learned_in_groups_either() -> None:
    frame = pd.DataFrame({"a": [1.0, None, None], "b": [None, 2.0, None], "c": [None, None, 3.0]})
    one, many = (KMeans(2, lateness=5.0, seed=1) for _ in range(2))
    times = [100.0, 0.0, 101.0]
    for row, t in zip(frame.to_dict("records"), times, strict=True):
        one.learn_one(row, t=t)
    many.learn_many(frame, t=times)
    assert one.feature_names == many.feature_names == ("a", "c")
    assert one.late_rows == many.late_rows == 1
    assert_same(one, many)


@given(estimators(), events, st.randoms())
def test_the_order_of_features_changes_no_bit(model: Any, stream: list[Any], random: Any) -> None:
    one, other = model.clone(), model.clone()
    for x, w, t in stream:
        items = list(x.items())
        random.shuffle(items)
        one.learn_one(x, w=w, t=math.nan if t is None else t)
        other.learn_one(dict(items), w=w, t=math.nan if t is None else t)
        assert one.predict_proba_one(x) == other.predict_proba_one(dict(items))
    assert_same(one, other)


@given(estimators(), events)
def test_absent_none_and_nan_are_one_thing(model: Any, stream: list[Any]) -> None:
    absent, none, nan = model.clone(), model.clone(), model.clone()
    for x, w, _ in stream:
        known = {name: value for name, value in x.items() if value is not None and value == value}
        absent.learn_one(known, w=w, t=1.0)
        none.learn_one({**dict.fromkeys("abcde"), **known}, w=w, t=1.0)
        nan.learn_one({**dict.fromkeys("abcde", math.nan), **known}, w=w, t=1.0)
    assert_same(absent, none)
    assert_same(absent, nan)


@given(estimators(), events, st.lists(features, min_size=1, max_size=8))
@settings(max_examples=30)
def test_answers_of_any_state_to_any_question(model: Any, stream: list[Any], queries: list[Any]) -> None:
    for x, w, t in stream:
        model.learn_one(x, w=w, t=math.nan if t is None else t)
    columns = list("abcde")
    X = pd.DataFrame(queries, columns=columns)
    many, labels = model.predict_proba_many(X), model.predict_many(X)
    for i, x in enumerate(queries):
        p = model.predict_proba_one(x)
        assert list(p) == list(model.model.components) == list(many.columns)
        assert abs(sum(p.values()) - 1.0) <= 1e-12
        assert max(p, key=p.__getitem__) == model.predict_one(x)
        np.testing.assert_allclose(list(p.values()), many.iloc[i], rtol=1e-10, atol=1e-10)
        # Where two are as likely as each other to the last digits, either is right.
        assert p[int(labels.iloc[i])] >= max(p.values()) - 1e-10


def test_it_is_the_core_and_nothing_but_the_core() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)) + 4.0 * rng.integers(0, 2, size=(200, 1))
    model = GaussianMixture(2, "full", half_life=50.0, seed=7)
    core = Model.new(Spec(2, "full", memory=model.model.spec.memory, batch_size=1, random_state=7), 3)
    for row in X:
        model.learn_one(dict(zip("abc", row.tolist(), strict=True)))
    core, _ = learn(core, Rows.of(X))
    # Not to the last bit: a row at a time is learned by code of its own.
    centers = [list(center.values()) for center in model.centers.values()]
    found = [[list(row.values()) for row in matrix.values()] for matrix in model.covariances.values()]
    says = posterior(core, X[:1])
    x = dict(zip("abc", X[0].tolist(), strict=True))
    np.testing.assert_allclose(centers, parameters(core).means, rtol=1e-10)
    np.testing.assert_allclose(list(model.weights.values()), parameters(core).weights, rtol=1e-10)
    np.testing.assert_allclose(found, parameters(core).covariances, rtol=1e-9)
    np.testing.assert_allclose(list(model.predict_proba_one(x).values()), says.p[0], rtol=1e-9)
    scorers = {score: GaussianMixtureScorer(2, score=score, half_life=50.0, seed=7) for score in SCORES}
    for scorer in scorers.values():
        scorer.learn_many(pd.DataFrame(X, columns=list("abc")))
    assert scorers["tail_probability"].score_one(x) == pytest.approx(says.outlier[0], rel=1e-9)
    assert scorers["log_density"].score_one(x) == pytest.approx(-says.log_density[0], rel=1e-9)


SCORES = ("tail_probability", "log_density")


def test_log_density_ranks_what_tail_probability_cannot() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    tail, density = (GaussianMixtureScorer(1, score=score, seed=42) for score in SCORES)
    tail.learn_many(frame)
    density.learn_many(frame)
    far, further = {"a": 100.0, "b": 0.0}, {"a": 200.0, "b": 0.0}
    assert tail.score_one(far) == tail.score_one(further) == 1.0
    assert density.score_one(far) < density.score_one(further)
    assert all(0.0 <= score <= 1.0 for score in tail.score_many(frame))


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical", "kmeans"])
def test_a_feature_that_emerges_is_learned(kind: str) -> None:
    model: Any = KMeans(2, seed=42) if kind == "kmeans" else GaussianMixture(2, kind, seed=42)
    rng = np.random.default_rng(1)
    side = rng.choice([-1.0, 1.0], size=1000)
    a, b = 5.0 * side + rng.normal(size=1000), 3.0 * side + rng.normal(size=1000)
    for i in range(1000):
        model.learn_one({"a": a[i]} if i < 600 else {"b": b[i], "a": a[i]})
    assert model.feature_names == ("a", "b")
    for center in model.centers.values():
        sign = math.copysign(1.0, center["a"])
        assert center["a"] == pytest.approx(5.0 * sign, abs=0.5)
        # Round components put a missing value at their own centre, and that shows for a while.
        assert center["b"] == pytest.approx(3.0 * sign, abs=0.7)
    assert model.predict_one({"b": 3.0}) == model.predict_one({"a": 5.0}) != model.predict_one({"b": -3.0})


def test_a_row_without_any_value_teaches_nothing() -> None:
    model = GaussianMixture(2, seed=42)
    for x in ({}, {"a": None}, {"a": 1.0}, {"a": 2.0}, {}, {"a": math.nan}, {"b": None}):
        model.learn_one(x)
    assert model.learned_rows == 2
    assert model.feature_names == ("a",)
    model.learn_many(pd.DataFrame({"a": [None, 3.0], "c": [None, None]}))
    model.learn_many(pd.DataFrame({"a": []}))
    model.learn_many(pd.DataFrame(index=[1, 2]))
    assert model.learned_rows == 3
    assert model.feature_names == ("a",)


def test_with_nothing_known_the_heaviest_component_is_likeliest() -> None:
    model = GaussianMixture(2, seed=42)
    for i in range(40):
        model.learn_one({"a": 0.0 if i % 4 else 10.0 + i % 3})
    for x in ({}, {"unknown": 4.0}, {"a": None}):
        assert model.predict_proba_one(x) == pytest.approx(model.weights)
        assert model.predict_one(x) == model.predict_one({"a": 0.0})


def test_rows_wait_until_their_batch_is_full() -> None:
    model = GaussianMixture(2, batch_size=4, seed=42)
    for i in range(7):
        model.learn_one({"a": float(i)})
        assert model.learned_rows == (i + 1) // 4 * 4
    assert health(model.model)["pending"] == 3
    model.learn_one({"a": 7.0, "late": 1.0})
    assert model.learned_rows == 8
    assert set(model.centers[0]) == {"a", "late"}


def test_a_weight_counts_as_that_many_rows() -> None:
    weighted, repeated = (KMeans(2, seed=42) for _ in range(2))
    for i in range(30):
        weighted.learn_one({"a": float(i % 2 * 10)}, w=1 + i % 3)
        for _ in range(1 + i % 3):
            repeated.learn_one({"a": float(i % 2 * 10)})
    assert sorted(c["a"] for c in weighted.centers.values()) == pytest.approx([0.0, 10.0])
    assert sorted(c["a"] for c in repeated.centers.values()) == pytest.approx([0.0, 10.0])
    assert weighted.model.moments.mass.sum() == repeated.model.moments.mass.sum() == 60.0


def test_what_is_remembered() -> None:
    def level(**memory: Any) -> float:
        model = KMeans(1, **memory, seed=42)
        for i in range(200):
            model.learn_one({"a": 0.0 if i < 100 else 1.0}, t=float(i))
        return model.centers[0]["a"]

    assert level() == pytest.approx(0.5)
    assert level(half_life=100.0) == pytest.approx(2 / 3, abs=0.01)
    assert level(time_half_life=50.0) == pytest.approx(0.8, abs=0.01)
    assert level(window=50) == 1.0


BAD = [
    ({"n_components": 0}, "n_components is 0, expected an integer >= 1 or 'auto'"),
    ({"n_components": 2.0}, "n_components is 2.0, expected an integer >= 1"),
    ({"n_components": True}, "n_components is True, expected an integer >= 1"),
    ({"covariance_type": "round"}, "covariance_type is 'round', expected one of 'diag', 'full', "),
    ({"covariance_type": "kmeans"}, "covariance_type is 'kmeans', expected one of"),
    ({"covariance_type": ["full"]}, "covariance_type is .'full'., expected one of"),
    ({"half_life": 0}, "half_life is 0, expected a number of rows > 0"),
    ({"time_half_life": -1.0}, "time_half_life is -1.0, expected a number of seconds > 0"),
    ({"lateness": -1.0}, "lateness is -1.0, expected a finite number of seconds >= 0"),
    ({"lateness": "60"}, "lateness is '60', expected a finite number of seconds >= 0"),
    ({"half_life": "soon"}, "half_life is 'soon', expected a number of rows > 0"),
    ({"time_half_life": "auto"}, "time_half_life is 'auto', expected a number of seconds > 0; a half-life"),
    ({"time_half_life": "60"}, "time_half_life is '60', expected a number of seconds > 0"),
    ({"window": 0}, "window is 0, expected an integer of rows >= 1"),
    ({"window": 10.5}, "window is 10.5, expected an integer of rows >= 1"),
    ({"half_life": 1.0, "window": 5}, "half_life=1.0 and window=5 are given, expected at most one memory"),
    ({"averaged": True, "window": 5}, "window=5 and averaged=True are given, expected at most one memory"),
    ({"step_exponent": 0.5}, "step_exponent is 0.5, expected a number > 0.5 and <= 1"),
    ({"averaged": 1}, "averaged is 1, expected True or False"),
    ({"degrees_of_freedom": 0}, "degrees_of_freedom is 0, expected a number of degrees > 0"),
    ({"batch_size": 0}, "batch_size is 0, expected an integer >= 1"),
    ({"seed": -1}, "seed is -1, expected an integer >= 0"),
    ({"reg_covar": -1e-6}, "reg_covar is -1e-06, expected a finite number >= 0"),
    ({"reg_covar": "0"}, "reg_covar is '0', expected a finite number >= 0"),
    ({"time_feature": "t", "weight_feature": "t"}, "time_feature and weight_feature are both 't'"),
]


@pytest.mark.parametrize(("given", "message"), BAD)
@pytest.mark.parametrize("kind", [GaussianMixture, GaussianMixtureScorer])
def test_bad_parameters_are_named_at_once(kind: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        kind(**given)
    assert "\n" not in str(caught.value)


def test_bad_parameters_of_their_own() -> None:
    with pytest.raises(ValueError, match="n_clusters is -3, expected an integer >= 1"):
        KMeans(n_clusters=-3)
    with pytest.raises(ValueError, match="score is 'odds', expected one of 'tail_probability', 'log_dens"):
        GaussianMixtureScorer(score="odds")


REFUSED = [
    ({"a": 1.0, "b": "red"}, {}, ValueError, "feature 'b' is 'red', expected a number up to 1e"),
    ({"a": math.inf}, {}, ValueError, "feature 'a' is inf, expected a number up to 1e"),
    ({"a": 1.0}, {"w": 0.0}, ValueError, "w is 0.0, expected a number > 0"),
    ({"a": 1.0}, {"w": "2"}, ValueError, "w is '2', expected a number > 0"),
    ({"a": 1.0}, {"w": -1}, ValueError, "w is -1, expected a number > 0"),
    ({"a": 1.0}, {"w": math.inf}, ValueError, "w is inf, expected a number > 0"),
    ({"a": 1.0}, {"t": "noon"}, ValueError, "t is 'noon', expected Unix seconds or a datetime"),
    ({"a": 1.0}, {"t": math.inf}, ValueError, "t is inf, expected Unix seconds or a datetime"),
    ([1.0], {}, TypeError, "x is a list, expected a dict of feature names and values"),
    (None, {}, TypeError, "x is a NoneType, expected a dict of feature names and values"),
]


@pytest.mark.parametrize(("x", "beside", "error", "message"), REFUSED)
def test_a_bad_row_teaches_nothing(x: Any, beside: Any, error: type[Exception], message: str) -> None:
    model = GaussianMixture(2, seed=42)
    model.learn_one({"a": 1.0}, t=0.0)
    before = pickle.dumps(model)
    with pytest.raises(error, match=message) as caught:
        model.learn_one(x, **beside)
    assert "\n" not in str(caught.value)
    assert pickle.dumps(model) == before
    if not beside:
        with pytest.raises(error, match=message):
            model.predict_one(x)


def test_event_time_memory_without_event_times_is_an_error() -> None:
    model = GaussianMixture(2, time_half_life=60.0, seed=42)
    with pytest.raises(ValueError, match="time_half_life needs event times: pass t, or name a feature"):
        model.learn_one({"a": 1.0})
    with pytest.raises(ValueError, match="time_half_life needs event times: pass t, or name a feature"):
        model.learn_many(pd.DataFrame({"a": [1.0]}))
    assert model.learned_rows == 0


@pytest.mark.parametrize("kind", [GaussianMixture, KMeans, GaussianMixtureScorer])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_late_rows_are_counted_however_they_come(kind: Any, batch_size: int) -> None:
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(900, 2)), np.arange(900.0) - np.where(rng.random(900) < 0.1, 50.0, 0.0)
    options = {"half_life": 300.0, "batch_size": batch_size, "lateness": 20.0, "seed": 1}
    by_row, by_frame, aside = kind(2, **options), kind(2, **options), kind(2, time_feature="t", **options)
    for (a, b), when in zip(x.tolist(), t.tolist(), strict=True):
        by_row.learn_one({"a": a, "b": b}, t=when)
        aside.learn_one({"a": a, "b": b, "t": when})
    by_frame.learn_many(pd.DataFrame(x, columns=["a", "b"]), t=t)
    late = t < np.maximum.accumulate(np.append(-np.inf, t))[:-1] - 20.0
    assert by_row.late_rows == late.sum() > 50
    for model in (by_frame, aside, pickle.loads(pickle.dumps(by_row))):
        assert model.late_rows == by_row.late_rows
        assert_same(model, by_row)
    spec = by_row.model.spec
    core, _ = learn(Model.new(spec, 2), Rows.of(x, t=t))
    assert core.late == late.sum()
    assert by_row.learned_rows == core.learned
    np.testing.assert_allclose(parameters(by_row.model).means, parameters(core).means, rtol=1e-9)


def test_merging_goes_by_the_names_of_features() -> None:
    rng = np.random.default_rng(0)
    centres = rng.choice([0.0, 60.0], (1200, 1))
    rows = (centres + rng.normal(size=(1200, 3)) * [1.0, 2.0, 3.0]).tolist()
    one, two = (GaussianMixture(2, seed=seed) for seed in (1, 2))
    for a, b, _ in rows[:600]:
        one.learn_one({"a": a, "b": b})
    for a, b, c in rows[600:]:
        two.learn_one({"c": c, "b": b})
        two.learn_one({"c": c, "b": b, "a": a})
    before = state_hash(two.model)
    merged = one.merge(two)
    assert one.feature_names == ("a", "b", "c")
    assert (one.learned_rows, merged.exact, len(merged.matches)) == (1800, False, 2)
    assert state_hash(two.model) == before
    for component, centre in one.centers.items():
        assert len({round(value / 60.0) for value in centre.values()}) == 1, component
    a, b, c = rows[0]
    assert one.predict_one({"a": a, "b": b}) == one.predict_one({"c": c, "b": b})
    one.learn_one({"a": a, "d": 1.0})
    assert one.feature_names[-1] == "d"


def test_estimators_that_do_not_belong_together_are_not_merged() -> None:
    model = GaussianMixture(2, seed=1)
    model.learn_one({"a": 1.0})
    before = state_hash(model.model)
    with pytest.raises(ValueError, match="merge: the other model's memory is"):
        model.merge(GaussianMixture(2, half_life=5.0, seed=1))
    with pytest.raises(ValueError, match="merge: the other model's family is 'diag', expected 'full'"):
        model.merge(GaussianMixture(2, "diag", seed=1))
    with pytest.raises(TypeError, match="merge: the other is a int, expected a GaussianMixture"):
        model.merge(3)  # type: ignore[arg-type]  # that is the point
    assert state_hash(model.model) == before
    assert model.merge(GaussianMixture(2, seed=9)).exact


def test_components_keep_their_ids() -> None:
    model = GaussianMixture(6, "diag", seed=42)
    rng = np.random.default_rng(3)
    heads: list[int] = []
    for i in range(600):
        model.learn_one({"a": 10.0 * (i % 3) + rng.normal(), "b": 10.0 * (i % 2) + rng.normal()})
        if i > 100:
            heads.append(model.predict_one({"a": 0.0, "b": 0.0}))
    assert len(set(heads)) == 1
