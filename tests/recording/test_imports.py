from __future__ import annotations

from pathlib import Path

import pytest

from stream_mix.recording import (
    RecordingError,
    import_rows,
    iter_frames,
)


def test_an_import_goes_on_at_the_end_and_cuts_frames_to_the_limits(tmp_path: Path) -> None:
    path, out = tmp_path / "x.csv", tmp_path / "j"
    path.write_text("t," + ",".join(f"f{j}" for j in range(200)) + "\n" + ("7" + ",1" * 200 + "\n") * 3000)
    first = import_rows(path, out, source="me", block=3000, durability="os")
    assert first.rows == 3000
    assert first.frames > 1
    second = import_rows(path, out, time="", now=lambda: 5.0, durability="os")
    assert second.offset == 6000
    frames = list(iter_frames(out, since=7.0, source="me"))
    assert sum(frame.n for _, frame in frames) == 3000
    assert sum(frame.n for _, frame in iter_frames(out, until=6.0)) == 3000


def test_an_import_of_what_is_no_table_makes_no_journal(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        import_rows(tmp_path / "x.csv", tmp_path / "j")
    assert list(tmp_path.iterdir()) == []
