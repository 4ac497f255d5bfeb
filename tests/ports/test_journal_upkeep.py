"""The log is folded into the file while nobody waits, and whatever comes of that no commit is lost."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from stream_mix.client import Producer
from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, connect
from stream_mix.ports.journal.upkeep import COMMIT_BYTES, TIDY_BYTES
from tests.workers.serving import LOCAL, rows, serving, settings, until

SIZE = 30_000
LETTER = 2_000
"""Of these a page of the file holds several, so that what is counted is about what the log grows by."""
ENOUGH = TIDY_BYTES // (SIZE + COMMIT_BYTES) + 1


def write(journal: Journal, count: int) -> None:
    """So many frames, each with a commit of its own."""
    for _ in range(count):
        i = journal.next_id
        journal.append([JournalFrame(i, i, 1, "s", i, float(i), None, None, bytes([i % 251]) * SIZE)])
        journal.commit()


def folded(path: Path, folder: Path) -> int:
    """Rows in the file alone, without its log; none where it is being written."""
    alone = folder / "alone.journal"
    shutil.copy(path, alone)
    try:
        with JournalReader.open(alone) as reader:
            return reader.end().rows
    except JournalError:
        return 0


def test_the_log_is_folded_when_there_is_enough_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    Journal.open(path).close()
    with Journal.open(path) as journal:
        write(journal, 2)
        journal.tidy()
        assert folded(path, tmp_path) == 0, "too little to be worth a sync"
        write(journal, ENOUGH)
        assert folded(path, tmp_path) == 0
        journal.tidy()
        assert folded(path, tmp_path) == journal.committed == ENOUGH + 2
        write(journal, 1)
        journal.tidy()
        assert folded(path, tmp_path) == ENOUGH + 2, "it is counted anew"


def test_dead_letters_fill_the_log_too(tmp_path: Path) -> None:
    path, log = tmp_path / "a.journal", tmp_path / "a.journal-wal"
    Journal.open(path).close()
    with Journal.open(path) as journal:
        write(journal, 1)
        for _ in range(TIDY_BYTES // LETTER + 1):
            journal.dead_letter(0.0, "s", "crc", "bad", bytes(LETTER))
        journal.commit()
        assert folded(path, tmp_path) == 0
        assert log.stat().st_size >= TIDY_BYTES
        journal.tidy()
        assert folded(path, tmp_path) == 1


def test_nothing_is_folded_within_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    Journal.open(path).close()
    with Journal.open(path) as journal:
        write(journal, ENOUGH)
        journal.set_meta("half", "done")
        journal.tidy()
        assert folded(path, tmp_path) == 0
        journal.commit()
        journal.tidy()
        assert folded(path, tmp_path) == ENOUGH
    with JournalReader.open(path) as reader:
        assert (reader.meta["half"], reader.verify().ok) == ("done", True)
    journal.tidy()  # closed: there is nothing to do it to


def test_a_reader_holds_up_neither_the_fold_nor_a_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    with Journal.open(path) as journal:
        write(journal, 3)
        with JournalReader.open(path) as reader:
            frames = reader.frames()
            assert next(frames).id == 0
            write(journal, ENOUGH)
            journal.tidy()
            write(journal, 1)
            assert [frame.id for frame in frames][:2] == [1, 2]
    with JournalReader.open(path) as reader:
        assert (reader.end().rows, reader.verify().ok) == (ENOUGH + 4, True)


class Failing(sqlite3.Connection):
    """A disk that fails whenever the log is folded."""

    tries = 0

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        if "wal_checkpoint(PASSIVE)" in arguments[0]:
            Failing.tries += 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(*arguments)


def test_a_disk_that_fails_at_the_fold_loses_nothing(tmp_path: Path) -> None:
    def broken(path: str, *, writer: bool) -> sqlite3.Connection:
        if not writer:
            return connect(path, writer=False)
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Failing)

    path = tmp_path / "a.journal"
    with Journal.open(path, connect=broken) as journal:
        before = Failing.tries
        for _ in range(3):
            write(journal, ENOUGH)
            journal.tidy()
        assert Failing.tries == before + 3
        assert journal.unavailable is None
    with JournalReader.open(path) as reader:
        assert (reader.end().rows, reader.verify().ok) == (3 * ENOUGH, True)


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_an_engine_with_nothing_to_do_folds_its_log(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "a.journal"
    config = settings(ingest={"acked": LOCAL}, journal={"path": str(path), "durability": durability})
    with serving(config) as service:
        to = service.sockets.endpoints["acked"]
        with Producer(to, acked=True, source="s", batch_rows=1000) as producer:
            for seed in range(60):
                producer.send(rows(1000, seed=seed))
            producer.wait()
        assert service.journal is not None
        until(lambda: folded(path, tmp_path) > 20_000)
