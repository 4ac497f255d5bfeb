"""Recorded streams: rows out of a journal, and journals from and to CSV, JSON lines and Parquet.

All of it streams: memory is bounded by a block of rows, whatever the length of the file.
"""

from stream_mix.recording.blocks import Block, RecordingError, Refusal
from stream_mix.recording.exports import export
from stream_mix.recording.imports import Imported, import_rows
from stream_mix.recording.stored import iter_frames, iter_rows
from stream_mix.recording.tables import read_rows

__all__ = [
    "Block",
    "Imported",
    "RecordingError",
    "Refusal",
    "export",
    "import_rows",
    "iter_frames",
    "iter_rows",
    "read_rows",
]
