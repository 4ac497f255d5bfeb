from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, Output

WRITER = """
import sys
from stream_mix.ports.journal import Journal, JournalFrame
with Journal.open(sys.argv[1]) as journal:
    print("ready", flush=True)
    while True:
        first = journal.next_id
        for i in range(first, first + 1 + first % 5):
            raw = b"%d," % i * (1 + i * 7919 % 3000)
            journal.append([JournalFrame(i, 2 * i, 2, "s", i, float(i), None, None, raw)])
        if first % 3 == 0:
            journal.checkpoint(journal.next_offset, b"%d" % journal.next_offset)
        journal.commit()
        print(journal.next_id, flush=True)
"""


def frame(i: int) -> JournalFrame:
    return JournalFrame(i, 2 * i, 2, "s", i, float(i), None, None, b"%d," % i * (1 + i * 7919 % 3000))


def next_border(i: int) -> int:
    return i + 1 + i % 5


def borders(stop: int) -> set[int]:
    """The frame counts at which the writing program commits."""
    found, i = {0}, 0
    while i < stop:
        i = next_border(i)
        found.add(i)
    return found


def test_a_kill_at_any_moment_leaves_a_prefix_of_commits(tmp_path: Path) -> None:
    path = tmp_path / "j"
    rng = random.Random(1)
    told = 0
    for _ in range(24):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            for _ in range(rng.randrange(40)):
                told = int(writer.stdout.readline())
            writer.kill()
            # What it had said before it died counts too.
            *_, told = [
                told,
                *(int(line) for line in writer.stdout.read().splitlines(keepends=True) if "\n" in line),
            ]
        with JournalReader.open(path) as reader:
            got = list(reader.frames())
            assert got == [frame(i) for i in range(len(got))]
            assert told <= len(got) <= next_border(told)
            assert len(got) in borders(len(got))
            for checkpoint in reader.checkpoints():
                assert checkpoint.blob == b"%d" % checkpoint.offset
                assert checkpoint.offset <= 2 * len(got)
            assert reader.verify().ok
        told = len(got)  # a commit may have been made and not said; the next round starts after it


def test_a_kill_while_the_journal_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
    db.close()
    assert path.stat().st_size > 0
    with Journal.open(path) as journal:
        journal.append([frame(0)])
    with JournalReader.open(path) as reader:
        assert list(reader.frames()) == [frame(0)]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with everything in it, in small and in large pages."""
    path = tmp_path_factory.mktemp("sound") / "j"
    with Journal.open(path, meta={"features": "a,b"}) as journal:
        for k in range(0, 300, 10):
            journal.append([frame(i) for i in range(k, k + 10)])
            journal.checkpoint(journal.next_offset, b"state %d" % k * 500)
            journal.outputs([Output(k, "m", k, np.arange(20), np.full(20, k, np.float32))])
            journal.dead_letter(float(k), None, "crc", "bad", b"%d" % k)
            journal.commit()
    return path


def everything(path: Path) -> tuple[list[object], str | None]:
    """All that a reader believes, record by record, and the refusal at its end, if any."""
    got: list[object] = []
    try:
        with JournalReader.open(path) as reader:
            parts: list[Callable[[], object]] = [reader.meta.items, reader.checkpoints, reader.dead_letters]
            for part in parts:
                got.append(list(part()))  # type: ignore[call-overload]  # each gives a list or a view
            for frame in reader.frames():
                got.append(frame)
            for output in reader.outputs():
                got.append((output[:3], output.labels.tobytes(), output.log_density.tobytes()))
    except JournalError as error:
        assert "\n" not in str(error)
        assert str(path) in str(error)
        return got, str(error)
    return got, None


def test_no_flipped_bit_is_believed(sound: Path, tmp_path: Path) -> None:
    whole, refusal = everything(sound)
    assert refusal is None
    clean = sound.read_bytes()
    path = tmp_path / "j"
    rng = random.Random(2)
    refused = 0
    for _ in range(300):
        data = bytearray(clean)
        data[rng.randrange(len(data)) if rng.random() < 0.8 else rng.randrange(8192 * 8)] ^= (
            1 << rng.randrange(8)
        )
        path.write_bytes(data)
        got, refusal = everything(path)
        refused += refusal is not None
        assert got == whole[: len(got)]
        assert refusal is not None or got == whole
        with JournalReaderOrNone(path) as reader:
            assert reader is None or refusal is None or not reader.verify().ok
        for leftover in tmp_path.glob("j-*"):
            leftover.unlink()
    # The rest fell on free space.
    assert refused > 150


class JournalReaderOrNone:
    """A reader, or None where the file can no longer be opened."""

    def __init__(self, path: Path) -> None:
        try:
            self.reader: JournalReader | None = JournalReader.open(path)
        except JournalError:
            self.reader = None

    def __enter__(self) -> JournalReader | None:
        return self.reader

    def __exit__(self, *_: object) -> None:
        if self.reader is not None:
            self.reader.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A journal of 20 commits of 3 frames whose writer is not at its end, and its log."""
    live = tmp_path_factory.mktemp("killed") / "live"
    with Journal.open(live) as journal:
        for k in range(0, 60, 3):
            journal.append([frame(i) for i in range(k, k + 3)])
            journal.commit()
        return live.read_bytes(), Path(f"{live}-wal").read_bytes()


