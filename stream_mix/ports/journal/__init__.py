"""The journal: every accepted frame, in order, in one SQLite file, with checkpoints and what was published.

`Journal` is the one writer, `JournalReader` reads beside it. The state of an engine is a fold over the
frames, so a journal and a checkpoint in it are all that recovery and replay need.

What cannot be believed is refused where it is met, and named, never skipped; only a torn end of SQLite's log
is cut off. A start meets what lies after the newest checkpoint; `verify` and `scrub` read all, and `repair`
writes a new file. A disk that is full or fails is no damage: the writer says so by `JournalUnavailable` and
`unavailable`, and `reopen` goes on where the last commit left.
"""

from stream_mix.ports.journal.connect import Connect, connect
from stream_mix.ports.journal.reader import JournalReader
from stream_mix.ports.journal.records import (
    Checkpoint,
    DeadLetter,
    JournalError,
    JournalFrame,
    JournalInfo,
    JournalUnavailable,
    Output,
    VerifyReport,
)
from stream_mix.ports.journal.repair import Repaired, repair
from stream_mix.ports.journal.schema import FORMAT
from stream_mix.ports.journal.scrub import Damage, ScrubReport
from stream_mix.ports.journal.segments import Retention
from stream_mix.ports.journal.writer import Journal

__all__ = [
    "FORMAT",
    "Checkpoint",
    "Connect",
    "Damage",
    "DeadLetter",
    "Journal",
    "JournalError",
    "JournalFrame",
    "JournalInfo",
    "JournalReader",
    "JournalUnavailable",
    "Output",
    "Repaired",
    "Retention",
    "ScrubReport",
    "VerifyReport",
    "connect",
    "repair",
]
