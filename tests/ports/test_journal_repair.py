"""Scrubbing finds every damage; a repair keeps what can be believed, and never touches the damaged file."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from stream_mix.engine import Done, Refusal, state_hash
from stream_mix.ports.folding import plan_of, recover
from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, Output, repair
from tests.ports.test_journal_segments import engine_journal
from tests.workers.serving import settings

COUNT = 300


def frame(i: int) -> JournalFrame:
    return JournalFrame(i, 2 * i, 2, "s", i, float(i), None, None, b"%d," % i * (1 + i * 7919 % 3000))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames and outputs, and checkpoints at offsets 100, 300 and 500."""
    path = tmp_path_factory.mktemp("sound") / "j"
    with Journal.open(path, meta={"features": "a,b"}) as journal:
        for i in range(COUNT):
            journal.append([frame(i)])
            journal.outputs([Output(i, "m", i, np.arange(2), np.full(2, i, np.float32))])
            if journal.next_offset in (100, 300, 500):
                journal.checkpoint(journal.next_offset, b"state %d" % journal.next_offset)
    return path


def damaged(sound: Path, folder: Path, *changes: str) -> Path:
    path = Path(shutil.copy(sound, folder / "j"))
    with sqlite3.connect(path) as db:
        for change in changes:
            db.execute(change)
    db.close()
    return path


def contents(path: Path) -> tuple[list[JournalFrame], list[int], list[int]]:
    with JournalReader.open(path) as reader:
        assert reader.verify().ok
        offsets = [found.offset for found in reader.checkpoints()]
        assert all(found.blob == b"state %d" % found.offset for found in reader.checkpoints())
        return list(reader.frames()), offsets, [output.frame for output in reader.outputs()]


def test_a_scrub_of_a_sound_journal_finds_nothing(sound: Path) -> None:
    with JournalReader.open(sound) as reader:
        report = reader.scrub()
    assert report.ok
    assert (report.frames, report.rows, report.begins) == (COUNT, 2 * COUNT, 0)


def test_a_scrub_goes_on_behind_damage_and_names_all_of_it(sound: Path, tmp_path: Path) -> None:
    path = damaged(
        sound, tmp_path, "UPDATE frame SET raw=x'00' WHERE id IN (7, 8)", "DELETE FROM frame WHERE id=20",
        "UPDATE frame SET n=3 WHERE id=40", "UPDATE output SET model='x' WHERE id=5",
        "UPDATE checkpoint SET blob=x'00' WHERE offset=300", "UPDATE meta SET value='b,a'",
    )  # fmt: skip
    with JournalReader.open(path) as reader:
        report = reader.scrub()
    assert [(found.frame, found.offset) for found in report.damage if found.frame is not None] == [
        (7, 14), (8, None), (20, 40), (40, 80),
    ] or [found.frame for found in report.damage if found.frame is not None] == [7, 8, 20, 40]  # fmt: skip
    assert report.frames == COUNT - 4
    reasons = " | ".join(found.reason for found in report.damage)
    for words in ("output 5", "checkpoint", "description 'features'"):
        assert words in reasons


def test_a_scrub_waits_so_as_not_to_read_faster_than_it_may(sound: Path) -> None:
    from stream_mix.ports.journal.scrub import scrub

    slept: list[float] = []
    with JournalReader.open(sound) as reader:
        total = sum(len(one.raw) for one in reader.frames(0, 2 * 256))
        scrub(reader, reader.connection, rate=1e6, sleep=slept.append, now=lambda: 0.0)
    assert slept[-1] == pytest.approx(total / 1e6)


