"""The own methods and attributes of k-means."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans as TheirKMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_mix.sklearn import KMeans


def blobs(n: int = 900, k: int = 3, d: int = 2) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    x, y = make_blobs(n, centers=k, n_features=d, center_box=(-20, 20), random_state=0)
    return x, y.astype(np.int64)


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


def test_labels_are_those_of_the_last_call_whenever_they_are_asked_for() -> None:
    x, _ = blobs(500)
    kmeans = KMeans(3, random_state=0).partial_fit(x)
    rows = x[:100].copy()
    kmeans.partial_fit(rows)
    rows[:] = 0.0  # the caller's array is the caller's
    late, pickled = copy.deepcopy(kmeans), pickle.loads(pickle.dumps(kmeans))
    expected = kmeans.predict(x[:100])
    for model in (kmeans, late, pickled):
        assert np.array_equal(model.labels_, expected)
        assert np.array_equal(model.labels_, expected)
    del kmeans.labels_
    assert not hasattr(kmeans, "labels_")
    assert np.array_equal(kmeans.partial_fit(x[:10]).labels_, kmeans.predict(x[:10]))
