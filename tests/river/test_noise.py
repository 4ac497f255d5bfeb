"""Noise by name: the label -1, and the scores of rows that are none of the model's."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from stream_mix.mixture import remoteness, state_hash
from stream_mix.river import GaussianMixture, GaussianMixtureScorer

NEAR: dict[Any, Any] = {"a": 0.3, "b": 0.1}
FAR: dict[Any, Any] = {"a": 50.0, "b": -44.0}


def events(n: int = 900, share: float = 0.1) -> tuple[list[dict[str, float]], Any]:
    """Rows about two centres, and noise from all over; which are noise."""
    rng = np.random.default_rng(3)
    noise = rng.random(n) < share
    x = rng.normal(size=(n, 2)) + 9.0 * (np.arange(n) % 2)[:, None]
    x[noise] = rng.uniform(-60.0, 60.0, (int(noise.sum()), 2))
    return [dict(zip("ab", row, strict=True)) for row in x.tolist()], noise


def taught(model: Any, rows: list[dict[str, float]]) -> Any:
    for row in rows:
        model.learn_one(row)
    return model


def test_noise_has_the_label_minus_one() -> None:
    rows, noise = events()
    model = GaussianMixture(2, robust=True, batch_size=20, seed=1)
    assert model.predict_one(NEAR) == 0
    taught(model, rows)
    assert model.predict_one(NEAR) in model.weights
    assert model.predict_one(FAR) == -1
    assert sum(model.predict_proba_one(FAR).values()) == pytest.approx(1.0, abs=1e-12)
    said = model.predict_many(pd.DataFrame(rows)).to_numpy()
    assert said.tolist() == [model.predict_one(row) for row in rows]
    assert noise[said == -1].mean() > 0.95
    assert (said == -1)[noise].mean() > 0.85
    plain = taught(GaussianMixture(2, seed=1), rows)
    assert plain.predict_one(FAR) in plain.weights


def test_rows_one_by_one_or_many_a_pickle_between() -> None:
    rows, _ = events(700)
    one = taught(GaussianMixture(2, robust=True, batch_size=20, seed=1), rows)
    many = GaussianMixture(2, robust=True, batch_size=20, seed=1)
    many.learn_many(pd.DataFrame(rows[:600]))
    many = pickle.loads(pickle.dumps(many))
    many.learn_many(pd.DataFrame(rows[600:]))
    assert state_hash(many.model) == state_hash(one.model)
    assert many.predict_one(FAR) == -1


@pytest.mark.parametrize("robust", [False, True])
def test_remoteness_ranks_what_was_learned(robust: bool) -> None:
    rows, noise = events()
    size = 20 if robust else 1
    scorer = GaussianMixtureScorer(6, score="remoteness", robust=robust, batch_size=size, seed=1)
    taught(scorer, rows)
    scores = scorer.score_many(pd.DataFrame(rows)).to_numpy()
    x = pd.DataFrame(rows).to_numpy()
    np.testing.assert_allclose(scores, remoteness(scorer.model, x))
    assert scorer.score_one(rows[5]) == pytest.approx(scores[5], rel=1e-9)
    assert roc_auc_score(noise, scores) > 0.93
    assert scorer.score_one(NEAR) < 2.0 < 3.0 < scorer.score_one(FAR)
    # Without the noise components are as narrow as their clusters.
    assert (scorer.score_one(FAR) > 20.0) == robust
