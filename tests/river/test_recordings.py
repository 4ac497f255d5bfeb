from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from river import datasets

from stream_mix.ports.journal import Journal, JournalFrame
from stream_mix.protocol import encode_points
from stream_mix.recording import iter_rows
from stream_mix.river import KMeans, iter_recording

X = np.array([[1.0, 10.0, 0.0], [2.0, np.nan, 1.0], [3.0, 30.0, 0.0], [4.0, 40.0, 1.0]])
T = [100.0, 101.0, 102.0, 103.0]
W = [1.0, 2.0, 1.0, 0.5]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "stream.sqlite"
    journal = Journal.open(path, durability="off")
    for i in range(2):
        rows = slice(2 * i, 2 * i + 2)
        raw = encode_points(X[rows], t=T[rows], w=W[rows], features=["a", "b", "y"], source="me", seq=i)
        journal.append([JournalFrame(i, 2 * i, 2, "me", i, 1000.0 + i, T[rows][0], T[rows][-1], raw)])
    journal.commit()
    journal.close()
    return path


def test_a_recording_reads_as_a_river_data_set(recording: Path) -> None:
    assert list(iter_recording(recording)) == [
        ({"a": 1.0, "b": 10.0, "y": 0.0}, None),
        ({"a": 2.0, "y": 1.0}, None),
        ({"a": 3.0, "b": 30.0, "y": 0.0}, None),
        ({"a": 4.0, "b": 40.0, "y": 1.0}, None),
    ]
    kinds = {tuple(map(type, pair)) for pair in datasets.Bananas().take(3)}
    assert {type(x) for x, _ in iter_recording(str(recording))} == {kind[0] for kind in kinds} == {dict}


def test_target_drop_time_and_weight(recording: Path) -> None:
    found = iter_recording(recording, "y", drop=("b",), time_feature="t", weight_feature="w", start=1, stop=3)
    assert list(found) == [({"a": 2.0, "t": 101.0, "w": 2.0}, 1.0), ({"a": 3.0, "t": 102.0, "w": 1.0}, 0.0)]


def test_a_recording_teaches_as_its_rows_do(recording: Path) -> None:
    one = KMeans(1, time_feature="t", weight_feature="w", time_half_life=9.0, seed=42)
    other = one.clone()
    for x, _ in iter_recording(recording, time_feature="t", weight_feature="w"):
        one.learn_one(x)
    for _, features, t, w, _ in iter_rows(recording):
        other.learn_one(features, w=1.0 if w is None else w, t=t)
    assert one.centers == other.centers
    assert one.model.t == 103.0


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.sqlite"):
        next(iter_recording(tmp_path / "none.sqlite"))
