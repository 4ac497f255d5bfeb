"""The scikit-learn estimators: what their methods say, on whole data and on streams."""

from __future__ import annotations

import inspect
import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as TheirMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_mix.mixture import state_hash
from stream_mix.sklearn import GaussianMixture, KMeans

KINDS = ("full", "tied", "diag", "spherical")
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
@pytest.mark.parametrize("memory", [{}, {"half_life": 300}, {"time_half_life": 50.0}, {"window": 400}])
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
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0, -1.0, 1.0], "row 1 has -1.0"),
        ([0.0, 0.0, 0.0], "at least one non-zero"),
        ([1.0, 1.0], r"shape \(2,\), expected \(3,\)"),
        ([1.0, np.nan, 1.0], "NaN"),
    ],
)
def test_bad_weights_are_refused(estimator: Any, weight: Any, message: str) -> None:
    x = [[0.0], [1.0], [2.0]]
    for learn in (clone(estimator).fit, clone(estimator).partial_fit):
        with pytest.raises(ValueError, match=message):
            learn(x, sample_weight=weight)


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


def test_a_row_of_a_mixture_with_holes_has_the_marginal_density() -> None:
    x, _ = blobs(d=3)
    mixture = GaussianMixture(3, random_state=0).fit(x)
    theirs = mixture.to_sklearn()
    marginal = TheirMixture(3)
    keep = [0, 2]
    marginal.weights_, marginal.means_ = theirs.weights_, theirs.means_[:, keep]
    marginal.covariances_ = theirs.covariances_[:, keep][:, :, keep]
    roots = np.linalg.inv(np.linalg.cholesky(marginal.covariances_))
    marginal.precisions_cholesky_ = np.swapaxes(roots, 1, 2)
    holes = x.copy()
    holes[:, 1] = np.nan
    assert mixture.score_samples(holes) == pytest.approx(marginal.score_samples(x[:, keep]), abs=1e-9)
    assert mixture.predict_proba(holes) == pytest.approx(marginal.predict_proba(x[:, keep]), abs=1e-9)


@pytest.mark.parametrize("estimator", BOTH)
def test_infinite_values_are_refused(estimator: Any) -> None:
    x, _ = blobs(30)
    fitted = clone(estimator).fit(x)
    x[3, 1] = np.inf
    for method in (clone(estimator).fit, clone(estimator).partial_fit, fitted.predict):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(x)


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
    assert len(data) < 8_000
    back = pickle.loads(data)
    assert state(back) == state(fitted)
    assert state(back.partial_fit(x)) == state(fitted.partial_fit(x))


@pytest.mark.parametrize("estimator", BOTH)
def test_attributes_are_absent_before_learning(estimator: Any) -> None:
    names = ["model_", "means_", "weights_", "covariances_", "precisions_", "precisions_cholesky_"]
    for name in [*names, "cluster_centers_", "inertia_", "labels_"]:
        assert not hasattr(clone(estimator), name)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        clone(estimator).predict([[0.0, 0.0]])


