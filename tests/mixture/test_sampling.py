"""The sample stands for all rows alike, however they came in groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.mixture import Rows
from stream_mix.mixture.sampling import STRETCH, Sample, begun, mixed, size


def numbered(n: int, first: int = 0) -> Rows:
    """Rows that hold their own numbers, as feature, weight and time."""
    numbers = np.arange(first, first + n, dtype=np.float64)
    return Rows(numbers[:, None], numbers + 1.0, numbers)


def gone_by(sample: Sample, rows: Rows, most: int, seed: int, *, span: float | None = None) -> Sample:
    """The sample after rows that carry their numbers."""
    first = int(rows.x[0, 0])
    end = first + len(rows)
    sample = sample.taking(rows.x, rows.w, rows.t, first)
    while sample.last < end:
        sample = sample.onward(most, span or float(sample.last + 1), seed, quiet=True)
        sample = sample.taking(rows.x, rows.w, rows.t, first)
    return sample


def test_every_row_is_as_likely_to_be_in_the_sample() -> None:
    n, most, repeats = 2000, 50, 400
    counts = np.zeros(n)
    for seed in range(repeats):
        sample = gone_by(begun(numbered(80), most, 80, seed, 1), numbered(n - 80, 80), most, seed)
        kept = sample.settled().x[:, 0].astype(int)
        assert len(set(kept)) == most
        counts[kept] += 1
    # In tenths of the stream: binomial counts of that chance, five standard deviations to each side.
    tenths = counts.reshape(10, -1).sum(axis=1)
    expected = repeats * most / 10
    assert (np.abs(tenths - expected) < 5 * np.sqrt(expected)).all(), tenths


def test_where_memory_fades_the_sample_is_as_young_as_it() -> None:
    most, span = 100, 500.0
    sample = gone_by(begun(numbered(100), most, 100, 0, 1), numbered(20_000, 100), most, 0, span=span)
    ages = 20_100 - sample.settled().x[:, 0]
    assert 0.7 * span < ages.mean() < 1.4 * span


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.integers(0, 5))
def test_how_rows_are_grouped_changes_nothing(sizes: list[int], seed: int) -> None:
    n, most = sum(sizes), 70
    start = begun(numbered(20), most, 20, seed, 1)
    whole = gone_by(start, numbered(n, 20), most, seed)
    parts, first = start, 20
    for length in sizes:
        parts = gone_by(parts, numbered(length, first), most, seed)
        first += length
    np.testing.assert_array_equal(parts.due, whole.due)
    np.testing.assert_array_equal(parts.settled().x, whole.settled().x)


def test_a_sample_that_is_not_full_takes_every_row_with_weight_and_time() -> None:
    sample = gone_by(begun(numbered(10), 300, 10, 0, 1), numbered(200, 10), 300, 0)
    rows = sample.settled()
    np.testing.assert_array_equal(rows.x[:, 0], np.arange(210))
    np.testing.assert_array_equal(rows.w, np.arange(210) + 1.0)
    np.testing.assert_array_equal(rows.t, np.arange(210))


def test_no_row_is_wanted_where_none_is_due() -> None:
    sample = begun(numbered(100), 100, 100_000, 0, 1)
    first = int(sample.due[0])
    assert not sample.wants(100_000, first)
    assert sample.wants(first, first + 1)
    assert sample.taking(numbered(first - 100_000, 100_000).x, None, None, 100_000) is sample
    assert len(sample.due) == STRETCH


@pytest.mark.parametrize("span", [1e19, 1e300, np.inf])
def test_a_memory_beyond_all_numbers_waits_for_ever(span: float) -> None:
    sample = begun(numbered(80), 50, 80, 3, 1).onward(50, span, 3, quiet=True)
    assert (sample.due > 1e16).all()
    assert (np.diff(sample.due) >= 0).all()
    assert sample.due[0] > 80
    assert not sample.wants(80, 1 << 40)


def test_stretches_grow_while_nothing_happens_and_are_short_again_after() -> None:
    sample, lengths = begun(numbered(100), 100, 100_000, 0, 1), []
    for quiet in (*[True] * 9, False, True):
        sample = sample.taking(*vars(numbered(sample.last + 1)).values(), 0)
        sample = sample.onward(100, 1e5, 0, quiet=quiet)
        lengths.append(len(sample.due))
    assert lengths == [32, 64, 64, 128, 128, 256, 256, 256, 256, 32, 32]


def test_two_samples_mix_by_what_each_stands_for() -> None:
    ours, theirs = numbered(1000), numbered(1000, 5000)
    rows = mixed(ours, theirs, 300.0, 900.0, seed=0)
    from_theirs = int((rows.x[:, 0] >= 5000).sum())
    assert from_theirs == 1000
    assert len(rows) - from_theirs == pytest.approx(333, abs=1)


def test_samples_are_bounded_in_rows_and_in_numbers() -> None:
    assert size(5, 2) == 2000
    assert size(200, 4) == 8000
    assert size(5, 100_000) * 100_000 <= 1 << 21


@pytest.mark.parametrize("fresh", [0, 20])
def test_a_sample_keeps_its_bound_when_features_become_very_many(
    fresh: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_mix.mixture.sampling._MOST_NUMBERS", 1000)
    sample = begun(numbered(80), 100, 80, 0, 1)
    sample = gone_by(sample, numbered(fresh, 80), 100, 0) if fresh else sample
    wide = sample.grown(50)
    held = wide.settled()
    assert held.x.shape == (20, 50)
    assert set(held.x[:, 0]) <= set(range(100))
    assert np.isnan(held.x[:, 1:]).all()
    assert wide.last == sample.last
    # It goes on: what is taken next has places among the rows that are left.
    rest = np.arange(80.0 + fresh, 400.0)
    rows = Rows(np.repeat(rest[:, None], 50, axis=1), rest + 1.0, rest)
    later = gone_by(wide, rows, size(1, 50), 0)
    assert later.settled().x.size <= 1000 + 50 * STRETCH
    assert later.settled().x[:, 0].max() >= 100 + fresh
    assert sample.grown(5).settled().x.shape == (80 + fresh, 5)
