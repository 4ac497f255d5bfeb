"""Journals of every format open in this release: nothing is lost, and what was learned is learned again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream_mix.engine import state_hash
from stream_mix.ports.folding import plan_of, recover
from stream_mix.ports.journal import FORMAT, Journal, JournalReader
from stream_mix.ports.replaying import recorded_settings, replay_into_model, verify
from tests.golden.make import FOLDER, KINDS, told, unpacked

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def test_the_present_format_has_its_files() -> None:
    assert {f"v{FORMAT}_{kind}" for kind in KINDS} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_all_of_it_is_read(name: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    # Format 1 knows no sources.
    wanted = {"sources": {}, **json.loads((FOLDER / f"{name}.json").read_text())}
    assert json.loads(json.dumps(told(path))) == wanted
    with JournalReader.open(path) as reader:
        assert reader.verify().ok


@pytest.mark.parametrize("name", NAMES)
def test_a_replay_says_what_was_said_then(name: str, tmp_path: Path) -> None:
    """Of another machine's bits only labels and densities are promised, not the hash of a state."""
    verdict = verify(unpacked(name, tmp_path))
    assert (verdict.rows, verdict.labels, verdict.densities, verdict.checkpoints) == (350, 0, 0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_goes_on_from_it(name: str, tmp_path: Path) -> None:
    path = unpacked(name, tmp_path)
    plan = plan_of(recorded_settings(path))
    with Journal.open(path, create=False) as journal:
        found = recover(str(path), plan)
        assert (found.checkpoint, found.state.offset, found.notes) == (248, 350, ())
        journal.checkpoint(found.state.offset, b"next")
    with JournalReader.open(path) as reader:
        assert reader.format == FORMAT
        assert reader.verify().ok
        assert [one.offset for one in reader.checkpoints()] == [350, *sorted(told_offsets(name))[::-1]]
    assert replay_into_model(path).offset == 350
    assert len(state_hash(found.state)) == 32


def told_offsets(name: str) -> list[int]:
    kept: list[int] = json.loads((FOLDER / f"{name}.json").read_text())["checkpoints"]
    return kept
