"""What both scikit-learn estimators promise: streams, weights, holes, frames, pickles."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from stream_mix.mixture import state_hash
from stream_mix.sklearn import GaussianMixture, KMeans

BOTH = [
    pytest.param(GaussianMixture(3, random_state=0), id="mixture"),
    pytest.param(KMeans(3, random_state=0), id="kmeans"),
]


def blobs(n: int = 900, k: int = 3, d: int = 2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x, y = make_blobs(n, centers=k, n_features=d, center_box=(-20, 20), random_state=0)
    return x, y.astype(np.int64)


def state(estimator: Any) -> str:
    return state_hash(estimator.model_)


@pytest.mark.parametrize("estimator", BOTH)
def test_fit_and_partial_fit_find_the_clusters(estimator: Any) -> None:
    x, y = blobs()
    for fitted in (clone(estimator).fit(x), clone(estimator).partial_fit(x)):
        assert adjusted_rand_score(y, fitted.predict(x)) > 0.97
        assert fitted.predict(x).dtype == np.int64
    assert adjusted_rand_score(y, clone(estimator).fit_predict(x)) > 0.97


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    "memory",
    [{}, {"half_life": 300}, {"time_half_life": 50.0}, {"window": 400}, {"averaged": True}],
)
def test_pieces_of_whole_batches_equal_one_call(estimator: Any, memory: dict[str, Any]) -> None:
    x, _ = blobs(960)
    t, w = np.arange(960.0) / 7, np.random.default_rng(1).uniform(0.5, 2.0, 960)
    whole = clone(estimator).set_params(batch_size=64, **memory).partial_fit(x, sample_weight=w, t=t)
    parts = clone(whole)
    for start, stop in [(0, 64), (64, 256), (256, 320), (320, 960)]:
        parts.partial_fit(x[start:stop], sample_weight=w[start:stop], t=t[start:stop])
    assert state(parts) == state(whole)


@pytest.mark.parametrize("estimator", BOTH)
def test_a_call_also_learns_its_last_shorter_batch(estimator: Any) -> None:
    x, _ = blobs(300)
    fitted = clone(estimator).partial_fit(x[:10]).partial_fit(x[10:])
    assert fitted.model_.learned == 300
    assert not len(fitted.model_.pending)


@pytest.mark.parametrize("estimator", BOTH)
def test_partial_fit_goes_on_from_a_fit(estimator: Any) -> None:
    x, _ = blobs(2000)
    fitted = clone(estimator).fit(x[:1000])
    assert fitted.model_.moments.mass.sum() == pytest.approx(1000)
    fitted.partial_fit(x[1000:])
    assert fitted.model_.moments.mass.sum() == pytest.approx(2000)
    assert fitted.model_.learned == 2000


@pytest.mark.parametrize("estimator", BOTH)
def test_fit_starts_over(estimator: Any) -> None:
    x, _ = blobs()
    once = clone(estimator).fit(x)
    again = clone(estimator).partial_fit(x + 100.0).fit(x)
    assert state(once) == state(again)


@pytest.mark.parametrize("estimator", BOTH)
def test_memory_forgets(estimator: Any) -> None:
    x, _ = blobs(600)
    fitted = clone(estimator).set_params(half_life=50).fit(x).partial_fit(x + 50.0)
    centre = np.average(fitted.model_.parameters.means, axis=0, weights=fitted.model_.moments.mass)
    assert fitted.model_.basis.backward(centre) == pytest.approx(x.mean(axis=0) + 50.0, abs=5.0)


@pytest.mark.parametrize("estimator", BOTH)
def test_weights_are_repeated_rows_and_order_does_not_matter(estimator: Any) -> None:
    x, _ = blobs(400)
    w = np.random.default_rng(0).integers(0, 4, 400)
    order = np.random.default_rng(1).permutation(400)
    weighted = clone(estimator).fit(x[order], sample_weight=w[order])
    assert state(weighted) != state(clone(estimator).fit(x))
    repeated = clone(estimator).fit(x.repeat(w, axis=0))
    for before, after in zip(_arrays(weighted), _arrays(repeated), strict=True):
        assert np.array_equal(before, after)
    assert weighted.score(x, sample_weight=w) == pytest.approx(weighted.score(x.repeat(w, axis=0)), rel=1e-12)


def _arrays(estimator: Any) -> list[NDArray[np.float64]]:
    moments = estimator.model_.moments
    return [moments.mass, moments.mean, moments.scatter]


@pytest.mark.parametrize("estimator", BOTH)
def test_zero_weights_leave_rows_out_of_a_stream(estimator: Any) -> None:
    x, _ = blobs(600)
    w = np.random.default_rng(0).integers(0, 2, 600).astype(float)
    with_zeros = clone(estimator).partial_fit(x, sample_weight=w)
    assert state(with_zeros) == state(clone(estimator).partial_fit(x[w > 0]))


@pytest.mark.parametrize("estimator", BOTH)
def test_missing_values(estimator: Any) -> None:
    x, y = blobs(1500, d=4)
    holes = x.copy()
    holes[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    for fitted in (clone(estimator).fit(holes), clone(estimator).partial_fit(holes)):
        assert adjusted_rand_score(y, fitted.predict(holes)) > 0.97
        assert adjusted_rand_score(y, fitted.predict(x)) > 0.99
        assert np.isfinite(fitted.score(holes))
        assert np.isfinite(fitted.outlier_samples(holes)).all()


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_give_feature_names(estimator: Any, frame: Any) -> None:
    x, _ = blobs(90)
    named = frame({"a": x[:, 0], "b": x[:, 1]})
    fitted = clone(estimator).partial_fit(named)
    assert fitted.feature_names_in_.tolist() == ["a", "b"]
    assert state(fitted) == state(clone(estimator).partial_fit(x))
    assert np.array_equal(fitted.predict(named), clone(estimator).partial_fit(x).predict(x))
    with pytest.raises(ValueError, match="feature names"):
        fitted.partial_fit(frame({"b": x[:, 1], "a": x[:, 0]}))


@pytest.mark.parametrize("estimator", BOTH)
def test_float32_is_taken(estimator: Any) -> None:
    x, y = blobs()
    fitted = clone(estimator).fit(x.astype(np.float32))
    assert adjusted_rand_score(y, fitted.predict(x.astype(np.float32))) > 0.97


@pytest.mark.parametrize("estimator", BOTH)
def test_pickles_are_small_and_equal(estimator: Any) -> None:
    x, _ = blobs(20_000, d=6)
    fitted = clone(estimator).partial_fit(x)
    fitted.predict(x)
    if isinstance(fitted, KMeans):
        del fitted.labels_  # a learned attribute that is as long as the data, in scikit-learn's k-means too
    data = pickle.dumps(fitted)
    # The sample of the stream is 2,000 rows of six numbers, a weight and a time, and up to 512 that wait.
    assert len(data) < 8_000 + 2_600 * 8 * 8
    back = pickle.loads(data)
    assert state(back) == state(fitted)
    assert state(back.partial_fit(x)) == state(fitted.partial_fit(x))


@pytest.mark.parametrize("estimator", BOTH)
def test_offsets_of_unix_time_cost_nothing(estimator: Any) -> None:
    x, y = blobs()
    x = np.round(x * 2.0**20) / 2.0**20  # so that the offset itself rounds nothing away
    near, far = clone(estimator).fit(x), clone(estimator).fit(x + 1.7e9)
    assert np.array_equal(near.predict(x), far.predict(x + 1.7e9))
    assert adjusted_rand_score(y, clone(estimator).partial_fit(x + 1.7e9).predict(x + 1.7e9)) > 0.97
    if isinstance(near, GaussianMixture):
        assert far.covariances_ == pytest.approx(near.covariances_, rel=1e-6)
        assert far.score(x + 1.7e9) == pytest.approx(near.score(x), abs=1e-6)
    else:
        assert far.inertia_ == pytest.approx(near.inertia_, rel=1e-8)
        assert far.transform(x + 1.7e9) == pytest.approx(near.transform(x), abs=1e-6)


def test_event_times_may_be_dates() -> None:
    x, _ = blobs(500)
    seconds = 1.7e9 + np.arange(500.0)
    dates = pd.to_datetime(seconds, unit="s")
    plain, dated, late = (GaussianMixture(3, time_half_life=60, random_state=0) for _ in range(3))
    assert state(plain.partial_fit(x, t=seconds)) == state(dated.partial_fit(x, t=dates))
    assert np.isfinite(late.partial_fit(x, t=pd.DatetimeIndex([pd.NaT, *dates[1:]])).score(x))
    for bad, message in [(["soon"] * 500, "expected Unix seconds"), (seconds[:3], "expected \\(500,\\)")]:
        with pytest.raises(ValueError, match=message):
            plain.partial_fit(x, t=bad)


@pytest.mark.parametrize("estimator", BOTH)
def test_late_rows_are_counted_and_not_learned(estimator: Any) -> None:
    x, _ = blobs()
    t = np.arange(900.0)
    t[700:800:10] -= 500.0
    late, prompt = clone(estimator).set_params(lateness=60.0), clone(estimator).set_params(lateness=60.0)
    late.partial_fit(x[:256], t=t[:256]).partial_fit(x[256:512], t=t[256:512]).partial_fit(x[512:], t=t[512:])
    kept = np.arange(900) != np.arange(900) // 10 * 10
    kept[:700] = kept[800:] = True
    prompt.partial_fit(x[kept], t=t[kept])
    assert (late.model_.late, prompt.model_.late) == (10, 0)
    assert late.model_.learned == prompt.model_.learned == 890
    assert pickle.loads(pickle.dumps(late)).model_.late == 10
    assert clone(late).partial_fit(x).model_.late == 0
    with pytest.raises(ValueError, match="lateness is -1"):
        clone(estimator).set_params(lateness=-1).partial_fit(x)


@pytest.mark.parametrize("estimator", BOTH)
def test_merging_two_halves_is_as_good_as_all(estimator: Any) -> None:
    x, y = blobs(2000)
    one, two = clone(estimator).partial_fit(x[:1000]), clone(estimator).set_params(random_state=5)
    two.partial_fit(x[1000:])
    before = state(two)
    labels = getattr(one, "labels_", None)
    assert one.merge(two) is one
    assert one.model_.learned == 2000
    assert state(two) == before
    assert len(one.merged_.matches) == 3
    assert adjusted_rand_score(y, one.predict(x)) > 0.97
    assert one.score(x) > clone(estimator).partial_fit(x).score(x) * (1.001 if one.score(x) < 0 else 0.999)
    assert labels is None or (one.labels_ == labels).all()
    one.partial_fit(x)
    with pytest.raises(ValueError, match="number of features"):
        one.merge(clone(estimator).partial_fit(x[:, :1]))
    frames = [pd.DataFrame(x, columns=names) for names in (["a", "b"], ["b", "a"])]
    named = [clone(estimator).partial_fit(frame) for frame in frames]
    with pytest.raises(ValueError, match="features of other names, or in another order"):
        named[0].merge(named[1])


def test_a_fit_is_quiet_where_all_is_well() -> None:
    x, _ = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(3, random_state=0).fit(x).sample(3)
        KMeans(3, random_state=0).fit(x)
