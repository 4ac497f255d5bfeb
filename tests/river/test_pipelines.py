"""In River's own company: pipelines, evaluation, filters, and weights and times that get through them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from river import anomaly, compose, datasets, evaluate, metrics, preprocessing

from stream_mix.mixture import state_hash
from stream_mix.river import GaussianMixture, GaussianMixtureScorer, KMeans


def stream(n: int) -> list[dict[str, Any]]:
    return [x for x, _ in datasets.ImageSegments().take(n)]


def scaled_beside(*names: str) -> Any:
    """Scales all features but the named ones, which pass unchanged."""
    return (compose.Discard(*names) | preprocessing.StandardScaler()) + compose.Select(*names)


@pytest.mark.parametrize("model", [GaussianMixture(2, "diag", seed=42), KMeans(2, seed=42)])
def test_behind_a_scaler(model: Any) -> None:
    pipeline = preprocessing.StandardScaler() | model.clone()
    scaler, alone = preprocessing.StandardScaler(), model.clone()
    for x in stream(60):
        pipeline.learn_one(x)
        scaler.learn_one(x)
        alone.learn_one(scaler.transform_one(x))
        assert pipeline.predict_one(x) == alone.predict_one(scaler.transform_one(x))
        assert pipeline.predict_proba_one(x) == alone.predict_proba_one(scaler.transform_one(x))
    assert state_hash(pipeline[type(model).__name__].model) == state_hash(alone.model)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_frames_behind_a_scaler(make: Any) -> None:
    pipeline = preprocessing.StandardScaler() | GaussianMixture(2, "diag", seed=42)
    X = make(stream(60))
    pipeline.learn_many(X)
    assert len(pipeline.predict_many(X)) == 60
    np.testing.assert_allclose(np.array(pipeline.predict_proba_many(X)).sum(axis=1), 1.0, atol=1e-12)


def test_a_pipeline_drops_weight_and_time_but_not_features() -> None:
    options: dict[str, Any] = {"time_half_life": 60.0, "seed": 42}
    mixture = GaussianMixture(2, "diag", time_feature="t", weight_feature="w", **options)
    named = scaled_beside("t", "w") | mixture
    scaler, handed = preprocessing.StandardScaler(), GaussianMixture(2, "diag", **options)
    start = dt.datetime(2024, 5, 1, 8, 0, 0)
    for i, x in enumerate(stream(80)):
        named.learn_one({**x, "t": start + dt.timedelta(seconds=7 * i), "w": 1 + i % 3})
        scaler.learn_one(x)
        seconds = (start - dt.datetime(1970, 1, 1)).total_seconds() + 7 * i
        handed.learn_one(scaler.transform_one(x), w=1 + i % 3, t=seconds)
        now = {**x, "t": start, "w": 1.0}
        assert named.predict_proba_one(now) == handed.predict_proba_one(scaler.transform_one(x))
    assert state_hash(named["GaussianMixture"].model) == state_hash(handed.model)
    unnamed = preprocessing.StandardScaler() | GaussianMixture(2, **options)
    with pytest.raises(ValueError, match="time_half_life needs event times: pass t, or name a feature"):
        unnamed.learn_one(x, t=5.0)


def test_frames_with_a_time_column_in_a_pipeline() -> None:
    x = stream(60)
    names = list(x[0])
    pipeline = (compose.Select(*names) | preprocessing.StandardScaler()) + compose.Select("t")
    model = pipeline | GaussianMixture(2, "diag", time_feature="t", time_half_life=60.0, seed=42)
    model.learn_many(pd.DataFrame(x).assign(t=pd.date_range("2024-05-01", periods=60, freq="7s")))
    assert model["GaussianMixture"].model.t == pd.Timestamp("2024-05-01").timestamp() + 59 * 7
    assert set(model["GaussianMixture"].feature_names) == set(names)


def test_old_rows_fade_by_event_time_in_a_pipeline() -> None:
    model = scaled_beside("t") | GaussianMixture(1, time_feature="t", time_half_life=10.0, seed=42)
    for t in range(100):
        model.learn_one({"t": t, "a": 0.0 if t < 50 else 1.0})
    mass = model["GaussianMixture"].model.moments.mass.sum()
    assert mass == pytest.approx(sum(0.5 ** (age / 10.0) for age in range(100)))


def test_progressive_evaluation_of_a_clustering() -> None:
    data = [(x, None) for x in stream(100)]
    # Of two clusters River's silhouette takes the nearer one for the second nearest; three tell something.
    for model in (KMeans(3, seed=42), GaussianMixture(3, "diag", seed=42)):
        for each in (model.clone(), preprocessing.StandardScaler() | model.clone()):
            metric = evaluate.progressive_val_score(data, each, metrics.Silhouette())
            assert 0.0 < metric.get() < 1.0


def test_evaluation_hands_over_weights_and_times() -> None:
    data = [(x, None, {"w": 1.0 + i % 2, "t": float(i)}) for i, x in enumerate(stream(40))]
    model, twin = (KMeans(2, time_half_life=20.0, seed=42) for _ in range(2))
    for x, _, beside in data:
        twin.learn_one(x, **beside)
    evaluate.progressive_val_score([(x, y, dict(extra)) for x, y, extra in data], model, metrics.Silhouette())
    assert state_hash(model.model) == state_hash(twin.model)
    scorer = GaussianMixtureScorer(2, time_half_life=20.0, seed=42)
    labelled = [(x, i % 2 == 0, dict(extra)) for i, (x, _, extra) in enumerate(data)]
    evaluate.progressive_val_score(labelled, scorer, metrics.ROCAUC())
    assert scorer.learned_rows == 40


def test_labels_agree_with_the_classes_of_the_data() -> None:
    rng = np.random.default_rng(0)
    rand = metrics.Rand()
    model = preprocessing.StandardScaler() | GaussianMixture(3, seed=42)
    for i in range(400):
        x = dict(zip("ab", rng.normal(size=2) + [(0, 0), (9, 0), (0, 9)][i % 3], strict=True))
        if i >= 100:
            rand.update(i % 3, model.predict_one(x))
        model.learn_one(x)
    assert rand.get() > 0.98


@pytest.mark.parametrize("score", ["tail_probability", "log_density", "remoteness"])
def test_inside_a_quantile_filter(score: str) -> None:
    rng = np.random.default_rng(0)
    model = preprocessing.StandardScaler() | anomaly.QuantileFilter(
        GaussianMixtureScorer(1, score=score, seed=42), q=0.98, protect_anomaly_detector=False
    )
    caught, false = 0, 0
    for i in range(500):
        odd = i % 50 == 49
        x = {"a": 9.0 if odd else rng.normal(), "b": rng.normal()}
        verdict = model["QuantileFilter"].classify(model.score_one(x))
        caught, false = caught + (odd and verdict), false + (verdict and not odd)
        model.learn_one(x)
    assert caught >= 8
    assert false <= 40


def test_behind_an_anomaly_filter() -> None:
    model = anomaly.ThresholdFilter(GaussianMixtureScorer(1, seed=42), threshold=0.9999) | KMeans(1, seed=42)
    rng = np.random.default_rng(0)
    for i in range(300):
        model.learn_one({"a": 1e6 if i % 60 == 59 else rng.normal()})
    assert abs(model["KMeans"].centers[0]["a"]) < 1.0


def test_representation_names_every_parameter() -> None:
    text = repr(GaussianMixture(3, "diag", half_life=50.0, seed=1))
    assert "n_components=3" in text
    assert 'covariance_type="diag"' in text
    assert "half_life=50." in text
