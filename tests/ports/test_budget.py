"""A budget shortens queues, drops what was pushed when nothing else helps, and takes it again."""

from __future__ import annotations

import zmq
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.client import Producer
from stream_mix.ports.budget import SHORTEST, Budget
from stream_mix.ports.service import Service
from tests.workers.serving import rows, settings, until

MIB = 1 << 20


@given(st.lists(st.integers(0, 1500), min_size=1, max_size=30))
def test_marks_follow_the_memory_down_and_never_up(levels: list[int]) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.set(zmq.RCVHWM, 1000)
        used = [100 * MIB]
        said: list[str] = []
        budget = Budget(1100 * MIB, [(socket, zmq.RCVHWM, 1000)], lambda: used[-1])
        budget.tell = said.append
        before = 1000
        for turn, level in enumerate(levels):
            used.append((100 + level) * MIB)
            budget.turn(float(turn))
            mark = socket.get(zmq.RCVHWM)
            assert SHORTEST <= mark <= before
            assert (mark == 1000) == (max(levels[: turn + 1]) <= 500 + 1000 / 48)
            assert not (budget.over and level < 800)
            assert budget.over or level < 900
            before = mark
        used.append(100 * MIB)
        budget.turn(1e9)
        assert not budget.over
        assert len(said) % 2 == 0


def test_a_short_mark_stays_what_it_is() -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.set(zmq.RCVHWM, 2)
        used = [0, 10 * MIB * MIB]
        budget = Budget(1 << 30, [(socket, zmq.RCVHWM, 2)], lambda: used.pop(0) if len(used) > 1 else used[0])
        budget.turn(0.0)
        assert (socket.get(zmq.RCVHWM), budget.over) == (2, True)


def test_frames_are_dropped_and_counted_while_there_is_no_room() -> None:
    with Service(settings()) as service, Producer(service.sockets.endpoints["push"]) as producer:
        budget = service.loop.budget
        full = [True]
        budget._used = lambda: budget._base + (budget.total if full else 0)
        budget.turn(1e6)
        assert budget.over
        for _ in range(50):
            producer.send(rows(10))
        until(lambda: budget.dropped == 50 or service.loop._turn())  # type: ignore[func-returns-value]  # None
        assert service.state.offset == 0
        full.clear()
        budget.turn(2e6)
        producer.send(rows(10))
        until(lambda: service.state.offset == 10 or service.loop._turn())  # type: ignore[func-returns-value]  # None
        assert budget.dropped == 50


def test_memory_is_gone_where_the_budget_is_used_or_the_system_has_no_more() -> None:
    used, most = [0], [1 << 40]

    def take(size: int) -> None:
        if size > most[0]:
            raise MemoryError

    budget = Budget(1000 * MIB, [], lambda: used[0], take)
    assert not budget.spent()
    used[0] = 950 * MIB
    assert budget.spent(), "it is looked at anew"
    used[0] = 0
    assert not budget.spent()
    most[0] = 1 << 10
    assert budget.spent()