def opened(path: Path, durability: str = "fsync") -> int:
    """The frames of a journal that a writer takes, and adds one to."""
    with Journal.open(path, durability=durability) as journal:
        count = journal.next_id
        journal.append([frame(count)])
    with JournalReader.open(path) as reader:
        assert list(reader.frames()) == [frame(i) for i in range(count + 1)]
        assert reader.verify().ok
    return count


@pytest.mark.parametrize("mutation", ["torn", "flipped", "zeroed"])
def test_a_damaged_log_leaves_a_prefix_of_commits_or_is_refused(
    mutation: str, killed: tuple[bytes, bytes], tmp_path: Path
) -> None:
    path = tmp_path / "j"
    rng = random.Random(mutation)
    lengths, refused = set(), 0
    for _ in range(70):
        # The first pages of the log hold the tables themselves.
        at = rng.randrange(70_000, len(killed[1]))
        data = bytearray(killed[1])
        if mutation == "torn":
            del data[at:]
        elif mutation == "flipped":
            data[at] ^= 1 << rng.randrange(8)
        else:
            data[at : at + 512] = bytes(len(data[at : at + 512]))
        for leftover in tmp_path.glob("j*"):
            leftover.unlink()
        path.write_bytes(killed[0])
        Path(f"{path}-wal").write_bytes(data)
        try:
            count = opened(path)
        except JournalError as error:
            # In the middle: later commits had been synced, and are there to be seen.
            assert mutation != "torn"
            assert "its log breaks off before" in str(error)
            refused += 1
            count = opened(path, "os")
            assert count < 57
        assert count % 3 == 0
        lengths.add(count)
    assert len(lengths) > 5
    assert refused == 0 if mutation == "torn" else refused > 20


