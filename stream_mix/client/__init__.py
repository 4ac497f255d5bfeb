"""Talk to a running engine from one's own program: `Producer` sends rows, `Subscriber` hears, `Query` asks.

    with Producer("tcp://127.0.0.1:5555", source="sensor-7") as producer:
        producer.send({"temperature": 20.5, "humidity": 0.4})

Each is for one thread, and for the process that made it. What goes wrong is a `ClientError`, one line.
"""

from __future__ import annotations

from .base import KINDS, PUBLISH, PUSH, QUERY, ClientError, Event, KeysLike, RowsLike
from .gaps import Gaps
from .producer import Producer
from .query import Query
from .subscriber import Subscriber

__all__ = [
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
]
