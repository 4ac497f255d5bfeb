"""Messages put together a group at a time are those put together one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.engine import Assigned, Frames, Plan, new, step
from stream_mix.mixture import Spec
from stream_mix.ports.publishing import encoded
from stream_mix.protocol import (
    Change,
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
