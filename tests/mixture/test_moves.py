"""Moves: likelihood finds what squared error missed, and is never made worse."""

from __future__ import annotations

import numpy as np
import pytest

from stream_mix.mixture import FAMILIES, Model, Prior, Rows, Spec, learn, parameters
from stream_mix.mixture.moves import Reservoir, moved

from .streams import blobs, fitted


def reservoir(family: str, x: np.ndarray, k: int) -> tuple[Reservoir, object]:
    basis, found = fitted(family, x, k)
    known = np.ones((k, x.shape[1]))
    hard = FAMILIES[family].assignment == "hard"
    return Reservoir(basis.forward(x), np.ones(len(x)), basis, FAMILIES[family], Prior(), known, hard), found


@pytest.mark.parametrize("family", ["diag", "full"])
@pytest.mark.parametrize("batch_size", [1, 256])
@pytest.mark.parametrize("seed", range(3))
def test_clusters_along_one_feature_are_found_beside_a_feature_of_noise(
    family: str, batch_size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 3, 900) * 10.0 + rng.normal(size=900), rng.normal(size=900)])
    model, _ = learn(Model.new(Spec(3, family, batch_size=batch_size, random_state=seed), 2), Rows.of(x))
    np.testing.assert_allclose(np.sort(parameters(model).means[:, 0]), [0.0, 10.0, 20.0], atol=0.5)


@pytest.mark.parametrize("family", ["spherical", "diag", "tied", "full"])
@pytest.mark.parametrize("seed", range(3))
def test_moves_gain_on_plain_em(family: str, seed: int) -> None:
    x, _, _ = blobs(400, k=6, d=2, seed=seed, spread=5.0)
    rows, start = reservoir(family, x, 6)
    plain = rows.climb(start, 20)[2]
    better = rows.climb(moved(rows, start, np.random.default_rng(seed), 10), 2)[2]
    assert better >= plain - 1e-3


def test_hard_assignment_and_few_rows_are_left_to_squared_error() -> None:
    x, _, _ = blobs(200, k=3)
    for family, rows in (("kmeans", x), ("full", x[:20])):
        given, start = reservoir(family, rows, 3)
        after = moved(given, start, np.random.default_rng(0), 4)
        np.testing.assert_array_equal(after.means, given.climb(start, 4)[0].means)
