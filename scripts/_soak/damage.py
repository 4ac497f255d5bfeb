"""Promise 5: damage is repaired or refused, never believed."""

from __future__ import annotations

import random
from pathlib import Path

from stream_mix.ports.journal import Journal, JournalError, JournalReader, Retention, repair

from .promise import Figures, Promise, Trial, at_least, at_most
from .written import group, wrong

GROUPS = 60
KINDS = ("flip", "zero", "garbage", "cut", "swap")


def _sound(folder: Path, rng: random.Random, *, killed: bool) -> tuple[dict[str, bytes], int]:
    """The bytes of a journal and, where its writer was killed, of its log; and the frames in it."""
    path = folder / "sound"
    retention = Retention(segment_bytes=20_000, keep_bytes=60_000)
    with Journal.open(path, durability="off", retention=retention) as journal:
        for _ in range(GROUPS):
            group(journal, rng, big=False)
            journal.commit()
        files = {suffix: Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal")}
        frames = journal.next_id
    if not killed:
        files = {"": path.read_bytes()}
    for left in folder.iterdir():
        left.unlink()
    return files, frames


def _changed(data: bytes, rng: random.Random, kind: str) -> bytes:
    """The same bytes with one damage; the head of the file is hit more often than its share."""
    out = bytearray(data)
    at = rng.randrange(len(out) if rng.random() < 0.8 else min(len(out), 16_384))
    if kind == "flip":
        out[at] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del out[at:]
    elif kind == "zero":
        at -= at % 512
        out[at : at + 512] = bytes(len(out[at : at + 512]))
    elif kind == "garbage":
        size = len(out[at : at + rng.choice((1, 8, 512))])
        out[at : at + size] = rng.randbytes(size)
    else:
        at -= at % 512
        other = rng.randrange(0, len(out) - 512, 512)
        out[at : at + 512] = out[other : other + 512][: len(out[at : at + 512])]
    return bytes(out)


def _read(path: Path) -> tuple[list[str], bool, int]:
    """What is wrongly believed, whether something is refused, and the frames that are read."""
    frames = 0
    found: list[str] = []
    try:
        with JournalReader.open(path) as reader:
            frames = reader.end().frames
            for line in wrong(reader, big=False):
                found.append(line)
            dict(reader.meta)
            refused = not reader.verify().ok
    except JournalError:
        refused = True
    return found, refused, frames


def _goes_on(path: Path, rng: random.Random) -> list[str]:
    """What is wrong once a writer that takes the journal has added to it."""
    try:
        with Journal.open(path, create=False, durability="off") as journal:
            group(journal, rng, big=False)
    except JournalError:
        return []
    return _read(path)[0]


def _repaired(path: Path) -> list[str] | None:
    """What is wrong with the journal that a repair makes of it; None where it makes none."""
    out = path.with_name("repaired")
    try:
        repair(path, out, durability="off")
    except JournalError:
        return None
    found, refused, _ = _read(out)
    return [*found, *(["the repaired journal is damaged"] if refused else [])]


def trial(trial: Trial) -> Figures:
    """One damage at a time, to a journal that was closed or to the files of one that was killed."""
    rng = random.Random(trial.seed)
    names = ("mutations", "believed", "refused", "prefixes", "untouched", "repaired")
    figures = dict.fromkeys(names, 0.0)
    sound: tuple[dict[str, bytes], int] = ({}, 0)
    path = trial.folder / "j"
    for k in range(trial.size):
        if k % 100 == 0:
            sound = _sound(trial.folder, rng, killed=k % 200 == 0)
        if k % 1000 == 999:
            trial.say(f"{k + 1} mutations, {figures['believed']:g} believed")
        files, frames = dict(sound[0]), sound[1]
        hit = rng.choice(list(files))
        kind = rng.choice(KINDS)
        files[hit] = _changed(files[hit], rng, kind)
        for left in trial.folder.iterdir():
            left.unlink()
        for suffix, data in files.items():
            Path(f"{path}{suffix}").write_bytes(data)
        found, refused, kept = _read(path)
        # Frames that are missing at the end without a word are a prefix only where a log was cut short.
        if not refused and kept < frames and hit == "":
            found.append(f"{kept} frames of {frames}, and nothing is said")
        found += _goes_on(path, rng) if k % 4 == 0 and not refused else []
        if refused and k % 2 == 0:
            mended = _repaired(path)
            figures["repaired"] += mended is not None
            found += mended or []
        figures["mutations"] += 1
        figures["refused"] += refused
        figures["prefixes"] += not refused and kept < frames
        figures["untouched"] += not refused and kept == frames
        if found:
            figures["believed"] += 1
            trial.say(f"mutation {k}, {kind} of {hit or 'the file'}: {found[0]}")
    return figures


def broken(figures: Figures) -> list[str]:
    wanted = {"refused": figures["mutations"] / 10, "prefixes": figures["mutations"] / 30}
    wanted["repaired"] = figures["refused"] / 10
    return at_most(figures, {"believed": 0}) + at_least(figures, wanted)


PROMISE = Promise(
    5, "damage", "damage is repaired or refused, never believed", "mutations", 10_000, 200, trial, broken
)
