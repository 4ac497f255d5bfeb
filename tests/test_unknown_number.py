"""`n_components="auto"` through the doors: River, scikit-learn, the engine."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from stream_mix import river, sklearn
from stream_mix.engine import Frames, Plan, new, step
from stream_mix.engine.state import from_state, to_state
from stream_mix.mixture import Spec
from stream_mix.protocol import Frame


def rows(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.array([[0.0, 0.0], [9.0, 0.0], [4.0, 8.0]])
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, 2))


def test_scikit_learn_fits_and_streams() -> None:
    x = rows(600, 1)
    fitted = sklearn.GaussianMixture("auto", random_state=0).fit(x)
    stream = sklearn.GaussianMixture("auto", random_state=0)
    for part in np.array_split(x, 6):
        stream.partial_fit(part)
    for mixture in (fitted, stream):
        assert mixture.means_.shape == (3, 2)
        assert mixture.predict_proba(x).shape == (600, 3)
        assert sorted(set(mixture.predict(x).tolist())) == [0, 1, 2]
    again = pickle.loads(pickle.dumps(stream)).partial_fit(x)
    assert len(again.weights_) == 3
    with pytest.raises(ValueError, match="up_to was 64 and is now 5"):
        stream.set_params(up_to=5).partial_fit(x)
    with pytest.raises(ValueError, match="n_components is 'many'"):
        sklearn.GaussianMixture("many").fit(x)


def test_river_learns_row_by_row() -> None:
    model = river.GaussianMixture("auto", seed=1)
    scorer = river.GaussianMixtureScorer("auto", seed=1)
    for a, b in rows(300, 2):
        model.learn_one({"a": a, "b": b})
        scorer.learn_one({"a": a, "b": b})
    assert len(model.predict_proba_one({"a": 0.0, "b": 0.0})) == 3
    assert len({model.predict_one({"a": a, "b": b}) for a, b in ((0.0, 0.0), (9.0, 0.0), (4.0, 8.0))}) == 3
    assert scorer.score_one({"a": 30.0, "b": 30.0}) > 0.99
    with pytest.raises(ValueError, match="n_components is 'some'"):
        river.GaussianMixture("some")


def test_an_engine_goes_on_from_its_state() -> None:
    plan = Plan({"mixture": Spec(n_components=1, up_to=9, batch_size=32)}, features=("a", "b"))
    x = rows(640, 3)
    state = new(plan)
    state, _ = step(state, Frames((Frame(x, len(x), source="me", seq=0),)))
    model = state.learners["mixture"].border
    assert model.k == model.spec.n_components == 3
    back = from_state(to_state(state), plan)
    assert back.learners["mixture"].border.spec == model.spec
