"""The tables of a configuration file, each a frozen record; types, ranges and meanings are at the fields."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from stream_mix.config.values import (
    Bind,
    Connect,
    Count,
    Http,
    Name,
    NotNegative,
    Positive,
    Seconds,
    Section,
    Text,
    Truth,
    distinct,
)

if TYPE_CHECKING:
    from stream_mix.protocol.limits import Limits


class Engine(Section):
    """``[engine]``: what the whole process shares."""

    name: Name = "stream_mix"
    """names this engine in logs, metrics and snapshots"""
    features: Annotated[tuple[Text, ...], AfterValidator(distinct)] = ()
    """the features, in order; empty: taken from the stream as they appear"""
    log: Literal["words", "json"] = "words"
    """lines of the log: for people, or a JSON object each"""
    log_level: Literal["info", "warning", "error"] = "info"
    """the least that is logged"""


class Ingest(Section):
    """``[ingest]``: where rows come from."""

    push: Bind = "tcp://127.0.0.1:5555"
    """PULL socket that producers PUSH to; "" = off"""
    subscribe: Annotated[tuple[Connect, ...], AfterValidator(distinct)] = ()
    """PUB feeds to subscribe to"""
    topics: tuple[Text, ...] = ("",)
    """topic prefixes taken from those feeds; "" = all"""
    high_water_mark: Count = 1000
    """frames held per peer before the sender waits (PUSH) or the feed drops (PUB); fewer in a small memory"""
    acked: Bind = "tcp://127.0.0.1:5558"
    """ROUTER socket of producers whose frames are acknowledged when they are durable; "" = off"""
    credit_frames: Count = 256
    """frames that one source may have unacknowledged,"""
    credit_bytes: Count = 16 << 20
    """and bytes of them,"""
    credit_bytes_together: Count = 64 << 20
    """and bytes of all sources that are at work, who share them"""
    acked_sources: Count = 10_000
    """sources that may ever be acknowledged; none is forgotten, a further one is refused"""


class Publish(Section):
    """``[publish]``: what the engine says."""

    bind: Bind = "tcp://127.0.0.1:5556"
    """XPUB socket of assignments, snapshots, changes and heartbeats; "" = off"""
    snapshot_every_rows: Count = 10_000
    """a snapshot of each model after so many rows"""
    snapshot_every_seconds: Positive = 1.0
    """and after so long, if rows came since the last"""
    heartbeat_seconds: Positive = 1.0
    """time between heartbeats"""
    responsibilities: Truth = True
    """false: labels, densities and outlier probabilities only, no matrix p"""
    high_water_mark: Count = 1000
    """messages held per subscriber before its next ones are dropped"""


class Query(Section):
    """``[query]``: questions that never change a model."""

    bind: Bind = "tcp://127.0.0.1:5557"
    """ROUTER socket for snapshot, predict, score and health; "" = off"""


class Metrics(Section):
    """``[metrics]``: HTTP for monitoring."""

    bind: Http = "127.0.0.1:9464"
    """HOST:PORT of /metrics (Prometheus), /health and /ready; "" = off"""


class Journal(Section):
    """``[journal]``: the recording that a restart and a replay read."""

    path: Text = ""
    """SQLite file, relative to where the engine is started; "" = off: no record, no resume"""
    durability: Literal["fsync", "os", "off"] = "fsync"
    """what a commit survives: fsync a power cut, os the death of the process, off neither"""
    checkpoint_every_rows: Count = 100_000
    """rows between checkpoints, which bound the work of a restart"""
    keep_checkpoints: Count = 3
    """checkpoints kept"""
    record_outputs: Truth = True
    """keep what was published too, for `replay --verify`; false: about half the size"""
    # More than the 64 that would do for large frames, which the bytes bound anyway: with 200 bytes to a frame
    # 512 are three times as fast, and a lone frame never waits for others.
    commit_frames: Count = 512
    """a commit after so many frames,"""
    commit_bytes: Count = 4 << 20
    """or so many bytes,"""
    commit_seconds: NotNegative = 0.005
    """or this long, whichever is first"""
    segment_bytes: Count = 64 << 20
    """old rows are dropped in stretches of so many bytes; with neither of the next two, none are"""
    keep_bytes: Count | None = None
    """rows and outputs kept, at least; older ones are dropped, but never those after the oldest checkpoint"""
    keep_seconds: Seconds | None = None
    """and those this much older than the newest are dropped; seconds, or text such as "12h" or "30d" """
    dead_letters: Annotated[int, Field(strict=True, ge=0)] = 1000
    """refused frames kept with their reasons, at most 4 KiB of each, the oldest dropped first"""


class FrameLimits(Section):
    """``[limits]``: what a sender may choose, checked before memory is taken for it."""

    frame_bytes: Count = 1 << 20
    """bytes of one frame"""
    rows: Count = 65_536
    """rows of one frame, items of one array"""
    features: Count = 1024
    """features of one frame"""
    cells: Count = 1 << 20
    """rows times features of one frame"""
    string: Count = 256
    """bytes of one name or id"""
    nesting: Count = 8
    """depth of maps and arrays"""
    memory_bytes: Annotated[int, Field(strict=True, ge=1 << 28)] = 1 << 30
    """memory of the process: above half of it queues and credit shrink, near it pushed frames are dropped"""

    def limits(self) -> Limits:
        """Return them as the codec takes them."""
        from stream_mix.protocol.limits import Limits

        return Limits(**self.model_dump(exclude={"memory_bytes"}))


class Security(Section):
    """``[security]``: who may reach the sockets."""

    server_key: Text = ""
    """secret file of `stream-mix keys new`; set, every bound socket asks for a key (CURVE); "" = no keys"""
    clients: Text = ""
    """folder of those who are let in, read again when it changes; "" = `clients` beside the server key"""
    allow_insecure: Truth = False
    """true: bind addresses that other machines can reach, without encryption or keys"""

    @property
    def clients_folder(self) -> str:
        """The folder of those who are let in."""
        return self.clients or os.path.join(os.path.dirname(self.server_key), "clients")
