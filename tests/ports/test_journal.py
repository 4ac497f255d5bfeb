from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, Output
from tests.ports.journals import frames, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a journal #1?.db"


@pytest.fixture
def written(path: Path) -> Path:
    with Journal.open(path, meta={"features": "a,b"}) as journal:
        journal.append(frames(1000))
    return path


def test_what_was_appended_is_read_back(written: Path) -> None:
    assert read(written) == frames(1000)
    with JournalReader.open(written) as reader:
        assert reader.meta == {"features": "a,b"}
        info = reader.info()
        assert (info.frames, info.rows, info.first_received, info.last_received) == (
            1000,
            3000,
            1000.0,
            1999.0,
        )
        assert (info.t_first, info.t_last, info.format) == (0.0, 4999.0, 2)
        report = reader.verify()
        assert report.ok
        assert (report.frames, report.rows) == (1000, 3000)


def test_a_journal_goes_on_where_it_ended(written: Path) -> None:
    with Journal.open(written, create=False) as journal:
        assert (journal.next_id, journal.next_offset) == (1000, 3000)
        journal.append(frames(5, 1000, 3000))
        journal.set_meta("features", "a,b,c")
    assert read(written) == frames(1005)
    with JournalReader.open(written) as reader:
        assert reader.meta == {"features": "a,b,c"}


def test_nothing_is_seen_before_its_commit_and_all_of_it_after(path: Path) -> None:
    with Journal.open(path) as journal, JournalReader.open(path) as reader:
        journal.append(frames(700))
        journal.checkpoint(2100, b"state")
        assert list(reader.frames()) == []
        assert reader.last_checkpoint() is None
        journal.commit()
        assert len(list(reader.frames())) == 700
        assert reader.checkpoints()[0].offset == 2100
        journal.commit()


def test_extreme_headers_come_back_as_they_were(path: Path) -> None:
    wanted = [
        JournalFrame(0, 0, 1, None, None, 0.0, None, None, b""),
        JournalFrame(1, 1, 1, "", 0, 1e300, -1e300, 5e-324, b"\0" * 100_000),
        JournalFrame(2, 2, 1 << 40, "a\0b ü \U0001f980", (1 << 64) - 1, -1.5, 0.0, 0.0, b"x"),
        JournalFrame(3, 2 + (1 << 40), 1, "s", (1 << 63) - 1, 2.0, 1.0, 2.0, b"x"),
    ]
    with Journal.open(path) as journal:
        journal.append(wanted)
        journal.append([JournalFrame(4, 3 + (1 << 40), 1, None, 1, -0.0, -0.0, float("nan"), b"y")])
    *got, last = read(path)
    assert got == wanted
    assert last[5:] == (0.0, None, None, b"y")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (
            JournalFrame(5, 15, 1, None, None, 0.0, None, None, b""),
            "frame 5 with 1 rows at offset 15, expected frame 4",
        ),
        (JournalFrame(4, 13, 1, None, None, 0.0, None, None, b""), "expected frame 4 .* at offset 12"),
        (JournalFrame(4, 12, 0, None, None, 0.0, None, None, b""), "at least one row"),
        (JournalFrame(4, 12, 1, None, None, float("nan"), None, None, b""), "received"),
        (JournalFrame(4, 12, 1, "\ud800", None, 0.0, None, None, b""), "frame 4 cannot be kept"),
    ],
)
def test_a_frame_that_does_not_follow_is_refused_and_harms_nothing(
    path: Path, bad: JournalFrame, said: str
) -> None:
    with Journal.open(path) as journal:
        journal.append(frames(4))
        with pytest.raises(JournalError, match=said):
            journal.append([bad])
        with pytest.raises(JournalError, match="checkpoint at offset 13, expected 0 to 12"):
            journal.checkpoint(13, b"")
        journal.append(frames(1, 4, 12))
    assert read(path) == frames(5)


@pytest.mark.parametrize("start", [0, 1, 2, 3, 1499, 1500, 2998, 2999, 3000, 9999])
@pytest.mark.parametrize("length", [0, 1, 4, 1300, 9999])
def test_a_range_of_rows_is_every_frame_that_holds_one_of_them(
    written: Path, start: int, length: int
) -> None:
    wanted = [f for f in frames(1000) if length and f.offset < start + length and f.offset + f.n > start]
    with JournalReader.open(written) as reader:
        assert list(reader.frames(start, start + length)) == wanted
        assert list(reader.frames(start, start + length, since=0.0)) == wanted


def test_filters_by_time_and_source(written: Path) -> None:
    every = frames(1000)
    with JournalReader.open(written) as reader:
        assert list(reader.frames(source="s1")) == [f for f in every if f.source == "s1"]
        assert list(reader.frames(source="nobody")) == []
        assert list(reader.frames(since=1100.0, until=1200.0)) == every[100:200]
        assert list(reader.frames(since=502.0, until=510.0, clock="event")) == every[100:102]
        assert list(reader.frames(since=500.0, until=510.0, clock="received")) == []
        assert list(reader.frames(last=9.0)) == every[-10:]
        assert list(reader.frames(last=9.0, clock="event")) == every[-2:]
        assert list(reader.frames(30, 90, source="s0", since=1015.0)) == [
            f for f in every[15:30] if f.source == "s0"
        ]
        with pytest.raises(JournalError, match="clock 'wall', expected one of received, event"):
            next(reader.frames(clock="wall"))
        with pytest.raises(JournalError, match="start offset -1"):
            next(reader.frames(-1))


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["append", "commit", "checkpoint", "letter", "output", "reopen", "crash"]),
        st.integers(0, 40),
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    name = tempfile.mkdtemp()
    yield Path(name)
    shutil.rmtree(name)


@given(steps=STEPS)
def test_any_history_equals_a_plain_list(folder: Path, steps: list[Step]) -> None:
    for old in folder.iterdir():
        old.unlink()
    path = folder / "j"
    journal = Journal.open(path, durability="off")
    kept: tuple[list[JournalFrame], list[tuple[int, bytes]], list[int], int] = ([], [], [], 0)
    now: tuple[list[JournalFrame], list[tuple[int, bytes]], list[int], int] = ([], [], [], 0)
    for step, k in steps:
        rows, points, outs, letters = now
        if step == "append":
            new = frames(k, len(rows), 3 * len(rows))
            journal.append(new)
            now = (rows + new, points, outs, letters)
        elif step == "checkpoint":
            journal.checkpoint(3 * len(rows), b"%d" % k)
            now = (rows, [*points, (3 * len(rows), b"%d" % k)][-3:], outs, letters)
        elif step == "letter":
            journal.dead_letter(1.0, None, "x", "y", b"z")
            now = (rows, points, outs, letters + 1)
        elif step == "output":
            journal.outputs([Output(k, "m", 0, np.zeros(1, np.int64), np.zeros(1, np.float32))])
            now = (rows, points, [*outs, k], letters)
        else:
            if step == "commit":
                journal.commit()
            elif step == "reopen":
                journal.close()
            else:
                journal._db.close()
                journal._lock.release()
            kept = now = kept if step == "crash" else now
            if step != "commit":
                journal = Journal.open(path, durability="off")
    journal.close()
    with JournalReader.open(path) as reader:
        assert reader.verify().ok
        assert list(reader.frames()) == now[0]
        assert [(c.offset, c.blob) for c in reversed(reader.checkpoints())] == now[1]
        assert [x.frame for x in reader.outputs()] == now[2]
        assert len(reader.dead_letters()) == now[3]