@pytest.mark.parametrize("estimator", BOTH)
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n": 0}, "is 0, expected an integer >= 1"),
        ({"n": 2.5}, "is 2.5, expected an integer >= 1"),
        ({"max_iter": 0}, "max_iter is 0, expected an integer >= 1"),
        ({"tol": -1.0}, "tol is -1.0, expected a finite number >= 0"),
        ({"batch_size": True}, "batch_size is True, expected an integer >= 1"),
        ({"half_life": -5}, "half_life is -5"),
        ({"window": 1.5}, "window is 1.5, expected an integer >= 1"),
        ({"half_life": 5, "window": 7}, "half_life and window are given, expected at most one"),
    ],
)
def test_bad_parameters_are_refused_in_one_line(estimator: Any, params: dict[str, Any], message: str) -> None:
    name = "n_clusters" if isinstance(estimator, KMeans) else "n_components"
    params = {name if key == "n" else key: value for key, value in params.items()}
    with pytest.raises(ValueError, match=message) as error:
        clone(estimator).set_params(**params).fit([[0.0], [1.0], [2.0]])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"covariance_type": "round"}, ValueError, "covariance_type is 'round', expected one of 'full'"),
        ({"reg_covar": -1.0}, ValueError, "reg_covar is -1.0"),
        ({"prior": 3}, TypeError, "prior is 3, expected a stream_mix.mixture.Prior"),
    ],
)
def test_bad_parameters_of_a_mixture(params: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GaussianMixture(**params).fit([[0.0], [1.0]])


def test_what_may_change_between_calls_and_what_may_not() -> None:
    x, _ = blobs(600)
    mixture = GaussianMixture(3, random_state=0).partial_fit(x)
    mixture.set_params(half_life=100, batch_size=50).partial_fit(x)
    assert mixture.model_.moments.mass.sum() < 200
    with pytest.raises(ValueError, match="n_components was 3 and is now 4"):
        mixture.set_params(n_components=4).partial_fit(x)
    assert mixture.fit(x).means_.shape == (4, 2)


def test_too_few_rows_are_refused_in_scikit_learns_words() -> None:
    with pytest.raises(ValueError, match="but got n_components = 3, n_samples = 2"):
        GaussianMixture(3).fit([[0.0], [1.0]])
    with pytest.raises(ValueError, match=r"n_samples=2 should be >= n_clusters=3\."):
        KMeans(3).fit([[0.0], [1.0]])


def test_a_fit_that_was_cut_short_warns() -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    with pytest.warns(ConvergenceWarning, match="did not converge in 2 sweeps"):
        mixture = GaussianMixture(4, tol=0.0, max_iter=2, random_state=0).fit(x)
    assert not mixture.converged_
    assert mixture.n_iter_ == len(mixture.lower_bounds_) == 2
    assert mixture.lower_bound_ == mixture.lower_bounds_[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_and_inverses(kind: str) -> None:
    x, _ = blobs(d=3)
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).partial_fit(x)
    theirs = TheirMixture(3, covariance_type=kind, random_state=0).fit(x)
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(mixture, name).shape == np.shape(getattr(theirs, name)), name
    assert mixture.weights_.sum() == pytest.approx(1.0)
    if kind in ("full", "tied"):
        identity = mixture.covariances_ @ mixture.precisions_
        assert identity == pytest.approx(np.broadcast_to(np.eye(3), identity.shape), abs=1e-10)
        assert np.array_equal(mixture.precisions_cholesky_, np.triu(mixture.precisions_cholesky_))
    else:
        assert mixture.covariances_ * mixture.precisions_ == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_sample_has_the_moments_of_the_mixture(kind: str) -> None:
    x, _ = blobs(d=2)
    x = x @ np.array([[1.0, 0.7], [0.0, 0.5]])
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).fit(x)
    drawn, label = mixture.sample(60_000)
    assert drawn.shape == (60_000, 2)
    assert label.shape == (60_000,)
    assert np.bincount(label) / 60_000 == pytest.approx(mixture.weights_, abs=0.01)
    for k in range(3):
        own = mixture.covariances_ if kind == "tied" else mixture.covariances_[k]
        expected = own if kind in ("full", "tied") else own * np.eye(2)
        assert drawn[label == k].mean(axis=0) == pytest.approx(mixture.means_[k], abs=0.05)
        assert np.cov(drawn[label == k].T) == pytest.approx(expected, abs=0.06 * np.trace(expected))
    assert np.array_equal(drawn, mixture.sample(60_000)[0])
    with pytest.raises(ValueError, match="n_samples is 0"):
        mixture.sample(0)


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


@pytest.mark.parametrize("kind", KINDS)
def test_units_do_not_matter(kind: str) -> None:
    x, _ = blobs()
    units = 1e-6 if kind == "spherical" else np.array([1e-6, 1e5])
    near, far = (GaussianMixture(3, covariance_type=kind, random_state=0).fit(x * u) for u in (1.0, units))
    assert far.predict_proba(x * units) == pytest.approx(near.predict_proba(x), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "k"), [("blobs", 5), ("many", 25), ("digits", 10)], ids=["blobs", "many blobs", "digits"]
)
def test_kmeans_reaches_the_inertia_of_ten_starts(name: str, k: int) -> None:
    data = {
        "blobs": lambda: make_blobs(1000, centers=5, random_state=2)[0],
        "many": lambda: make_blobs(5000, centers=25, n_features=3, random_state=3)[0],
        "digits": lambda: load_digits().data,
    }
    x = data[name]()
    theirs = TheirKMeans(k, n_init=10, random_state=0).fit(x)
    for seed in range(2):
        ours = KMeans(k, random_state=seed).fit(x)
        assert ours.inertia_ <= 1.01 * theirs.inertia_


