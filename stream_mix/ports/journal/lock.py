"""One writer per journal: a lock that the operating system drops when its process dies."""

from __future__ import annotations

import os
import sqlite3
from types import TracebackType
from urllib.parse import quote

from stream_mix.ports.journal.connect import explain
from stream_mix.ports.journal.records import JournalError


class WriterLock:
    """The right to write the journal at `path`, held from construction to `release`.

    It is SQLite's own exclusive lock on an empty file beside the journal, which works on every platform, is
    seen within one process as well as between two, and is not inherited by a fork. Not taken on the journal
    itself: that lock would shut readers out, and closing a second descriptor of that file would drop SQLite's
    own locks. The file stays behind: removing it could take it from under the next holder.
    """

    def __init__(self, path: str) -> None:
        lock_path = f"{path}-lock"
        try:
            self._db = sqlite3.connect(
                f"file:{quote(lock_path)}?mode=rwc",
                uri=True,
                isolation_level=None,
                timeout=0.0,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise explain(path, error) from None
        try:
            self._db.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                raise JournalError(
                    path, f"another process is writing this journal (lock: {lock_path})"
                ) from None
            raise explain(lock_path, error) from None
        if os.path.getsize(lock_path):
            self.release()
            raise JournalError(lock_path, "expected an empty lock file; move it out of the way")

    def release(self) -> None:
        """Let the next writer in."""
        self._db.close()

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
