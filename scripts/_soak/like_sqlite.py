"""apsw with the interface, and the errors, of the standard library's sqlite3, as far as a journal uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import apsw

WORDS: tuple[tuple[type[apsw.Error], type[sqlite3.Error], str], ...] = (
    (apsw.FullError, sqlite3.OperationalError, "database or disk is full"),
    (apsw.IOError, sqlite3.OperationalError, "disk I/O error"),
    (apsw.CantOpenError, sqlite3.OperationalError, "unable to open database file"),
    (apsw.BusyError, sqlite3.OperationalError, "database is locked"),
    (apsw.ReadOnlyError, sqlite3.OperationalError, "attempt to write a readonly database"),
    (apsw.CorruptError, sqlite3.DatabaseError, "database disk image is malformed"),
    (apsw.NotADBError, sqlite3.DatabaseError, "file is not a database"),
)
"""What sqlite3 says for each of apsw's errors; all others keep their text."""


class PowerCutError(BaseException):
    """The power is gone: nothing of this process goes on, so that no handler of errors may take it."""


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        for kind, other, words in WORDS:
            if isinstance(error, kind):
                raise other(words) from None
        raise sqlite3.OperationalError(str(error).removeprefix("SQLError: ")) from None


class Cursor:
    """One answer; like sqlite3's it is a row ahead, so that a statement ends with its last row."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self._ahead: Any = None
        self._step()

    def _step(self) -> Any:
        row = self._ahead
        with translated():
            self._ahead = next(self._cursor, None)
        return row

    def fetchone(self) -> Any:
        return self._step()

    def fetchmany(self, size: int = 1) -> list[Any]:
        return [row for row in (self._step() for _ in range(size)) if row is not None]

    def fetchall(self) -> list[Any]:
        return list(self)

    def __iter__(self) -> Iterator[Any]:
        while self._ahead is not None:
            yield self._step()

    def close(self) -> None:
        self._ahead = None
        self._cursor.close(True)


class Connection:
    """A connection in autocommit mode through one of our file systems."""

    def __init__(self, path: str, vfs: str, *, writer: bool) -> None:
        flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE if writer else apsw.SQLITE_OPEN_READONLY
        with translated():
            self._db = apsw.Connection(path, flags=flags, vfs=vfs)
        try:
            self._db.set_busy_timeout(5000)
            self.execute("PRAGMA trusted_schema=OFF")
            self.execute("PRAGMA cell_size_check=ON")
        except BaseException:
            self.close()
            raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Cursor:
        with translated():
            return Cursor(self._db.execute(statement, values))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with translated():
            for _ in self._db.executemany(statement, rows):
                pass

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.in_transaction)

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        # A last fold of the log may fail; the connection is closed all the same.
        with suppress(apsw.Error, PowerCutError):
            self._db.close(True)


def connection(path: str, vfs: str, *, writer: bool) -> sqlite3.Connection:
    """A connection that a journal can be given for one of sqlite3's."""
    made: Any = Connection(path, vfs, writer=writer)
    return made  # type: ignore[no-any-return]  # by its interface