def test_kmeans_attributes_agree_with_its_methods() -> None:
    x, _ = blobs(1000, k=4, d=3)
    kmeans = KMeans(4, random_state=0, tol=0.0).fit(x)
    distances = np.linalg.norm(x[:, None] - kmeans.cluster_centers_, axis=2)
    assert kmeans.transform(x) == pytest.approx(distances, abs=1e-12)
    assert np.array_equal(kmeans.labels_, distances.argmin(axis=1))
    assert np.array_equal(kmeans.labels_, kmeans.predict(x))
    assert kmeans.inertia_ == pytest.approx(np.square(distances.min(axis=1)).sum(), rel=1e-12)
    assert kmeans.score(x) == pytest.approx(-kmeans.inertia_, rel=1e-12)
    assert kmeans.labels_.dtype == np.int64


def test_kmeans_inertia_of_a_stream_is_of_the_partition_it_learned() -> None:
    x, _ = blobs(1000, k=4)
    kmeans = KMeans(4, random_state=0).partial_fit(x)
    assert kmeans.inertia_ == pytest.approx(-kmeans.score(x), rel=0.01)
    assert kmeans.labels_.shape == (1000,)
    assert kmeans.partial_fit(x[:7]).labels_.shape == (7,)


def test_kmeans_distances_are_over_the_features_that_are_there() -> None:
    kmeans = KMeans(1, random_state=0).fit([[0.0, 0.0], [2.0, 4.0]])
    assert kmeans.transform([[4.0, np.nan], [np.nan, np.nan], [4.0, 6.0]]).ravel().tolist() == [3.0, 0.0, 5.0]


def test_kmeans_with_fewer_distinct_rows_than_clusters() -> None:
    x = np.array([[0.0], [0.0], [5.0], [5.0]])
    kmeans = KMeans(3, random_state=0).fit(x)
    assert kmeans.inertia_ == pytest.approx(0.0, abs=1e-12)
    assert len(set(kmeans.labels_.tolist())) == 2
    assert kmeans.transform(x).min(axis=1) == pytest.approx(0.0, abs=1e-12)


def test_set_output_and_pipelines() -> None:
    x, _ = blobs()
    pipe = make_pipeline(StandardScaler(), KMeans(3, random_state=0)).set_output(transform="pandas")
    out = pipe.fit(x).transform(x)
    assert out.columns.tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    assert np.array_equal(out.to_numpy().argmin(axis=1), pipe.predict(x))
    polars = KMeans(3, random_state=0).set_output(transform="polars").fit_transform(x)
    assert polars.columns == ["kmeans0", "kmeans1", "kmeans2"]


def test_outlier_scores() -> None:
    x, _ = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(x)
    scores = mixture.outlier_samples(x)
    assert np.mean(scores > 0.95) == pytest.approx(0.05, abs=0.02)
    assert mixture.outlier_samples([[1000.0, 0.0]])[0] == pytest.approx(1.0)
    assert mixture.outlier_samples(mixture.means_) == pytest.approx(0.0, abs=1e-9)


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


def test_parameter_names_and_defaults_are_scikit_learns_where_it_has_them() -> None:
    for ours, theirs in ((GaussianMixture, TheirMixture), (KMeans, TheirKMeans)):
        known = inspect.signature(theirs).parameters
        for name, parameter in inspect.signature(ours).parameters.items():
            if name in known:
                assert parameter.default == known[name].default, name


def test_a_fit_is_quiet_where_all_is_well() -> None:
    x, _ = blobs()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianMixture(3, random_state=0).fit(x).sample(3)
        KMeans(3, random_state=0).fit(x)
