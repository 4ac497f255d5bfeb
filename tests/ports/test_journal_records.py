from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from stream_mix.ports.journal import Journal, JournalError, JournalReader, Output
from tests.ports.journals import frames


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a journal #1?.db"


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
