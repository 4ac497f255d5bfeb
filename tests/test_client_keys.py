"""Clients whose key is refused: one clear error at once, and they are back when it is let in."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_mix.client import ClientError, Producer, Query, Subscriber
from stream_mix.keys import new_client
from stream_mix.ports.service import Service
from stream_mix.protocol import Heartbeat
from stream_mix.workers.watch import run as watch
from tests.ports.test_doors import locked
from tests.workers.serving import LOCAL, PATIENCE, rows, serving, until

REFUSED = r"^tcp://\S+: does not let this key in"


class Door:
    """A client's card, which comes and goes."""

    def __init__(self, folder: Path) -> None:
        self.secret, self.card = new_client(folder, "press")
        self._away = self.card.with_suffix(".away")
        self.shut()

    def shut(self) -> None:
        self.card.rename(self._away)

    def open(self, service: Service) -> None:
        assert service.sockets.doors is not None
        doors = service.sockets.doors
        os.rename(self._away, self.card)
        until(lambda: doors.clients == 1)


@contextmanager
def guarded(folder: Path) -> Iterator[tuple[Service, Door]]:
    """An engine that asks for keys, and a key that it does not know yet."""
    door = Door(folder / "keys")
    config = locked(
        folder / "keys", ingest={"acked": LOCAL}, journal={"path": str(folder / "a.journal")}
    )
    with serving(config) as service:
        yield service, door


def at_once(what: Callable[[], object]) -> None:
    """It raises that the key is not let in, and does not wait for its timeout."""
    start = time.monotonic()
    with pytest.raises(ClientError, match=REFUSED):
        what()
    assert time.monotonic() - start < PATIENCE / 2


def test_a_producer_that_pushes_comes_back(tmp_path: Path) -> None:
    with (
        guarded(tmp_path) as (service, door),
        Producer(service.sockets.endpoints["push"], keys=door.secret, timeout=PATIENCE) as producer,
    ):
        at_once(lambda: producer.send(rows(5)))
        assert producer.refused_key
        door.open(service)
        until(lambda: sent(producer))
        until(lambda: service.state.offset == 5)
        assert not producer.refused_key


def sent(producer: Producer) -> bool:
    try:
        producer.send(rows(5))
    except ClientError:
        return False
    return True


def test_a_producer_that_is_acknowledged_comes_back_with_all_that_it_held(tmp_path: Path) -> None:
    with guarded(tmp_path) as (service, door):
        producer = Producer(
            service.sockets.endpoints["acked"], acked=True, source="press", keys=door.secret, timeout=PATIENCE
        )
        at_once(lambda: producer.send(rows(5)))
        door.open(service)
        until(lambda: sent(producer))
        producer.wait(PATIENCE)
        producer.close()
        assert service.state.offset == 5


def test_after_a_fork_the_word_of_the_engine_is_not_asked_for(tmp_path: Path) -> None:
    with guarded(tmp_path) as (service, door):
        producer = Producer(
            service.sockets.endpoints["acked"], acked=True, source="press", keys=door.secret, timeout=PATIENCE
        )
        at_once(lambda: producer.send(rows(5)))
        pid = os.fork()
        if pid == 0:
            signal.alarm(round(PATIENCE))  # libzmq may wait for ever for a thread that only the parent has
            os._exit(8 if producer.refused_key else 7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert producer.refused_key
        producer.close()


def test_who_asks_comes_back(tmp_path: Path) -> None:
    with (
        guarded(tmp_path) as (service, door),
        Query(service.sockets.endpoints["query"], keys=door.secret, timeout=PATIENCE) as query,
    ):
        at_once(query.health)
        at_once(query.health)
        door.open(service)

        def answered() -> bool:
            try:
                return query.health().status == "warming"
            except ClientError:
                return False

        until(answered)


def test_who_listens_comes_back(tmp_path: Path) -> None:
    with (
        guarded(tmp_path) as (service, door),
        Subscriber(service.sockets.endpoints["publish"], kinds=["heartbeat"], keys=door.secret) as ears,
    ):
        assert not ears.connected(1.0)
        with pytest.raises(ClientError, match=REFUSED):
            watch(endpoint=ears.endpoint, keys=door.secret, timeout=1.2, seconds=0.0)
        assert ears.refused_key
        assert ears.receive(0.1) is None
        door.open(service)
        assert isinstance(ears.receive(PATIENCE), Heartbeat)
        assert ears.connected(0.0)
        assert not ears.refused_key


def test_a_refused_client_knocks_twice_a_second_at_the_most(tmp_path: Path) -> None:
    with guarded(tmp_path) as (service, door):
        assert service.sockets.doors is not None
        start = time.monotonic()
        with Query(service.sockets.endpoints["query"], keys=door.secret, timeout=PATIENCE) as query:
            for _ in range(200):
                at_once(query.health)
        most = 2 + 2 * (time.monotonic() - start)
        assert sum(service.sockets.doors.refused.values()) <= most


def test_without_keys_nothing_is_refused() -> None:
    with Query("tcp://127.0.0.1:9", timeout=0.05) as query:
        assert not query.refused_key
        with pytest.raises(ClientError, match="no answer within"):
            query.health()
    assert not query.refused_key
