"""Components keep their ids as long as they keep their rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stream_mix.mixture import Change
from stream_mix.mixture.changes import renamed


def test_who_keeps_its_rows_keeps_its_id_and_its_place() -> None:
    found = renamed((4, 7, 9), 10, np.array([[0.0, 50.0, 1.0], [0.0, 2.0, 60.0], [70.0, 0.0, 0.0]]), 200)
    assert found.components == (4, 7, 9)
    assert found.order == (1, 2, 0)
    assert (found.named, found.changes) == (10, ())


def test_a_component_that_goes_and_one_that_comes_are_told_with_their_kin() -> None:
    # The second lost its rows to the first, and the third was two clusters.
    rows = np.array([[90.0, 0.0, 0.0], [40.0, 0.0, 0.0], [0.0, 60.0, 55.0]])
    found = renamed((0, 1, 2), 3, rows, 500)
    assert found.components == (0, 3, 2)
    assert found.order == (0, 2, 1)
    assert found.changes == (Change("split", 3, (2,), 500), Change("merged", 0, (0, 1), 500))


def test_a_component_whose_rows_went_everywhere_has_died_and_one_without_rows_was_born() -> None:
    rows = np.array([[100.0, 0.0, 0.0], [10.0, 10.0, 0.0], [0.0, 100.0, 0.0]])
    found = renamed((0, 1, 2), 3, rows, 9)
    assert found.changes == (Change("born", 3, (), 9), Change("died", 1, (), 9))


def test_more_or_fewer_components_than_before() -> None:
    more = renamed((0, 1), 2, np.array([[60.0, 0.0, 40.0], [0.0, 80.0, 0.0]]), 1)
    assert (more.components, more.named) == ((0, 1, 2), 3)
    assert more.changes == (Change("split", 2, (0,), 1),)
    fewer = renamed((0, 1, 2), 3, np.array([[60.0, 0.0], [30.0, 0.0], [0.0, 50.0]]), 1)
    assert (fewer.components, fewer.order) == ((0, 2), (0, 1))
    assert fewer.changes == (Change("merged", 0, (0, 1), 1),)


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: arrays(np.float64, shape, elements=st.integers(0, 100).map(float))
    )
)
def test_every_new_component_has_one_id_and_none_comes_back(rows: np.ndarray) -> None:
    old = tuple(range(5, 5 + len(rows)))
    found = renamed(old, 40, rows, 0)
    k = rows.shape[1]
    assert sorted(found.order) == list(range(k))
    assert len(set(found.components)) == k
    fresh = [id for id in found.components if id not in old]
    assert sorted(fresh) == list(range(40, found.named))
    gone = set(old) - set(found.components)
    told = {change.component for change in found.changes if change.kind in ("split", "born")}
    assert told == set(fresh)
    lost = {id for change in found.changes if change.kind == "merged" for id in change.parents[1:]}
    lost |= {change.component for change in found.changes if change.kind == "died"}
    assert lost == gone
