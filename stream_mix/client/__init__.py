"""Talk to a running engine from one's own program: `Producer` sends rows, `Subscriber` hears, `Query` asks.

    with Producer("tcp://127.0.0.1:5555", source="sensor-7") as producer:
        producer.send({"temperature": 20.5, "humidity": 0.4})

`Producer(acked=True, source=...)` holds every row until the engine says that it is durable: `acked` is its
way to the engine, `window` what it still holds.

Each is for one thread, and for the process that made it. What goes wrong is a `ClientError`, one line.
"""

from __future__ import annotations

from .acked import Unsafe
from .base import ACKED, KINDS, PUBLISH, PUSH, QUERY, ClientError, Event, KeysLike, RowsLike
from .gaps import Gaps
from .producer import Producer
from .query import Query
from .subscriber import Subscriber

__all__ = [
    "ACKED",
    "KINDS",
    "PUBLISH",
    "PUSH",
    "QUERY",
    "ClientError",
    "Event",
    "Gaps",
    "KeysLike",
    "Producer",
    "Query",
    "RowsLike",
    "Subscriber",
    "Unsafe",
]
