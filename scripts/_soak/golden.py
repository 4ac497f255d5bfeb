"""Promise 13: files and messages of every format open in this release."""

from __future__ import annotations

import json
from pathlib import Path

from stream_mix.config import Settings
from stream_mix.ports.folding import plan_of, recover
from stream_mix.ports.journal import Journal, JournalReader
from stream_mix.ports.replaying import recorded_settings, verify
from stream_mix.protocol import ProtocolError, decode_frame, decode_published, decode_query
from tests.golden.make import FOLDER, told, unpacked

from .promise import Figures, Promise, Trial, at_least, at_most

MESSAGES = FOLDER.parent / "protocol" / "golden"


def _journal(name: str, folder: Path) -> list[str]:
    """What is wrong with what this release makes of a journal."""
    path, wrong = unpacked(name, folder), []
    wanted = {"sources": {}, **json.loads((FOLDER / f"{name}.json").read_text())}
    if json.loads(json.dumps(told(path))) != wanted:
        wrong.append("holds something else")
    verdict = verify(path)
    if verdict.labels or verdict.densities or not verdict.compared:
        wrong.append(verdict.line())
    settings: Settings = recorded_settings(path)
    with Journal.open(path, create=False) as journal:
        found = recover(str(path), plan_of(settings))
        if found.checkpoint is None or found.notes:
            wrong.append(f"not taken up from its checkpoint: {found.notes}")
        journal.set_meta("golden", "opened")
    with JournalReader.open(path) as reader:
        report = reader.verify()
        if not report.ok:
            wrong.append(str(report.damage))
    return wrong


def _message(path: Path) -> list[str]:
    """What is wrong with a frame, a question or a published message; it is read as whichever it is."""
    data, reasons = path.read_bytes(), []
    topic = path.stem.partition("_")[2].encode() + b"/main"
    for read in (decode_frame, decode_query, lambda raw: decode_published([topic, raw])):
        try:
            read(data)
        except ProtocolError as error:
            reasons.append(str(error))
        else:
            return []
    return reasons


def trial(trial: Trial) -> Figures:
    """All of them; the size says how often, each time in copies."""
    figures = {"journals": 0.0, "messages": 0.0, "refused": 0.0}
    for turn in range(trial.size):
        for kept in sorted(FOLDER.glob("*.json")):
            folder = trial.folder / f"{turn}-{kept.stem}"
            folder.mkdir()
            wrong = _journal(kept.stem, folder)
            figures["journals"] += 1
            figures["refused"] += bool(wrong)
            for line in wrong:
                trial.say(f"{kept.stem}: {line}")
        for path in sorted(MESSAGES.glob("*.bin")):
            wrong = _message(path)
            figures["messages"] += 1
            figures["refused"] += bool(wrong)
            for line in wrong:
                trial.say(f"{path.name}: {line}")
    return figures


def broken(figures: Figures) -> list[str]:
    return at_most(figures, {"refused": 0}) + at_least(figures, {"journals": 4, "messages": 6})


PROMISE = Promise(
    13, "golden", "files and messages of every format open", "rounds", 1, 1, trial, broken
)
