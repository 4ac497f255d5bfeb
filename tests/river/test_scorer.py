"""Scores of a detector at the beginning of a stream."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from river import anomaly, datasets

from stream_mix.mixture import posterior
from stream_mix.river import GaussianMixture, GaussianMixtureScorer


@pytest.mark.parametrize("batch_size", [1, 16])
def test_no_row_is_strange_before_components_know_ten_rows_each(batch_size: int) -> None:
    rng = np.random.default_rng(3)
    scorer = GaussianMixtureScorer(4, batch_size=batch_size, seed=1)
    twin = GaussianMixture(4, batch_size=batch_size, seed=1)
    for a, b in rng.normal(size=(80, 2)):
        row = {"a": a, "b": b}
        early = scorer.learned_rows < 40
        score = scorer.score_one(row)
        assert score == pytest.approx(scorer.score_many(pd.DataFrame([row]))[0], rel=1e-9)
        expected = 0.0 if early else posterior(twin.model, [[a, b]]).outlier[0]
        assert score == pytest.approx(expected, rel=1e-9)
        scorer.learn_one(row)
        twin.learn_one(row)
    with pytest.raises(ValueError, match="'a'"):
        GaussianMixtureScorer(4).score_one({"a": "much"})


def test_a_filter_that_protects_its_detector_lets_it_learn() -> None:
    for made in (anomaly.ThresholdFilter, anomaly.QuantileFilter):
        detector = made(GaussianMixtureScorer(5, seed=1), 0.99)
        strange = 0
        for x, _ in datasets.Bananas().take(1200):
            strange += detector.classify(detector.score_one(x))
            detector.learn_one(x)
        assert 0 < strange < 60
        assert detector.anomaly_detector.learned_rows == 1200 - strange
