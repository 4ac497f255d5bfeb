"""Overlap and clusters: known densities, a naive search along the ridgeline, and what changes nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.mixture import Model, Spec, clusters, overlaps
from stream_mix.mixture.arrays import Array

from .streams import ALL_FAMILIES
from .test_validity import held


def normal(means: list[list[float]], covariances: Array | None = None, family: str = "full") -> Model:
    at = np.array(means)
    unit = np.tile(np.eye(at.shape[1]), (len(at), 1, 1)) if covariances is None else covariances
    return held(family, at, unit, np.full(len(at), 1e6))


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize(("apart", "one"), [(0.0, True), (2.0, True), (4.0, True), (4.6, False)])
def test_equal_components_are_one_cluster_below_four_and_a_third_deviations(
    family: str, apart: float, one: bool
) -> None:
    found = clusters(normal([[0.0, 0.0], [apart, 0.0]], family=family))
    assert found == (((0, 1),) if one else ((0,), (1,)))


def test_the_overlap_of_equal_components_is_the_dip_between_them() -> None:
    for apart in (3.0, 4.0, 5.0):
        found = overlaps(normal([[0.0], [apart]]))
        assert found is not None
        dip, mode = 2.0 * math.exp(-(apart**2) / 8.0), 1.0 + math.exp(-(apart**2) / 2.0)
        assert found[0, 1] == pytest.approx(dip / mode, rel=0.02)
    one_mode = overlaps(normal([[0.0], [1.9]]))
    assert one_mode is not None
    assert one_mode[0, 1] == pytest.approx(1.0)


def test_two_far_clusters_of_two_overlapping_components_each() -> None:
    found = clusters(normal([[0.0, 0.0], [50.0, 0.0], [2.5, 0.0], [50.0, 3.0]]))
    assert found == ((0, 2), (1, 3))


def test_a_chain_is_one_cluster_and_the_threshold_decides() -> None:
    chain = normal([[3.0 * i, 0.0] for i in range(5)])
    assert clusters(chain) == ((0, 1, 2, 3, 4),)
    assert clusters(chain, threshold=0.9) == ((0,), (1,), (2,), (3,), (4,))


def test_a_bent_cluster_is_followed_along_its_ridge_and_not_across_the_bend() -> None:
    """Two long components at a right angle meet in a corner, which the straight line between means cuts."""
    covariances = np.array([np.diag([25.0, 0.25]), np.diag([0.25, 25.0])])
    for family in ("full", "diag"):
        assert clusters(normal([[5.0, 0.0], [0.0, 5.0]], covariances, family)) == ((0, 1),)
    apart = normal([[25.0, 0.0], [0.0, 25.0]], covariances)
    assert clusters(apart) == ((0,), (1,))


@given(seed=st.integers(0, 200))
@settings(max_examples=25)
def test_the_overlap_is_that_of_a_naive_search(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 4))
    root = rng.normal(size=(2, d, d + 2))
    covariances = root @ np.swapaxes(root, 1, 2)
    model = held("full", rng.normal(0.0, 3.0, (2, d)), covariances, rng.uniform(5e5, 2e6, 2))
    found = overlaps(model)
    assert found is not None
    wanted = naive(model)
    # The bottom and the top of the curve may lie between two of the few steps; faint overlaps are only faint.
    assert found[0, 1] == pytest.approx(wanted, rel=0.25, abs=0.05)
    assert found[0, 1] == found[1, 0]


def naive(model: Model) -> float:
    p, (m1, m2) = model.parameters, model.parameters.means
    p1, p2 = map(np.linalg.inv, p.dense)
    points = []
    for a in np.concatenate([np.geomspace(1e-6, 0.5, 400), 1.0 - np.geomspace(0.5, 1e-6, 400), [0.0, 1.0]]):
        points.append((a, np.linalg.solve((1 - a) * p1 + a * p2, (1 - a) * p1 @ m1 + a * p2 @ m2)))
    heights = []
    for _, x in sorted(points, key=lambda point: point[0]):
        terms = [
            w * math.exp(-0.5 * float((x - m) @ q @ (x - m))) / math.sqrt(np.linalg.det(c))
            for w, m, q, c in zip(p.weights, p.means, (p1, p2), p.dense, strict=True)
        ]
        heights.append(sum(terms))
    return min(
        height / min(max(heights[: i + 1]), max(heights[i:])) for i, height in enumerate(heights)
    )


def test_stable_ids_are_what_is_grouped() -> None:
    model = replace(normal([[0.0], [99.0], [1.0]]), components=(7, 11, 13))
    assert clusters(model) == ((7, 13), (11,))


def test_too_many_components_or_none_yet() -> None:
    assert overlaps(Model.new(Spec(3), 2)) is None
    many = held("diag", np.arange(129.0)[:, None], np.ones((129, 1, 1)), np.ones(129))
    assert clusters(many) is None
