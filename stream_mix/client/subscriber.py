"""Hears what is published, and notices what it missed."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import zmq

from ..protocol import ProtocolError, Published, decode_published
from .base import KINDS, PUBLISH, Client, ClientError, KeysLike
from .gaps import Continuity, Gaps
from .query import Query

ASK_SECONDS = 2.0
"""How long an engine has to answer with its snapshots."""
AGAIN_SECONDS, MOST_PATIENCE = 1.0, 30.0
"""Time between questions that are not answered: at first, and at the end of ever longer ones."""


class Subscriber(Client):
    """Hears what an engine publishes, as records of `stream_mix.protocol`; iterate over it.

    - `model`: only this model's messages, and heartbeats where `kinds` has them.
    - `kinds`: of `assignment`, `snapshot`, `change` and `heartbeat`.
    - `timeout`: iteration ends after so many seconds without a message; None waits for ever.
    - `query`: the engine's query endpoint. With it the models are asked for at the start, and again whenever
      something was missed: a `Snapshot` of each comes first, then only what is newer.
    - `keys`: secret file of this client, where the engine asks for keys.

    A subscriber that is too slow misses messages, and so does one whose engine was away: `gaps` says how
    much, `silence` for how long nothing at all was heard.
    """

    def __init__(
        self,
        endpoint: str = PUBLISH,
        *,
        model: str | None = None,
        kinds: Sequence[str] = KINDS,
        timeout: float | None = None,
        high_water_mark: int = 100_000,
        query: str | None = None,
        keys: KeysLike = None,
    ) -> None:
        unknown = [kind for kind in kinds if kind not in (*KINDS, "heartbeat")]
        if unknown or isinstance(kinds, str):
            raise ClientError(f"kinds is {kinds!r}, expected some of {', '.join((*KINDS, 'heartbeat'))}")
        super().__init__(endpoint, zmq.SUB, 0.0, keys)
        self.timeout = timeout
        self._socket.set(zmq.RCVHWM, high_water_mark)
        # Heartbeats are heard in any case: they say that the engine lives, and what was missed.
        for kind in {*kinds, "heartbeat"}:
            # A name may be the beginning of another one: the rest is sorted out in `receive`.
            topic = kind if kind == "heartbeat" else f"{kind}/{model or ''}"
            self._socket.set(zmq.SUBSCRIBE, topic.encode())
        self._model, self._kinds = model, frozenset(kinds)
        assert self._handshakes is not None  # a SUB has them
        self._shakes, self._poller = self._handshakes, zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._shakes.monitor, zmq.POLLIN)
        self._follow = Continuity()
        self._ready: deque[Published] = deque()
        self._heard = time.monotonic()
        self._query = None if query is None else Query(query, timeout=ASK_SECONDS, keys=keys)
        self._ask_at: float | None = 0.0
        self._patience = AGAIN_SECONDS
        self._connect()

    @property
    def gaps(self) -> Gaps:
        """What was missed so far."""
        return self._follow.gaps

    @property
    def silence(self) -> float:
        """Seconds since anything was heard, heartbeats included; an engine sends one each second unless its
        configuration says otherwise."""
        return time.monotonic() - self._heard

    def connected(self, timeout: float = 5.0) -> bool:
        """Whether an engine has answered, waiting up to `timeout` seconds for the first time that one does.

        What is published before that is not heard: wait for it before rows are sent whose answers matter.
        """
        self._check()
        return self._await(time.monotonic() + timeout, lambda: self._shakes.connected > 0)

    def _await(self, until: float, enough: Callable[[], bool]) -> bool:
        """Wait for something, knocking again where this key is not let in; False where time is over."""
        while True:
            self._shakes.read()
            if enough():
                return True
            now = time.monotonic()
            if now >= until:
                return False
            self._shakes.knock(now)
            wait = min(until - now, self._shakes.due(now))
            self._poller.poll(None if wait == math.inf else math.ceil(wait * 1000))

    def close(self) -> None:
        """Close; a second call does nothing."""
        if os.getpid() == self._pid and not self._socket.closed:
            if self._query is not None:
                self._query.close()
            super().close()

    def receive(self, timeout: float | None = None) -> Published | None:
        """The next message, or None where none came within `timeout` seconds (None: wait for ever)."""
        self._check()
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self._ready:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                if not self._await(until, lambda: bool(self._socket.poll(0))):
                    return None
            else:
                self._take(parts)
        return self._ready.popleft()

    def _take(self, parts: list[bytes]) -> None:
        """One message as it came: kept where it was asked for and says something new."""
        try:
            message = decode_published(parts)
        except ProtocolError as error:
            raise ClientError(f"{self.endpoint}: not an engine's message: {error.reason}") from None
        if self._model is not None and getattr(message, "model", self._model) != self._model:
            return
        self._heard = time.monotonic()
        if self._follow.heard(message):
            self._ask_at = self._ask_at or 0.0
        if self._query is not None and self._ask_at is not None and self._ask_at <= self._heard:
            self._ask(self._query)
        if self._follow.news(message) and type(message).__name__.lower() in self._kinds:
            self._ready.append(message)

    def _ask(self, query: Query) -> None:
        """Ask for the snapshots, to be shown before anything else; where they do not come, later again."""
        self._patience = min(2 * self._patience, MOST_PATIENCE)
        self._ask_at = time.monotonic() + self._patience
        try:
            health = query.health()
            names = [name for name in health.models if self._model in (None, name)]
            # A model without a batch has nothing to show, and publishes it when it has.
            warm = [name for name in names if health.models[name].get("generation")]
            found = [query.snapshot(name) for name in warm]
        except ClientError:
            return
        self._ask_at, self._patience = None, AGAIN_SECONDS
        for snapshot in found:
            self._follow.asked(snapshot)
            self._ready.append(snapshot)

    def __iter__(self) -> Iterator[Published]:
        while (message := self.receive(self.timeout)) is not None:
            yield message
