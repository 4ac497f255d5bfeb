"""What one message may claim: every bound is checked before the memory it bounds is asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields

VALUE_MAX = 1e100
"""Largest magnitude of a value, a time or a weight: its square and the sums of it stay far from overflow."""

SEQ_MAX = 2**63 - 1
"""Largest frame count of a source: what a signed 64-bit column of a journal can hold."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one message, all positive integers.

    - `frame_bytes`: length of the whole message.
    - `rows`: rows of a frame, and items of any array.
    - `features`: features of a frame (of an `events` frame: of all its rows together).
    - `cells`: rows times features. An `events` frame of a few bytes per row becomes a dense (n, d) array, so
      that rows and features alone would let a frame of 1 MiB ask for 512 MiB.
    - `string`: UTF-8 bytes of any string.
    - `nesting`: depth of maps and arrays where a message carries a free tree (snapshot, health, model state).

    Raises ValueError where a bound is not a positive integer.

    >>> Limits(rows=100).rows
    100
    """

    frame_bytes: int = 1 << 20
    rows: int = 65536
    features: int = 1024
    cells: int = 1 << 20
    string: int = 256
    nesting: int = 8

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValueError(f"limits.{field.name}: expected an integer of at least 1, got {value!r}")


DEFAULT_LIMITS = Limits()

PUBLISHED_LIMITS = Limits(
    frame_bytes=1 << 28, rows=1 << 24, features=1 << 16, cells=1 << 28, string=65536, nesting=16)
"""For readers of what an engine says: a snapshot holds (k, d, d) arrays, far longer than a frame."""

STATE_LIMITS = Limits(frame_bytes=1 << 32, rows=1 << 28, features=1 << 20, string=1 << 20, nesting=32)
"""For model state read back from a file that this program wrote."""
