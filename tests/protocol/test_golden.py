"""Messages recorded in version 1 mean the same for ever."""

from __future__ import annotations

from pathlib import Path

import msgpack
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stream_mix.protocol import Assignment, Snapshot, decode_frame, decode_published, decode_query
from tests.protocol.golden_frames import FOLDER, MESSAGES


def golden(name: str) -> bytes:
    return Path(FOLDER / f"v1_{name}.bin").read_bytes()


@pytest.mark.parametrize("name", MESSAGES)
def test_the_script_still_writes_the_recorded_bytes(name: str) -> None:
    assert msgpack.packb(MESSAGES[name]()) == golden(name)


def test_points_f8() -> None:
    frame = decode_frame(golden("points_f8"))
    assert (frame.source, frame.seq, frame.n, frame.n_sent, frame.d) == ("meter", 7, 2, 2, 2)
    assert frame.features == ("volt", "ampere")
    assert frame.id == ("first", 2)
    assert_array_equal(frame.x, [[1.5, -2.0], [0.25, np.nan]])
    assert_array_equal(frame.t, [1.7e9, 1.7e9 + 1])
    assert_array_equal(frame.w, [1.0, 0.5])
    assert frame.refused == ()


def test_points_f4() -> None:
    frame = decode_frame(golden("points_f4"))
    assert (frame.source, frame.seq, frame.features, frame.t, frame.w, frame.id) == (None,) * 6
    assert frame.x.dtype == np.float64
    assert_array_equal(frame.x, [[0.5, -1.0, np.float32(1e30)]])


def test_events() -> None:
    frame = decode_frame(golden("events"))
    assert frame.features == ("volt", "ampere", "hertz")
    assert_array_equal(frame.x, [[230.0, 0.5, np.nan], [np.nan, 0.75, 50.0]])
    assert_array_equal(frame.t, [1.7e9, 1.7e9 + 0.5])
    assert_array_equal(frame.w, [2.0, 1.0])
    assert frame.id == ("a", None)
    assert [(row, code) for row, code, _ in frame.refused] == [(2, "value")]


def test_query() -> None:
    query = decode_query(golden("query_predict"))
    assert (query.kind, query.model) == ("predict", "main")
    assert query.frame is not None
    assert query.frame.x.tolist() == [[3.0]]


def test_assignment() -> None:
    message = decode_published([b"assignment/main", golden("assignment")])
    assert isinstance(message, Assignment)
    assert (message.model, message.source, message.seq, message.offset, message.generation) == (
        "main", "meter", 7, 100, 3)
    assert message.components == (0, 4)
    assert message.label.tolist() == [4]
    assert message.p is not None
    assert message.p.tolist() == [[0.25, 0.75]]
    assert message.log_density.tolist() == [-1.5]
    assert message.outlier.tolist() == [0.5]
    assert message.id == ("first",)


def test_snapshot() -> None:
    message = decode_published([b"snapshot/main", golden("snapshot")])
    assert isinstance(message, Snapshot)
    assert (message.pub_seq, message.generation, message.offset, message.t) == (2, 3, 100, 1.7e9)
    assert (message.family, message.features, message.components) == ("diag", ("volt", "ampere"), (4,))
    assert message.weights.tolist() == [1.0]
    assert message.means.tolist() == [[230.0, 0.5]]
    assert message.covariances.tolist() == [[4.0, 0.25]]
    assert message.moments["mass"].tolist() == [100.0]
    assert message.engine == {"version": "0.1.0", "config": "abc"}
