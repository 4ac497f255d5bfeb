"""Rows: what is refused, and how they join."""

from __future__ import annotations

import numpy as np
import pytest

from stream_mix.mixture import Rows, Spec


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": [1.0, 2.0]}, "1 dimensions, expected 2"),
        ({"x": [[1.0], [np.inf]]}, "row 1, feature 0 is inf"),
        ({"x": [[1e101]]}, "row 0, feature 0 is 1e.101"),
        ({"x": [[1.0]], "w": [0.0]}, "weight of row 0 is 0.0"),
        ({"x": [[1.0]], "w": [np.nan]}, "weight of row 0 is nan"),
        ({"x": [[1.0]], "w": [1.0, 2.0]}, r"weights have shape \(2,\), expected \(1,\)"),
        ({"x": [[1.0]], "t": [np.inf]}, "event time of row 0 is inf"),
    ],
)
def test_bad_rows_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rows.of(**arguments)  # type: ignore[arg-type]  # wrong on purpose


def test_rows_join_cut_and_grow() -> None:
    a, b = Rows.of([[1.0], [2.0]], t=[5.0, np.nan]), Rows.of([[3.0]], w=[2.0])
    both = Rows.concatenated([a, Rows.none(1), b])
    np.testing.assert_array_equal(both.x[:, 0], [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(both.w, [1.0, 1.0, 2.0])
    assert both.newest(np.nan) == 5.0
    assert both[1:].newest(7.0) == 7.0
    assert np.isnan(both.grown(2).x[:, 1]).all()


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"family": "oval"}, "family is 'oval'"),
        ({"assignment": "firm"}, "assignment is 'firm'"),
        ({"n_components": 0}, "n_components is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"random_state": True}, "random_state is True"),
    ],
)
def test_a_senseless_specification_is_refused(choice: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Spec(**choice)  # type: ignore[arg-type]  # wrong on purpose


def test_an_event_time_whose_differences_would_overflow_is_refused() -> None:
    with pytest.raises(ValueError, match="event time of row 1"):
        Rows.of([[1.0], [2.0]], t=[0.0, -1e308])
