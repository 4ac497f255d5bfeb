"""Promise 2: what was acknowledged survives a power cut."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from pathlib import Path

import apsw

from stream_mix.ports.journal import Journal, JournalError, JournalReader, JournalUnavailable, Retention

from .like_sqlite import PowerCutError
from .promise import Figures, Promise, Trial, at_least, at_most
from .simulated import Disk, in_silence
from .written import group, wrong

RETENTION = Retention(segment_bytes=100_000, keep_bytes=400_000)
MOST = 3000
"""Writes and syncs, at most, before a cut; about as many as fill the log once."""
OTHERS = 10
"""One cut in so many is with syncs left out, to see that this disk does lose things."""
FAILS = 3
"""One life in so many has syncs that fail on the way, which forget what they had to bring."""


def _life(path: Path, disk: Disk, rng: random.Random, durability: str, said: int) -> tuple[int, int]:
    """Write until the power goes; returns frames acknowledged, and handed in."""
    asked = said
    # Where a sync fails while it is opened, the process ends there, and the power goes.
    with suppress(PowerCutError, JournalError):
        journal = Journal.open(
            path, durability=durability, retention=RETENTION, connect=disk.connect, keep_dead_letters=20
        )
        try:
            while True:
                try:
                    asked = group(journal, rng)
                    journal.commit()
                    said = asked
                    if rng.random() < 0.3:
                        journal.tidy(0)
                except JournalUnavailable:
                    if disk.dead:
                        # SQLite kept the cut to itself, as it does with what fails while it tidies up.
                        raise PowerCutError from None
                    # As the loop does: what was held comes again, unless it was kept all the same.
                    with suppress(JournalUnavailable):
                        said = max(said, asked) if journal.reopen() else said
        finally:
            with suppress(PowerCutError, JournalError):
                journal.close()
    return said, asked


def _judged(path: Path, disk: Disk, said: int, asked: int) -> tuple[bool, str, int]:
    """Whether frames are lost, what is there that was not written, and how many frames there are."""
    try:
        with JournalReader.open(path, connect=disk.connect) as reader:
            report, end = reader.verify(), reader.end()
            found = report.damage or next(wrong(reader), "")
            if not found and end.frames > asked:
                found = f"{end.frames} frames, {asked} were handed in"
            return end.frames < said, found, end.frames
    except JournalError as error:
        if said:
            return True, str(error), 0
    # The cut came while the journal was made, which the next writer does again.
    try:
        Journal.open(path, connect=disk.connect).close()
        with JournalReader.open(path, connect=disk.connect) as reader:
            return False, reader.verify().damage or "", reader.end().frames
    except JournalError as error:
        return False, str(error), 0


def trial(trial: Trial) -> Figures:
    """Cut after cut; one journal goes through many."""
    rng = random.Random(trial.seed)
    figures = {"cuts": 0.0, "lost": 0.0, "corrupt": 0.0, "commits under way kept": 0.0, "syncs failed": 0.0,
               "lost without syncs": 0.0}  # fmt: skip
    folder = trial.folder / "disk"
    said = asked = 0
    for cut in range(trial.size):
        loose = cut % OTHERS == OTHERS - 1
        if loose or cut % OTHERS == 0:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            said = asked = 0
        path = folder / "a.journal"
        disk = Disk(f"power{cut}", rng, cut_at=int(MOST ** rng.random()))
        if cut % FAILS == 0:
            every = rng.randrange(2, 60)
            disk.trouble = lambda kind, n, every=every: (
                apsw.IOError("sync") if kind == "sync" and n % every == 0 else None
            )
        with in_silence():
            said, asked = _life(path, disk, rng, "off" if loose else "fsync", said)
        disk.trouble = disk.cut_at = None
        figures["syncs failed"] += disk.failed
        disk.dead = False
        disk.after_power()
        lost, corrupt, kept = _judged(path, disk, said, asked)
        disk.close()
        figures["cuts"] += 1
        if cut % 1000 == 999:
            trial.say(f"{cut + 1} cuts")
        if loose:
            figures["lost without syncs"] += lost or bool(corrupt)
            continue
        figures["lost"] += lost
        figures["corrupt"] += bool(corrupt)
        figures["commits under way kept"] += kept > said
        if lost or corrupt:
            trial.say(f"cut {cut}: {said} frames were acknowledged, {kept} found; {corrupt}")
            shutil.rmtree(folder)
            folder.mkdir()
            kept = 0
        said = asked = kept
    return figures


def broken(figures: Figures) -> list[str]:
    return at_most(figures, {"lost": 0, "corrupt": 0}) + at_least(figures, {"lost without syncs": 1})


PROMISE = Promise(
    2, "power", "an acknowledged row survives a power cut", "cuts", 10_000, 60, trial, broken
)
