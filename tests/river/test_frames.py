"""Data frames of every backend: the caller's own kind and index come back, values mean the same in all."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from stream_mix.mixture import state_hash
from stream_mix.river import GaussianMixture, GaussianMixtureScorer, KMeans

N = 40
RNG = np.random.default_rng(5)
COLUMNS: dict[str, list[Any]] = {
    "whole": RNG.integers(0, 9, N).tolist(),
    "real": [None if i % 5 == 0 else float(v) for i, v in enumerate(RNG.normal(size=N))],
    "flag": [None if i % 7 == 3 else bool(v) for i, v in enumerate(RNG.integers(0, 2, N))],
}
DICTS = [{name: column[i] for name, column in COLUMNS.items()} for i in range(N)]


def nullable() -> pd.DataFrame:
    kinds = {"whole": "Int64", "real": "Float64", "flag": "boolean"}
    return pd.DataFrame({name: pd.array(COLUMNS[name], dtype=kind) for name, kind in kinds.items()})


def arrow_backed() -> pd.DataFrame:
    kinds = {"whole": "int64[pyarrow]", "real": "double[pyarrow]", "flag": "bool[pyarrow]"}
    return pd.DataFrame({name: pd.array(COLUMNS[name], dtype=kind) for name, kind in kinds.items()})


def sparse() -> pd.DataFrame:
    frame = pd.DataFrame(COLUMNS)
    return frame.assign(whole=pd.arrays.SparseArray(frame["whole"].astype(float)))


FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas-objects": lambda: pd.DataFrame(COLUMNS, dtype=object),
    "pandas-categories": lambda: pd.DataFrame(COLUMNS).astype({"whole": "category"}),
    "pandas-nullable": nullable,
    "pandas-arrow": arrow_backed,
    "pandas-sparse": sparse,
    "pandas-other-order": lambda: pd.DataFrame(COLUMNS)[["real", "flag", "whole"]],
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars-decimal": lambda: pl.DataFrame({**COLUMNS, "whole": [Decimal(v) for v in COLUMNS["whole"]]}),
    "pyarrow": lambda: pa.table(COLUMNS),
}


@pytest.fixture(scope="module")
def twin() -> GaussianMixture:
    model = GaussianMixture(2, seed=42)
    for x in DICTS:
        model.learn_one(x)
    return model


@pytest.mark.parametrize("kind", FRAMES)
def test_every_backend_teaches_the_same(kind: str, twin: GaussianMixture) -> None:
    model = GaussianMixture(2, seed=42)
    model.learn_many(FRAMES[kind]())
    assert model.feature_names == twin.feature_names == ("flag", "whole", "real")
    assert state_hash(model.model) == state_hash(twin.model)


@pytest.mark.parametrize("kind", FRAMES)
def test_answers_come_in_the_callers_backend(kind: str, twin: GaussianMixture) -> None:
    X = FRAMES[kind]()
    if isinstance(X, pd.DataFrame):
        X.index = pd.Index([f"row {i}" for i in range(N)], name="who")
    labels, p = twin.predict_many(X), twin.predict_proba_many(X)
    one = [twin.predict_one(x) for x in DICTS]
    if isinstance(X, pd.DataFrame):
        assert isinstance(labels, pd.Series)
        assert labels.index.equals(X.index)
        assert p.index.equals(X.index)
        assert list(p.columns) == [0, 1]
        values = p.to_numpy()
    elif isinstance(X, pl.DataFrame):
        assert isinstance(labels, pl.Series)
        assert isinstance(p, pl.DataFrame)
        assert p.columns == ["0", "1"]
        values = p.to_numpy()
    else:
        assert isinstance(labels, pa.ChunkedArray)
        assert isinstance(p, pa.Table)
        values = np.column_stack([column.to_numpy() for column in p.columns])
    assert (labels.to_pylist() if isinstance(labels, pa.ChunkedArray) else labels.to_list()) == one
    expected = [list(twin.predict_proba_one(x).values()) for x in DICTS]
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", FRAMES)
def test_scores_come_in_the_callers_backend(kind: str) -> None:
    X = FRAMES[kind]()
    model = GaussianMixtureScorer(2, seed=42)
    model.learn_many(X)
    scores = model.score_many(X)
    assert type(scores).__module__.split(".")[0] == type(X).__module__.split(".")[0]
    assert np.array(scores).tolist() == pytest.approx([model.score_one(x) for x in DICTS], rel=1e-10)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames_without_rows_or_before_learning(make: Callable[[Any], Any]) -> None:
    model = KMeans(2, seed=42)
    assert list(np.array(model.predict_many(make({"a": [1.0, 2.0]})))) == [0, 0]
    for frame in (make({"a": []}), make({})):
        model.learn_many(frame)
        assert len(model.predict_many(frame)) == len(model.predict_proba_many(frame)) == 0
    assert model.learned_rows == 0


def test_column_names_of_any_kind() -> None:
    frame = pd.DataFrame([[1.0, 5.0, 2.0], [2.0, 7.0, 1.0]], columns=[7, ("a", 1), "x"])
    many, one = KMeans(1, seed=42), KMeans(1, seed=42)
    many.learn_many(frame)
    for x in frame.to_dict("records"):
        one.learn_one(x)
    assert many.centers == {0: {7: 1.5, "x": 1.5, ("a", 1): 6.0}}
    assert state_hash(one.model) == state_hash(many.model)


def test_weight_and_time_columns_are_not_features() -> None:
    start = dt.datetime(2024, 3, 1, 12, 30, 0, 250_001)
    stamps = [None if i % 6 == 5 else start + dt.timedelta(seconds=i, microseconds=i) for i in range(N)]
    extra = {"t": stamps, "w": [None if i % 9 == 0 else 1 + i % 4 for i in range(N)]}
    options: dict[str, Any] = {"time_feature": "t", "weight_feature": "w", "time_half_life": 5.0, "seed": 42}
    one = GaussianMixture(2, **options)
    for i, x in enumerate(DICTS):
        one.learn_one({**x, "t": stamps[i], "w": extra["w"][i]})
    for make in (pd.DataFrame, pl.DataFrame, pa.table):
        many = GaussianMixture(2, **options)
        many.learn_many(make({**COLUMNS, **extra}))
        assert many.feature_names == one.feature_names
        assert state_hash(many.model) == state_hash(one.model)
        assert np.array(many.predict_many(make({**COLUMNS, **extra}))).tolist() == [
            one.predict_one({**x, "t": None}) for x in DICTS
        ]
    handed = GaussianMixture(2, time_half_life=5.0, seed=42)
    handed.learn_many(pl.DataFrame(COLUMNS), w=pl.Series(extra["w"]), t=pd.Series(stamps))
    assert state_hash(handed.model) == state_hash(one.model)


def test_a_frame_may_lack_the_weight_and_time_columns() -> None:
    model = GaussianMixture(2, time_feature="t", weight_feature="w", time_half_life=5.0, seed=42)
    model.learn_many(pd.DataFrame({"a": [1.0, 2.0]}))
    model.learn_one({"a": 3.0})
    assert model.learned_rows == 3
    assert model.model.moments.mass.sum() == 3.0


@pytest.mark.parametrize(
    ("frame", "beside", "error", "message"),
    [
        (pd.DataFrame({"a": [1.0, np.inf]}), {}, ValueError, "^feature 'a', row 1, is inf, expected a"),
        (pl.DataFrame({"a": [1.0, 1e101]}), {}, ValueError, "^feature 'a', row 1, is 1e.101, expected"),
        (pd.DataFrame({"a": [1.0, 2.0], "b": [1, "2"]}), {}, ValueError, "^feature 'b', row 1, is '2', exp"),
        (pl.DataFrame({"a": ["x", None]}), {}, ValueError, "^feature 'a', row 0, is 'x', expected a number"),
        (pa.table({"a": [dt.date(2024, 1, 1)]}), {}, ValueError, "^feature 'a', row 0, is datetime.date"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), {}, ValueError, "^X: .*unique column names.*'a'"),
        (pd.DataFrame({"a": [1.0, 2.0]}), {"w": [1.0, 0.0]}, ValueError, "^w of row 1 is 0.0, expected a"),
        (pd.DataFrame({"a": [1.0, 2.0]}), {"w": [1.0]}, ValueError, "^w has 1 values, expected 2"),
        (pd.DataFrame({"a": [1.0, 2.0]}), {"t": [1.0, "x"]}, ValueError, "^t of row 1 is 'x', expected Unix"),
        (pd.DataFrame({"a": [1.0]}), {"t": "now"}, ValueError, "^t is 'now', expected Unix seconds"),
        (pd.DataFrame({"a": [1.0], "w": ["x"]}), {}, ValueError, "^weight 'w' of row 0 is 'x', exp"),
        (pd.DataFrame({"a": [1.0], "t": ["x"]}), {}, ValueError, "^event time 't' of row 0 is 'x'"),
        ([{"a": 1.0}], {}, TypeError, "^X is a list, expected an eager data frame"),
        (np.ones((2, 2)), {}, TypeError, "^X is a ndarray, expected an eager data frame"),
        (pl.LazyFrame({"a": [1.0]}), {}, TypeError, "^X is a LazyFrame, expected an eager data frame"),
        (pd.Series([1.0]), {}, TypeError, "^X is a Series, expected an eager data frame"),
    ],
)
def test_a_bad_frame_teaches_nothing(frame: Any, beside: Any, error: type[Exception], message: str) -> None:
    model = GaussianMixture(2, time_feature="t", weight_feature="w", seed=42)
    model.learn_one({"a": 0.0})
    before = state_hash(model.model)
    with pytest.raises(error, match=message) as caught:
        model.learn_many(frame, **beside)
    assert "\n" not in str(caught.value)
    assert state_hash(model.model) == before
    assert model.feature_names == ("a",)