def test_a_page_that_cannot_be_read_costs_what_is_in_it(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path / "j"))
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(size // 2 // 8192 * 8192)
        file.write(b"\xff" * 8192)
    with JournalReader.open(path) as reader:
        report = reader.scrub()
    assert not report.ok
    assert COUNT // 3 < report.frames < COUNT


def test_damage_before_a_checkpoint_costs_history_and_no_state(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path, "UPDATE frame SET raw=x'00' WHERE id=70")
    before = path.read_bytes()
    done = repair(path, tmp_path / "new")
    assert path.read_bytes() == before
    assert (done.begins, done.ends, done.lost_before, done.lost_after, done.checkpoints) == (
        142, 600, 142, 0, 2,
    )  # fmt: skip
    frames, checkpoints, outputs = contents(tmp_path / "new")
    assert frames == [frame(i) for i in range(71, COUNT)]
    assert (checkpoints, outputs) == ([500, 300], list(range(71, COUNT)))
    assert not [found.name for found in tmp_path.iterdir() if found.name.startswith("new.")]
    # It is written on like any other.
    with Journal.open(tmp_path / "new") as journal:
        journal.append([frame(COUNT)])


def test_how_far_acknowledged_sources_are_outlives_a_repair(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path)
    wanted = {"oven": Done(7, (Refusal(5, "crc", "does not match"),)), "press": Done(300)}
    with Journal.open(path) as journal:
        journal.sources({**wanted, "lost": Done(3)})
    with sqlite3.connect(path) as db:
        db.execute("UPDATE frame SET raw=x'00' WHERE id=70")
        db.execute("UPDATE source SET seq=4 WHERE name='lost'")
    db.close()
    with JournalReader.open(path) as reader:
        report = reader.scrub()
        with pytest.raises(JournalError, match="how far source 'lost' is does not match"):
            reader.sources()
    assert [found.frame for found in report.damage] == [70, None]
    assert "how far source 'lost' is" in report.damage[1].reason
    done = repair(path, tmp_path / "new")
    assert report.damage == done.damage
    with JournalReader.open(tmp_path / "new") as reader:
        assert reader.sources() == wanted
        assert reader.scrub().ok


def test_damage_after_the_last_checkpoint_costs_what_follows(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path, "DELETE FROM frame WHERE id=260")
    done = repair(path, tmp_path / "new")
    assert (done.begins, done.ends, done.lost_after, done.checkpoints) == (0, 520, 39, 3)
    frames, checkpoints, outputs = contents(tmp_path / "new")
    assert frames == [frame(i) for i in range(260)]
    assert (checkpoints, outputs) == ([500, 300, 100], list(range(260)))


@pytest.mark.parametrize("change", ["DELETE FROM mark", "UPDATE mark SET crc=1", "DROP TABLE mark"])
def test_a_lost_record_of_the_end_is_found_from_the_frames(sound: Path, tmp_path: Path, change: str) -> None:
    done = repair(damaged(sound, tmp_path, change), tmp_path / "new")
    assert (done.begins, done.ends) == (0, 600)
    assert contents(tmp_path / "new")[0] == [frame(i) for i in range(COUNT)]


def test_a_damaged_number_is_no_reason_to_look_for_all_before_it(sound: Path, tmp_path: Path) -> None:
    path = damaged(sound, tmp_path, "DELETE FROM mark", "UPDATE frame SET id=1<<50 WHERE id=299")
    with JournalReader.open(path) as reader:
        reasons = [found.reason for found in reader.scrub().damage]
    assert f"damaged: frames 299 to {(1 << 50) - 1} are missing" in reasons
    done = repair(path, tmp_path / "new")
    assert (done.begins, done.ends, done.lost_after) == (0, 598, 0)


def test_a_truncated_file_is_kept_to_its_last_sound_frame(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path / "j"))
    os.truncate(path, path.stat().st_size // 2)
    done = repair(path, tmp_path / "new")
    assert 0 < done.ends < 600
    assert contents(tmp_path / "new")[0] == [frame(i) for i in range(done.ends // 2)]


def test_nothing_is_overwritten_and_nothing_is_made_of_nothing(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    with pytest.raises(JournalError, match="exists; a repair writes a new file"):
        repair(sound, tmp_path / "new")
    path = damaged(sound, tmp_path, "DELETE FROM checkpoint", "UPDATE frame SET raw=x'00' WHERE id=0")
    with pytest.raises(JournalError, match="no frame from its beginning, or after a checkpoint"):
        repair(path, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_repaired_journal_leads_to_the_same_state(tmp_path: Path) -> None:
    from stream_mix.ports.journal import Retention

    config, path = settings(), tmp_path / "j"
    wanted = engine_journal(path, config, Retention())
    with sqlite3.connect(path) as db:
        db.execute("UPDATE frame SET raw=x'00' WHERE id=3")
    db.close()
    repair(path, tmp_path / "new")
    assert state_hash(recover(str(tmp_path / "new"), plan_of(config)).state) == wanted
