"""Messages put together a group at a time are those put together one by one."""

from __future__ import annotations

import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.engine import Assigned, Frames, Plan, Publish, new, step
from stream_mix.mixture import Spec
from stream_mix.ports.publishing import Publisher, encoded
from stream_mix.protocol import (
    Change,
    Heartbeat,
    decode_frame,
    decode_published,
    encode_events,
    encode_points,
    encode_published,
)
from tests.workers.serving import rows


@settings(max_examples=15)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.booleans())
def test_a_group_is_encoded_as_its_messages_are(sizes: list[int], responsibilities: bool) -> None:
    frames = [
        encode_points(
            rows(n, seed=i), source="s" if i % 2 else None, seq=i, id=list(range(n)) if i % 3 else None
        )
        for i, n in enumerate(sizes)
    ]
    two, infinity = b"\xcb@\x00\x00\x00\x00\x00\x00\x00", b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"
    frames.append(encode_events([{"x": {"f0": 1.0}}, {"x": {"f0": 2.0}}]).replace(two, infinity))
    plan = Plan({"m": Spec(n_components=2, family="diag", batch_size=16)}, responsibilities=responsibilities)
    _, effects = step(new(plan), Frames(tuple(map(decode_frame, frames))))
    said = [effect for effect in effects if isinstance(effect, Assigned)]
    bodies = [body for effect in said for body in encoded(effect)]
    assert bodies == [encode_published(message)[1] for effect in said for message in effect.messages()]
    assert len(bodies) == len(sizes) + 1


def test_a_change_of_the_whole_model_reaches_its_reader() -> None:
    change = Change("m", 5, None, "rebased", -1)
    assert decode_published(encode_published(change)) == change


def test_what_nobody_listens_to_is_not_made() -> None:
    context = zmq.Context()
    publish, ears = context.socket(zmq.XPUB), context.socket(zmq.SUB)
    ears.connect(f"tcp://127.0.0.1:{publish.bind_to_random_port('tcp://127.0.0.1')}")
    made: list[int] = []

    def beat() -> Heartbeat:
        made.append(len(made))
        return Heartbeat(len(made), 0, None)

    def endless() -> Heartbeat:
        raise OverflowError("a model at the far end of what is allowed")

    publisher = Publisher(publish, ["m"])
    publisher.tell([Publish("heartbeat", beat), Publish("snapshot/m", endless)])
    assert (made, publisher.count) == ([], 0)
    ears.set(zmq.SUBSCRIBE, b"")
    assert publish.poll(5000)
    publisher.read()
    publisher.tell([Publish("snapshot/m", endless), Publish("heartbeat", beat)])
    assert ears.poll(5000)
    assert decode_published(ears.recv_multipart()) == Heartbeat(1, 0, None)
    assert (made, publisher.count, publisher.unsaid, publisher.newcomers) == ([0], 1, 1, {"m"})
    ears.close(linger=0)
    publish.close(linger=0)
    context.term()
