"""The one error of the protocol: a code from a closed set, and a line for people."""

from __future__ import annotations

from typing import Literal, get_args

Code = Literal[
    "empty",  # no bytes at all
    "too_large",  # longer than limits.frame_bytes
    "multipart",  # ingest is one part; several would be a way round the size limit
    "not_msgpack",  # not one complete, plain MessagePack value
    "version",  # a protocol version that this program does not speak
    "kind",  # a kind of message that is not known here
    "missing_key",
    "unknown_key",
    "type",  # a value of another type than expected
    "dtype",  # an element type outside the closed set
    "shape",  # lengths that contradict each other
    "limit",  # more than the limits allow
    "crc",  # the checksum does not match
    "value",  # the right type, but not an allowed value
    "forbidden",  # its sender's key may not speak for this source
    "gap",  # a seq that leaves out frames of its source: only where frames are acknowledged
    "credit",  # more frames or bytes than a producer may have unacknowledged
    "source",  # a source that this producer may not speak for now: another does, or there are too many
]

CODES: tuple[Code, ...] = get_args(Code)

SHOWN = 60


class ProtocolError(ValueError):
    """A message that cannot be accepted, with a `code` out of `CODES` and a one-line `reason`.

    The code is fit for a metrics label. The reason names the key and what was expected, and quotes at most a
    few dozen characters of what was sent, control characters escaped.

    >>> error = ProtocolError("shape", "x: expected 8 bytes, got 3 bytes")
    >>> error.code, str(error)
    ('shape', 'x: expected 8 bytes, got 3 bytes')
    """

    def __init__(self, code: Code, reason: str) -> None:
        super().__init__(code, reason)
        self.code: Code = code
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def show(value: object) -> str:
    """Return a short printable description of an untrusted value.

    >>> show("a" * 1000) == "'" + "a" * 56 + "..."
    True
    >>> show("line" + chr(10)), show([1, 2]), show(b"abc"), show(True)
    ("'line\\\\n'", 'an array of 2', '3 bytes', 'true')
    """
    match value:
        case None:
            return "nil"
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 64:
            return f"an integer of {value.bit_length()} bits"
        case int() | float():
            return repr(value)[:SHOWN]
        case str():
            text = ascii(value[:SHOWN])
            return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
        case bytes() | bytearray() | memoryview():
            return f"{len(value)} bytes"
        case dict():
            return f"a map of {len(value)}"
        case list() | tuple():
            return f"an array of {len(value)}"
        case _:
            return ascii(type(value).__name__)[:SHOWN]
