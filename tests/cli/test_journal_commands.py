"""`stream-mix journal`: a bounded one says where it begins, a damaged one what is wrong, and is repaired."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from stream_mix.ports.journal import JournalReader, Retention
from tests.cli.commands import call, told
from tests.ports.test_journal_segments import engine_journal
from tests.workers.serving import settings


@pytest.fixture
def bounded(tmp_path: Path) -> Path:
    path = tmp_path / "b.journal"
    engine_journal(path, settings(), Retention(4000, keep_bytes=4000))
    return path


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "w.journal"
    engine_journal(path, settings(), Retention())
    return path


def change(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


def test_info_says_in_words_what_there_is(whole: Path, bounded: Path) -> None:
    words = call("journal", "info", whole).stdout
    assert "rows          1,200\n" in words
    assert "received      1970-01-01T00:00:00.000+00:00 to 1970-01-01T00:01:59.000+00:00" in words
    assert "event times   none" in words
    assert "checkpoints   at offset 1,200, 1,080, 960" in words
    assert "restart       folds 0 rows after the newest checkpoint" in words
    found = told("journal", "info", bounded)
    words = call("journal", "info", bounded).stdout
    kept = 1200 - found["begins"]
    assert f"rows          {kept:,} of 1,200, from offset {found['begins']} on; older were dropped" in words


def test_every_command_says_where_a_bounded_journal_begins(bounded: Path, tmp_path: Path) -> None:
    begins = told("journal", "info", bounded)["begins"]
    said = f"begins at offset {begins}, older rows were dropped"
    assert said in call("journal", "verify", bounded).stdout
    assert said in call("journal", "scrub", bounded).stdout
    assert said in call("journal", "export", bounded, tmp_path / "out.csv").stdout
    replayed = call("replay", bounded)
    assert said in replayed.stderr
    oldest = told("journal", "info", bounded)["checkpoints"][-1]
    assert f"{1200 - oldest} rows replayed" in replayed.stdout
    checked = call("replay", "--verify", bounded)
    assert (checked.exit_code, said in checked.stderr) == (0, True)
    early = call("replay", "--from", "1", bounded)
    assert early.exit_code == 2
    assert f"begins at offset {begins}: older rows were dropped" in early.stderr


def test_scrub_lists_all_damage_and_repair_writes_a_new_file(whole: Path, tmp_path: Path) -> None:
    assert call("journal", "scrub", whole).exit_code == 0
    change(whole, "UPDATE frame SET raw=x'00' WHERE id IN (3, 9)")
    done = call("journal", "scrub", whole, "--rate", "100")
    assert done.exit_code == 1
    assert f"{whole}: offset 30: damaged: the bytes of frame 3 do not match their check sum" in done.stdout
    assert f"{whole}: 2 damaged, sound beside that: 118 frames, 1180 rows" in done.stdout
    assert json.loads(call("journal", "scrub", whole, "--json").stdout)["damage"][1]["frame"] == 9
    assert call("journal", "verify", whole).exit_code == 1
    out = tmp_path / "new.journal"
    done = call("journal", "repair", whole, out)
    assert done.exit_code == 0
    assert f"{out}: rows 100 to 1199, 3 checkpoints" in done.stdout
    assert "100 rows before them are lost to replays" in done.stdout
    assert call("journal", "verify", out).exit_code == 0
    again = call("journal", "repair", whole, out)
    assert (again.exit_code, "exists; a repair writes a new file" in again.stderr) == (2, True)


def test_repair_makes_a_journal_small_whose_rows_were_dropped(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "new.journal"
    done = told("journal", "repair", whole, out)
    assert (done["begins"], done["ends"], done["damage"]) == (0, 1200, [])
    with JournalReader.open(out) as new, JournalReader.open(whole) as old:
        assert list(new.frames()) == list(old.frames())
        assert new.meta == old.meta
    assert call("replay", "--verify", out).exit_code == 0
