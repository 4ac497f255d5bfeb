"""Connections to a journal's file, and whether it is one.

SQLite is the standard library's. `Connect` is the seam by which trials put file systems of their own under a
journal, such as one that loses power.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from stream_mix.ports.journal.records import JournalError, JournalUnavailable
from stream_mix.ports.journal.schema import APPLICATION_ID, FORMAT


class Connect(Protocol):
    """Opens a connection with the interface, and the errors, of the standard library's sqlite3."""

    def __call__(self, path: str, *, writer: bool) -> sqlite3.Connection:
        """A connection to the journal at `path`, in autocommit mode."""
        ...


class Connection(sqlite3.Connection):
    """Where SQLite quotes damaged names in an error, Python cannot read its words: that is damage, too."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """As sqlite3's own."""
        try:
            return super().execute(*arguments)
        except UnicodeDecodeError:
            raise sqlite3.DatabaseError("database disk image is malformed") from None


def connect(path: str, *, writer: bool) -> sqlite3.Connection:
    """A connection to the journal at `path`; a reader's cannot write, and both use little memory."""
    mode = "rwc" if writer else "ro"
    if not writer and not os.access(os.path.dirname(path), os.W_OK) and not os.path.exists(f"{path}-wal"):
        # Beside a file in a folder that cannot be written SQLite cannot make the shared index that a log
        # needs; without a log there is none to miss.
        mode = "ro&immutable=1"
    db = sqlite3.connect(
        f"file:{quote(path)}?mode={mode}",
        uri=True,
        isolation_level=None,
        timeout=5.0,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        db.execute("PRAGMA cell_size_check=ON")
        if not writer:
            db.execute("PRAGMA query_only=ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


def real_path(path: str | os.PathLike[str]) -> str:
    """The one name of the file, so that two ways to it meet in the same lock."""
    return str(Path(path).resolve())


def check_no_folder(path: str) -> None:
    """JournalError where the path is a folder: SQLite would call it an I/O error."""
    if os.path.isdir(path):
        raise JournalError(path, "cannot be opened: it is a folder")


def is_empty(db: sqlite3.Connection) -> bool:
    """Whether the file holds no tables and is marked as nothing."""
    questions = ("SELECT count(*) FROM sqlite_master", "PRAGMA application_id")
    return not any(db.execute(question).fetchone()[0] for question in questions)


def check_format(db: sqlite3.Connection, path: str) -> int:
    """The format of an open journal; JournalError where it is none, or one of a later release."""
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if application != APPLICATION_ID:
        if not os.path.getsize(path):
            raise JournalError(path, "not a journal of stream_mix (the file is empty)")
        if not application and is_empty(db):
            why = "copied without the -wal file beside it while an engine was writing"
            raise JournalError(path, f"holds no tables: no journal of stream_mix, or {why}")
        raise JournalError(path, "not a journal of stream_mix (a SQLite file of another program)")
    if version > FORMAT or version < 1:
        raise JournalError(path, f"journal format {version}; this release reads formats 1 to {FORMAT}")
    return version


def check_own(path: str, connect: Connect = connect) -> None:
    """JournalError where there is a file that is no journal: no lock is left beside what is not ours."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return
    try:
        with closing(connect(path, writer=False)) as db:
            if not is_empty(db):
                check_format(db, path)
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise explain(path, error) from None


def explain(path: str, error: sqlite3.Error) -> JournalError:
    """The same error in one line for people."""
    text = str(error)
    if "not a database" in text:
        text = "not a journal of stream_mix (not a SQLite file)"
    elif "unable to open" in text:
        text = "cannot be opened: " + _why_not(path)
    elif "readonly" in text:
        text = "cannot be written (read-only file or folder)"
    elif "malformed" in text or "decode" in text or "no such" in text:
        text = f"damaged: {text}"
    return JournalError(path, text)


def unavailable(path: str, error: sqlite3.Error) -> JournalError:
    """The same for an error in writing: one of the disk, which may pass, is told from one of the contents."""
    found = explain(path, error)
    if isinstance(error, sqlite3.OperationalError) and not found.reason.startswith("damaged"):
        return JournalUnavailable(path, found.reason)
    return found


def _why_not(path: str) -> str:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if not os.path.exists(path):
        return "there is no such file, or it cannot be made"
    return "no permission"
