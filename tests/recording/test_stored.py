from __future__ import annotations

from pathlib import Path

import pytest

from stream_mix.ports.journal import JournalError
from stream_mix.protocol import encode_points
from stream_mix.recording import (
    iter_frames,
    iter_rows,
)
from tests.recording.recorded import write


def test_rows_come_out_with_names_times_weights_and_ids(journal: Path) -> None:
    rows = list(iter_rows(journal))
    assert [row.offset for row in rows] == list(range(12))
    assert rows[0][1:] == ({"a": 0.1}, 1.7e9, None, None)
    assert rows[4][1:] == ({"b": 3.0}, None, 2.0, 8)
    assert rows[6][1:] == ({"ü,\n": 5e-324}, 3.0, None, None)
    assert rows[11][1:] == ({"a": 9.0, "b": 10.0, "x2": 11.0}, None, None, None)


@pytest.mark.parametrize("start", range(13))
@pytest.mark.parametrize("stop", [None, 0, 4, 5, 12, 99])
def test_frames_are_cut_to_the_range(journal: Path, start: int, stop: int | None) -> None:
    whole = list(iter_rows(journal))
    assert list(iter_rows(journal, start, stop)) == whole[start:stop]
    at = start
    for offset, frame in iter_frames(journal, start, stop):
        assert offset == at
        at += frame.n
        for column in (frame.t, frame.w, frame.id):
            assert column is None or len(column) == frame.n
    assert at == max(start, min(12, 12 if stop is None else stop))


def test_times_and_sources_choose_frames(journal: Path) -> None:
    assert [offset for offset, _ in iter_frames(journal, since=1.0, until=3.0)] == [3, 5]
    assert [offset for offset, _ in iter_frames(journal, source="s1")] == [3, 8]
    assert [offset for offset, _ in iter_frames(journal, last=1.0)] == [5, 8]
    assert [row.offset for row in iter_rows(journal, 4, 9, source="s1")] == [4, 8]


def test_a_record_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, [(1, encode_points([[1.0]])), (2, encode_points([[1.0]]))])
    with pytest.raises(JournalError, match="offset 1: frame 1 has 1 good rows, 2 were recorded"):
        list(iter_rows(path))
    write(path, [(1, b"no frame")])
    with pytest.raises(JournalError, match="offset 3: frame 2 cannot be decoded"):
        list(iter_rows(path, 3))
