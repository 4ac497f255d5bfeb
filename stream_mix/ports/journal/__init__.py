"""The journal: every accepted frame, in order, in one SQLite file, with checkpoints and what was published.

`Journal` is the one writer, `JournalReader` reads beside it. The state of an engine is a fold over the
frames, so a journal and a checkpoint in it are all that recovery and replay need.
"""

from stream_mix.ports.journal.reader import JournalReader
from stream_mix.ports.journal.records import (
    Checkpoint,
    DeadLetter,
    JournalError,
    JournalFrame,
    JournalInfo,
    Output,
    VerifyReport,
)
from stream_mix.ports.journal.schema import FORMAT
from stream_mix.ports.journal.writer import Journal

__all__ = [
    "FORMAT",
    "Checkpoint",
    "DeadLetter",
    "Journal",
    "JournalError",
    "JournalFrame",
    "JournalInfo",
    "JournalReader",
    "Output",
    "VerifyReport",
]