def test_a_log_whose_head_is_damaged_is_refused(killed: tuple[bytes, bytes], tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_bytes(killed[0])
    Path(f"{path}-wal").write_bytes(killed[1][:20] + bytes([killed[1][20] ^ 0xFF]) + killed[1][21:])
    with pytest.raises(JournalError, match=r"its log breaks off|copied without the -wal file"):
        Journal.open(path)


def test_what_is_left_of_two_torn_commits_is_no_damage(killed: tuple[bytes, bytes], tmp_path: Path) -> None:
    """Each lacks its beginning: neither was acknowledged, though both their ends are there."""
    path, log = tmp_path / "j", bytearray(killed[1])
    size = 24 + 8192
    ends = [at for at in range(32, len(log), size) if log[at + 4 : at + 8] != bytes(4)]
    for end in ends[-2:]:
        start = ends[ends.index(end) - 1] + size
        log[start + 30] ^= 1
        if end == ends[-2]:
            # As where a second try was written over the first: the sums do not go on.
            log[end + 16] ^= 1
    path.write_bytes(killed[0])
    Path(f"{path}-wal").write_bytes(log)
    assert opened(path) == 54


@pytest.mark.parametrize(
    ("change", "said", "offset"),
    [
        ("UPDATE frame SET n=3 WHERE id=7", "header of frame 7 does not match", 14),
        ("UPDATE frame SET received=0.5 WHERE id=7", "header of frame 7 does not match", 14),
        ("UPDATE frame SET source='x' WHERE id=7", "header of frame 7 does not match", 14),
        ("UPDATE frame SET source=NULL WHERE id=7", "header of frame 7 does not match", 14),
        ("UPDATE frame SET offset='many' WHERE id=7", "header of frame 7 does not match", 14),
        ("UPDATE frame SET raw='text' WHERE id=7", "bytes of frame 7 do not match", 14),
        ("UPDATE frame SET raw=x'00' WHERE id=299", "bytes of frame 299 do not match", 598),
        ("DELETE FROM frame WHERE id=7", "found frame 8 at offset 16, expected frame 7", 14),
        ("DELETE FROM frame WHERE id>=290", "frame 299 was committed and is missing", None),
        ("DELETE FROM frame", "frame 299 was committed and is missing", None),
        ("UPDATE mark SET rows=602", "how much was committed does not match", None),
        ("UPDATE mark SET crc='x'", "how much was committed does not match", None),
        ("DELETE FROM mark", "how much was committed does not match", None),
        ("DELETE FROM output WHERE id=5", "found output 6, expected 5", None),
        ("DELETE FROM output WHERE id=29", "output 29 was committed and is missing", None),
        ("UPDATE output SET labels=x'0000000000000000' WHERE id=5", "output 5 does not match", None),
        ("UPDATE output SET model=7 WHERE id=5", "output 5 does not match", None),
        ("UPDATE dead_letter SET reason='good' WHERE id=5", "dead letter 5 does not match", None),
        ("UPDATE checkpoint SET offset=598 WHERE offset=600", "checkpoint does not match", 598),
        ("UPDATE meta SET value='b,a'", "description 'features' does not match", None),
        ("DROP TABLE frame", "no such table", None),
    ],
)
def test_damage_is_named_with_its_place(
    sound: Path, tmp_path: Path, change: str, said: str, offset: int | None
) -> None:
    path = Path(shutil.copy(sound, tmp_path / "j"))
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    _, refusal = everything(path)
    assert refusal is not None
    assert said in refusal
    with JournalReader.open(path) as reader:
        report = reader.verify()
        assert report.damage is not None
        assert said in report.damage
        assert report.offset == offset
        assert report.rows == (offset if offset is not None and "frame" in said else report.rows)
        if "frame 7" in said:
            # A search reads only headers of what it skips, and believes them no more than any others.
            with pytest.raises(JournalError, match="damaged"):
                list(reader.frames(source="s", since=-1.0))
            assert len(list(reader.frames(20))) == 290


def test_damaged_names_that_are_no_text_are_damage_like_any_other(sound: Path, tmp_path: Path) -> None:
    path = tmp_path / "j"
    data = sound.read_bytes()
    assert data.count(b"CREATE TABLE segment") == 1
    path.write_bytes(data.replace(b"CREATE TABLE segment", b"CREATE TABLE \x83\xff\x83ment"))
    _, refusal = everything(path)
    assert refusal is not None
    assert "damaged" in refusal
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(path)


def test_a_journal_that_lost_its_end_is_not_written_to(sound: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(sound, tmp_path / "j"))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(JournalError, match="damaged"):
        Journal.open(path)
    _, refusal = everything(path)
    assert refusal is not None
