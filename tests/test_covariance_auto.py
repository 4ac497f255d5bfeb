"""`covariance_type="auto"` through the doors: River, scikit-learn, configuration and engine, comparison."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stream_mix import river, sklearn
from stream_mix.config import load
from stream_mix.engine import Ask, Assigned, Frames, Plan, Publish, Reply, new, step
from stream_mix.engine.state import from_state, state_hash, to_state
from stream_mix.mixture import AUTO, Model, Rows, Spec, learn, named_family
from stream_mix.mixture import state_hash as model_hash
from stream_mix.ports.service import _family
from stream_mix.protocol import Change, Frame, Query, Snapshot

TURNED = np.array([[2.0, 1.9], [0.0, 0.3]])


def rows(n: int, seed: int) -> np.ndarray:
    """Rows of two ovals of one shape."""
    rng = np.random.default_rng(seed)
    return np.array([[0.0, 0.0], [9.0, 0.0]])[rng.integers(2, size=n)] + rng.normal(size=(n, 2)) @ TURNED


def test_scikit_learn_streams() -> None:
    x = rows(900, 1)
    stream = sklearn.GaussianMixture(2, covariance_type="auto", random_state=0)
    for part in np.array_split(x, 6):
        stream.partial_fit(part)
    family = stream.model_.spec.family
    assert family in ("tied", "full")
    assert stream.covariances_.shape == stream.precisions_.shape
    product = stream.precisions_ @ stream.covariances_
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(2), product.shape), atol=1e-9)
    theirs = stream.to_sklearn()
    assert theirs.covariance_type == family
    np.testing.assert_allclose(theirs.score_samples(x), stream.score_samples(x), atol=1e-8)
    again = pickle.loads(pickle.dumps(stream))
    assert model_hash(again.partial_fit(x).model_) == model_hash(stream.partial_fit(x).model_)
    with pytest.raises(ValueError, match="partial_fit: famil"):
        again.set_params(covariance_type="diag").partial_fit(x)
    with pytest.raises(ValueError, match="expected one of 'full', 'tied', 'diag', 'spherical', 'auto'"):
        sklearn.GaussianMixture(covariance_type="some").fit(x)


def test_scikit_learn_fits() -> None:
    x = rows(600, 2)
    fitted = sklearn.GaussianMixture(2, covariance_type="auto", random_state=0).fit(x)
    family = fitted.model_.spec.family
    assert family in ("tied", "full")
    twin = sklearn.GaussianMixture(2, covariance_type=family, random_state=0).fit(x)
    np.testing.assert_array_equal(fitted.means_, twin.means_)
    assert fitted.bic(x) == twin.bic(x)


def test_parameters_can_change_while_it_learns() -> None:
    stream = sklearn.GaussianMixture(2, covariance_type="auto", random_state=0).partial_fit(rows(600, 1))
    stream.set_params(half_life=500, batch_size=64).partial_fit(rows(600, 3))
    assert stream.model_.spec.families == AUTO
    assert stream.model_.learned == 1200


def test_river_learns_row_by_row_as_by_frames() -> None:
    x = rows(3500, 2)
    single, whole = (river.GaussianMixture(2, "auto", seed=1) for _ in range(2))
    for i, (a, b) in enumerate(x.tolist()):
        if i == 2500:
            single = pickle.loads(pickle.dumps(single))
        single.learn_one({"a": a, "b": b})
    frame = pd.DataFrame(x, columns=["a", "b"])
    for start in range(0, len(x), 333):
        whole.learn_many(frame.iloc[start : start + 333])
    assert single.model.spec.family in ("tied", "full")
    assert single.model.contest is not None
    assert single.model.contest.candidates[0].learned < 2500, "candidates rest"
    assert model_hash(single.model) == model_hash(whole.model)
    assert len(single.predict_proba_one({"a": 0.0, "b": 0.0})) == 2
    scorer = river.GaussianMixtureScorer(2, "auto", seed=1)
    for a, b in x[:300].tolist():
        scorer.learn_one({"a": a, "b": b})
    assert scorer.score_one({"a": 30.0, "b": 30.0}) > 0.99
    with pytest.raises(ValueError, match=r"covariance_type is 'some', expected one of .* or 'auto'"):
        river.GaussianMixture(2, "some")


@pytest.mark.parametrize("reference", [False, True])
def test_river_learns_what_the_core_learns(reference: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if reference:
        monkeypatch.setattr("stream_mix.mixture.live.Live", None)
    x = rows(700, 5)
    model = river.GaussianMixture(2, "auto", seed=3)
    core = Model.new(Spec(2, **named_family("auto"), batch_size=1, random_state=3), 2)
    for a, b in x.tolist():
        model.learn_one({"a": a, "b": b})
    core, _ = learn(core, Rows.of(x))
    assert core.spec.family == model.model.spec.family != AUTO[0]
    np.testing.assert_allclose(model.model.moments.mean, core.moments.mean, atol=1e-9)


def test_an_engine_tells_of_the_change_and_goes_on_from_its_state(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('[[models]]\nfamily = "auto"\nn_components = 2\nbatch_size = 32\n', encoding="utf-8")
    (section,) = load(file).models
    assert section.spec() == Spec(2, **named_family("auto"), batch_size=32)
    assert _family(section.spec()) == "one of spherical, diag, tied, full"
    plan = Plan({"mixture": section.spec()}, features=("a", "b"), snapshot_every_rows=320)
    x = rows(1600, 3)
    whole, effects = step(new(plan), Frames((Frame(x, len(x), source="me", seq=0),)))
    said = [effect.message for effect in effects if isinstance(effect, Publish)]
    told = [message for message in said if isinstance(message, Change) and message.change == "rebased"]
    families = [message.family for message in said if isinstance(message, Snapshot)]
    assert families[-1] in ("tied", "full")
    assert told
    assert told[0].component == -1
    _, (reply,) = step(whole, Ask(Query("health")))
    assert isinstance(reply, Reply)
    found = reply.message.models["mixture"]
    assert found["family"] == families[-1]
    assert found["contender"] >= 0.0
    state = new(plan)
    for i, part in enumerate(np.array_split(x, 7)):
        state, some = step(state, Frames((Frame(part, len(part), source="me", seq=i),)))
        assert any(isinstance(effect, Assigned) for effect in some)
        state = from_state(to_state(state), plan)
    assert state_hash(state) == state_hash(whole)
