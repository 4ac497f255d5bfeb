from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader
from tests.ports.journals import frames, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a journal #1?.db"


@pytest.fixture
def written(path: Path) -> Path:
    with Journal.open(path, meta={"features": "a,b"}) as journal:
        journal.append(frames(1000))
    return path


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
        ("newer", "journal format 99; this release reads formats 1 to 2"),
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


def test_a_disk_that_takes_no_log_is_refused(path: Path) -> None:
    def connect(path: str, *, writer: bool) -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None)

    with pytest.raises(JournalError, match=r"cannot keep a log here \(SQLite stays in mode memory\)"):
        Journal.open(path, connect=connect)
