"""The start: never worse than plain k-means++, and right where clusters are plain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream_mix.mixture import Model, Rows, Spec, flush, learn, parameters
from stream_mix.mixture.seeding import greedy_kmeans_plusplus, swap

from .streams import blobs


def error(x: np.ndarray, centres: np.ndarray) -> float:
    return float(np.square(x[:, None] - centres).sum(axis=2).min(axis=1).sum())


def centroid_index(found: np.ndarray, truth: np.ndarray) -> int:
    """Centres in the wrong place: orphans, counted both ways (Fränti, Rezaei & Zhao 2014)."""
    distances = np.square(found[:, None] - truth).sum(axis=2)
    return max(
        len(truth) - len(set(distances.argmin(axis=1))), len(found) - len(set(distances.argmin(axis=0)))
    )


@pytest.mark.parametrize("seed", range(5))
def test_swaps_only_ever_lower_the_error(seed: int) -> None:
    x, _, _ = blobs(900, k=9, d=2, seed=seed, spread=4.0)
    rng = np.random.default_rng(seed)
    placed = greedy_kmeans_plusplus(x, np.ones(len(x)), 9, rng)
    assert error(x, swap(x, np.ones(len(x)), placed, rng)) <= error(x, placed)


@pytest.mark.parametrize("seed", range(5))
def test_two_centres_in_one_cluster_are_mended(seed: int) -> None:
    x, _, truth = blobs(1000, k=10, d=2, seed=seed, spread=8.0)
    bad = truth.copy()
    bad[0] = truth[1] + 0.1
    assert centroid_index(bad, truth) == 1
    assert centroid_index(swap(x, np.ones(len(x)), bad, np.random.default_rng(seed)), truth) == 0


def test_rows_of_weight_zero_are_never_centres() -> None:
    x, _, _ = blobs(200, k=2)
    w = np.r_[np.ones(100), np.zeros(100)]
    x[100:] += 1e6
    centres = greedy_kmeans_plusplus(x, w, 3, np.random.default_rng(0))
    assert np.abs(centres).max() < 1e5


def test_fewer_points_than_centres_is_no_error() -> None:
    centres = greedy_kmeans_plusplus(np.zeros((2, 2)), np.ones(2), 4, np.random.default_rng(0))
    np.testing.assert_array_equal(centres, 0.0)


@pytest.mark.parametrize("family", ["kmeans", "full"])
@pytest.mark.parametrize("name", ["s1", "a1", "unbalance", "dim032", "r15"])
def test_one_pass_misplaces_no_centre_on_the_benchmark_sets(
    family: str, name: str, dataset: Callable[[str], tuple[np.ndarray, list[str]]]
) -> None:
    x, label = dataset(name)
    groups = np.array(label)
    truth = np.stack([x[groups == c].mean(axis=0) for c in sorted(set(label))])
    missed = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(x))
        model, _ = learn(
            Model.new(Spec(len(truth), family, random_state=seed), x.shape[1]), Rows.of(x[order])
        )
        missed.append(centroid_index(parameters(flush(model)[0]).means, truth))
    assert np.median(missed) == 0
