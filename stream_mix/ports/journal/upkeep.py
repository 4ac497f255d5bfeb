"""What keeps a journal's file in shape beside its commits: too many checkpoints and letters deleted, and the
log folded into the file."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Final

from stream_mix.ports.journal.schema import PAGE_BYTES

TIDY_BYTES: Final = 1 << 20
"""What the log may hold before a writer with nothing else to do folds it: half of what it may hold at most.
Each fold costs two syncs; a frame that comes meanwhile waits for the rest of one, and one whose commit has to
fold the log waits for all of it."""
COMMIT_BYTES: Final = 5 * PAGE_BYTES
"""About what a commit logs beside its records: the ends of its tables."""


def prune(db: sqlite3.Connection, checkpoints: int, first_letter: int) -> None:
    """Keep the newest checkpoints, so many, and the dead letters from one on."""
    db.execute(
        "DELETE FROM checkpoint WHERE id NOT IN (SELECT id FROM checkpoint ORDER BY id DESC LIMIT ?)",
        (checkpoints,),
    )
    db.execute("DELETE FROM dead_letter WHERE id < ?", (first_letter,))


def fold_some(db: sqlite3.Connection) -> None:
    """Fold the log of a connection with nothing under way, as far as its readers allow.

    A disk that fails at this loses nothing: the log keeps all that is not known to be in the file, and the
    next fold writes and syncs it anew. The next commit tells.
    """
    with suppress(sqlite3.Error):
        db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
