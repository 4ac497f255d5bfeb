from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, Output


def frames(count: int, first: int = 0, offset: int = 0, n: int = 3) -> list[JournalFrame]:
    return [
        JournalFrame(
            i,
            offset + n * (i - first),
            n,
            f"s{i % 3}",
            i // 3,
            1000.0 + i,
            5.0 * i,
            5.0 * i + 4,
            b"%d" % i * 9,
        )
        for i in range(first, first + count)
    ]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a journal #1?.db"


@pytest.fixture
def written(path: Path) -> Path:
    with Journal.open(path, meta={"features": "a,b"}) as journal:
        journal.append(frames(1000))
    return path


def read(path: Path) -> list[JournalFrame]:
    with JournalReader.open(path) as reader:
        return list(reader.frames())


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
        assert (info.t_first, info.t_last, info.format) == (0.0, 4999.0, 1)
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


def test_the_newest_checkpoints_are_kept(path: Path) -> None:
    with Journal.open(path, keep_checkpoints=2) as journal, JournalReader.open(path) as reader:
        for k in range(5):
            journal.append(frames(2, 2 * k, 6 * k))
            journal.checkpoint(journal.next_offset, b"%d" % k * 200_000)
            journal.commit()
        assert [c.offset for c in reader.checkpoints()] == [30, 24]
        newest = reader.last_checkpoint()
        assert newest is not None
        assert newest.blob == b"4" * 200_000
        older = reader.last_checkpoint(before=29)
        assert older is not None
        assert older.offset == 24
        assert reader.last_checkpoint(before=23) is None


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_serves(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.append(frames(2))
        journal.checkpoint(3, b"first")
        journal.checkpoint(6, b"second")
    with sqlite3.connect(path) as db:
        db.execute("UPDATE checkpoint SET blob=? WHERE offset=6", (b"forged",))
    db.close()
    told: list[JournalError] = []
    with JournalReader.open(path) as reader:
        with pytest.raises(JournalError, match="offset 6: damaged: the checkpoint"):
            reader.last_checkpoint()
        found = reader.last_checkpoint(on_damage=told.append)
        assert found is not None
        assert (found.offset, found.blob, len(told)) == (3, b"first", 1)
        report = reader.verify()
        assert not report.ok
        assert report.offset == 6


def test_dead_letters_are_clipped_and_the_oldest_make_room(path: Path) -> None:
    with Journal.open(path, keep_dead_letters=3) as journal:
        for k in range(6):
            journal.dead_letter(
                10.0 + k, "src\ud800" if k == 5 else None, "crc", "does not match", bytes([k]) * 5000
            )
            journal.commit()
    with JournalReader.open(path) as reader:
        letters = reader.dead_letters()
        assert [(x.id, x.received, x.size, x.raw) for x in letters] == [
            (k, 10.0 + k, 5000, bytes([k]) * 4096) for k in (3, 4, 5)
        ]
        assert (letters[-1].source, letters[-1].code) == ("src?", "crc")
        assert reader.info().dead_letters == 3


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_outputs_come_back_bit_for_bit(path: Path, dtype: type) -> None:
    rng = np.random.default_rng(0)
    put = [
        Output(f, m, f // 2, rng.integers(-1, 9, 3).astype(dtype), rng.normal(size=3).astype(np.float32))
        for f in range(700)
        for m in ("full", "kmeans")
    ]
    with Journal.open(path) as journal:
        journal.append(frames(700))
        journal.outputs(put)
        with pytest.raises(JournalError, match="expected 2 int32 or int64 labels"):
            journal.outputs([Output(1, "m", 0, np.zeros(3, dtype), np.zeros(2, np.float32))])
    with JournalReader.open(path) as reader:
        assert reader.verify().outputs == len(put)
        wanted = [x for x in put if x.model == "kmeans" and x.frame >= 650]
        got = list(reader.outputs("kmeans", start_frame=650))
        assert [x[:3] for x in got] == [x[:3] for x in wanted]
        for a, b in zip(got, wanted, strict=True):
            assert a.labels.dtype == dtype
            assert (
                a.labels.tobytes() + a.log_density.tobytes() == b.labels.tobytes() + b.log_density.tobytes()
            )


def test_two_writers_are_refused_within_and_between_processes(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    program = "import sys; from stream_mix.ports.journal import Journal; Journal.open(sys.argv[1])"
    with Journal.open(path):
        link.symlink_to(path)
        for name in (path, link):
            with pytest.raises(JournalError, match="another process is writing this journal"):
                Journal.open(name)
        other = subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
        )
        assert "JournalError" in other.stderr
        assert str(path) in other.stderr
    Journal.open(path).close()


def make_foreign(kind: str, folder: Path) -> Path:
    path = folder / "x"
    if kind == "text":
        path.write_text("a,b\n1,2\n" * 900)
    elif kind == "folder":
        path.mkdir()
    elif kind == "lost":
        return folder / "no" / "such"
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE cake (slice)" if kind == "foreign" else "PRAGMA user_version=99")
            if kind == "newer":
                db.execute("PRAGMA application_id=1397574220")
        db.close()
    return path


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", "not a journal of stream_mix"),
        ("foreign", "not a journal of stream_mix"),
        ("newer", "journal format 99; this release reads formats 1 to 1"),
        ("folder", "it is a folder"),
        ("lost", "there is no folder"),
    ],
)
def test_what_is_no_journal_is_refused_in_one_line_and_left_alone(
    kind: str, said: str, tmp_path: Path
) -> None:
    path = make_foreign(kind, tmp_path)
    before = path.read_bytes() if path.is_file() else b""
    for opener in (Journal.open, JournalReader.open):
        with pytest.raises(JournalError, match=said) as caught:
            opener(path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_other_openings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no such journal"):
        Journal.open(tmp_path / "x", create=False)
    with pytest.raises(JournalError, match="durability 'maybe', expected one of fsync, os, off"):
        Journal.open(tmp_path / "x", durability="maybe")
    with pytest.raises(JournalError, match="there is no such file"):
        JournalReader.open(tmp_path / "x")
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal.open("/proc/version/x")


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch()
    with Journal.open(path, durability="off") as journal:
        journal.append(frames(1))
    assert len(read(path)) == 1


def test_a_failed_commit_ends_writing_until_the_file_is_opened_again(path: Path) -> None:
    journal = Journal.open(path)
    journal.append(frames(3))
    journal.commit()
    # A page limit is the disk that fills up.
    journal._db.execute("PRAGMA max_page_count=20")
    journal.append([JournalFrame(3, 9, 1, None, None, 0.0, None, None, bytes(1 << 20))])
    with pytest.raises(JournalError, match="full"):
        journal.commit()
    with pytest.raises(JournalError, match=r"cannot be written any more .*full.*; open it again"):
        journal.append(frames(1, 3, 9))
    journal.close()
    journal.close()
    assert read(path) == frames(3)
    with Journal.open(path) as journal:
        journal.append(frames(1, 3, 9))
    assert read(path) == frames(4)


def test_a_reader_beside_a_writer_sees_whole_commits_only(path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        for k in range(0, 20_000, 7):
            journal.append(frames(7, k, 3 * k))
            journal.commit()
        stop.set()

    with Journal.open(path, durability="os") as journal:
        writer = threading.Thread(target=write)
        writer.start()
        seen = 0
        with JournalReader.open(path) as reader:
            while not stop.is_set():
                got = [f.id for f in reader.frames(3 * seen)]
                assert got == list(range(seen, seen + len(got)))
                seen += len(got)
                assert seen % 7 == 0
                assert reader.info().frames >= seen
        writer.join()
        assert [f.id for f in JournalReader.open(path).frames()][-1] == journal.next_id - 1


def test_a_journal_in_a_folder_that_cannot_be_written_is_read(written: Path) -> None:
    folder = written.parent
    folder.chmod(0o555)
    try:
        assert len(read(written)) == 1000
    finally:
        folder.chmod(0o755)


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
