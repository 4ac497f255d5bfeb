"""Agreement of labellings: as scikit-learn has it, and what must hold of any index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

from stream_mix.mixture.agreement import (
    Contingency,
    _log_factorial,
    centroid_index,
    mutual_information,
    rand_index,
    tabled,
)

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(PAIRS)
def test_indices_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    a, b = zip(*pairs, strict=True)
    table = tabled(a, b)
    assert rand_index(table) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)
    assert mutual_information(table) == pytest.approx(adjusted_mutual_info_score(a, b), abs=1e-9)
    assert mutual_information(table) == pytest.approx(mutual_information(table.T), abs=1e-12)


def test_mutual_information_of_many_rows_leaves_out_nothing_that_counts() -> None:
    rng = np.random.default_rng(0)
    a = rng.integers(0, 6, 40_000)
    b = np.where(rng.random(40_000) < 0.3, a, rng.integers(0, 5, 40_000))
    assert mutual_information(tabled(a, b)) == pytest.approx(adjusted_mutual_info_score(a, b), abs=1e-9)
    big = np.array([[3e6, 1e5], [2e5, 4e6]])
    assert 0.6 < mutual_information(big) < 0.9


def test_factorials_are_the_gamma_function_on_both_sides_of_the_table() -> None:
    from math import lgamma

    for value in (0, 1, 255, 256, 257, 10**4, 10**9):
        assert _log_factorial(np.array([float(value)]))[0] == pytest.approx(lgamma(value + 1), rel=1e-14)


@given(PAIRS, st.integers(1, 59))
def test_counts_add_up_however_rows_are_cut(pairs: list[tuple[int, int]], cut: int) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    whole, parts = Contingency(), Contingency()
    whole.add(a, b)
    parts.add(a[:cut], b[:cut])
    parts.add(a[cut:], b[cut:])
    np.testing.assert_array_equal(parts.table, whole.table)
    np.testing.assert_array_equal(whole.table, tabled(a, b))
    assert whole.rows == len(pairs)


@given(PAIRS)
def test_labels_of_a_group_count_as_one(pairs: list[tuple[int, int]]) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    counts, merged = Contingency(), Contingency()
    counts.add(a, b)
    merged.add(a, np.where((b == 1) | (b == 3), 1, b))
    np.testing.assert_array_equal(counts.grouped(((1, 3), (0,), (2,))).table, merged.table)


def test_centroid_index_counts_both_ways() -> None:
    truth = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    assert centroid_index(truth[::-1] + 0.1, truth) == 0
    assert centroid_index(truth[:1], truth) == 2
    assert centroid_index(np.vstack([truth, truth + 0.1]), truth) == 3
    assert centroid_index(np.empty((0, 2)), truth) == 3
