"""What a model raises is the end of one frame, never of the engine, and never goes by in silence."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_mix.client import ClientError, Producer
from stream_mix.engine import Effect, Frames, Refuse, state_hash
from stream_mix.ports.group import Group
from stream_mix.ports.journal import JournalReader
from stream_mix.ports.learning import Learning
from stream_mix.ports.replaying import replay_into_model
from stream_mix.ports.service import Service
from stream_mix.protocol import Frame, decode_frame, encode_points
from tests.workers.serving import LOCAL, rows, serving, settings, until

KINDS = [ValueError, FloatingPointError, IndexError, TypeError, AssertionError, RuntimeError]


def group_of(*seqs: int) -> Group:
    """Frames of these numbers, as they come from an acked socket."""
    group = Group()
    for seq in seqs:
        raw = encode_points(rows(2, seed=seq), source="s", seq=seq)
        group.add(decode_frame(raw), raw, seq)
    return group


class Fold:
    """A fold that raises where a frame of a number is among others, or only where there are several."""

    def __init__(
        self, raises: Callable[[tuple[Frame, ...]], bool], kind: type[Exception] = ValueError
    ) -> None:
        self.raises, self.kind = raises, kind
        self.learned: list[int | None] = []

    def __call__(self, event: Frames) -> list[Effect]:
        if self.raises(event.frames):
            raise self.kind("shapes (3,4) and (5,)\n do not go together")
        self.learned += [frame.seq for frame in event.frames]
        return []


@pytest.mark.parametrize("kind", KINDS)
def test_one_frame_that_raises_is_refused_alone_counted_and_told(kind: type[Exception]) -> None:
    fold = Fold(lambda frames: any(frame.seq == 2 for frame in frames), kind)
    learning, lines, group = Learning(fold, lambda: 0.0, lambda: False), list[str](), group_of(1, 2, 3)
    learning.tell = lines.append
    (refused,) = learning.fold(group)
    assert isinstance(refused, Refuse)
    said = f"{kind.__name__}: shapes (3,4) and (5,) do not go together"
    assert (refused.index, refused.code, refused.reason) == (1, "value", f"frame: cannot be learned ({said})")
    assert fold.learned == [1, 3]
    assert (group.acked, [letter.seq for letter in group.letters]) == ([1, 3], [2])
    assert (learning.unlearned, learning.unsteady) == ({kind.__name__: 1}, 0)
    (line,) = lines
    assert line.startswith(
        f"learning: frame 2 of 's' is refused, as a model raised {said} at test_learning.py:"
    )


def test_a_group_that_raises_though_none_of_its_frames_does_is_learned_and_told() -> None:
    fold = Fold(lambda frames: len(frames) > 1)
    learning, lines, group = Learning(fold, lambda: 0.0, lambda: False), list[str](), group_of(1, 2, 3)
    learning.tell = lines.append
    assert learning.fold(group) == []
    assert (fold.learned, group.letters) == ([1, 2, 3], [])
    assert (learning.unlearned, learning.unsteady) == ({}, 1)
    assert lines == [
        "learning: 3 frames raised ValueError: shapes (3,4) and (5,) do not go together together,"
        " and none did alone"
    ]


def test_lines_are_bounded_and_counts_are_not() -> None:
    now = [0.0]
    learning, lines = Learning(Fold(lambda frames: True), lambda: now[0], lambda: False), list[str]()
    learning.tell = lines.append
    for now[0] in (0.0, 0.5, 0.9, 1.0, 1.5):
        learning.fold(group_of(*range(10)))
    assert learning.unlearned == {"ValueError": 50}
    assert [line.rsplit("(", 1)[1] for line in lines] == ["1 so far)", "31 so far)"]


def test_the_first_line_is_said_whatever_the_clock_shows() -> None:
    # Of this number is left, one second taken off and added again, more than it was.
    now = 1.5 * 2.0**-53
    assert now - 1.0 + 1.0 > now
    learning, lines = Learning(Fold(lambda frames: True), lambda: now, lambda: False), list[str]()
    learning.tell = lines.append
    learning.fold(group_of(1))
    assert len(lines) == 1


def test_where_memory_is_gone_nothing_is_refused() -> None:
    fold = Fold(lambda frames: any(frame.seq == 2 for frame in frames), MemoryError)
    learning, group = Learning(fold, lambda: 0.0, lambda: True), group_of(1, 2, 3)
    with pytest.raises(MemoryError):
        learning.fold(group)
    assert (len(group.frames), group.letters, learning.unlearned) == (3, [], {})


def test_a_frame_that_asks_for_more_memory_than_there_can_be_is_refused_alone() -> None:
    held: list[int] = []

    def greedy(event: Frames) -> list[Effect]:
        made = Made(held)
        if any(frame.seq == 2 for frame in event.frames):
            np.empty(1 << 50)
        del made
        return []

    def gone() -> bool:
        assert not held, "what the frame had made is let go of before memory is looked at"
        return False

    learning, group = Learning(greedy, lambda: 0.0, gone), group_of(1, 2, 3)
    (refused,) = learning.fold(group)
    assert isinstance(refused, Refuse)
    assert (refused.index, refused.code) == (1, "value")
    assert "Unable to allocate" in refused.reason
    assert (group.acked, [letter.seq for letter in group.letters]) == ([1, 3], [2])
    assert (sum(learning.unlearned.values()), learning.unsteady) == (1, 0)


class Made:
    """Memory of a step, in the list for as long as somebody holds it."""

    def __init__(self, held: list[int]) -> None:
        self._held = held
        held.append(1)

    def __del__(self) -> None:
        self._held.pop()


def test_a_group_too_large_for_the_memory_is_learned_frame_by_frame() -> None:
    fold = Fold(lambda frames: len(frames) > 1, MemoryError)
    learning, group = Learning(fold, lambda: 0.0, lambda: True), group_of(1, 2, 3)
    assert learning.fold(group) == []
    assert (fold.learned, group.letters, learning.unsteady) == ([1, 2, 3], [], 1)


def test_a_frame_that_raises_is_told_to_its_producer_the_log_and_the_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(
        ingest={"acked": LOCAL},
        journal={"path": str(tmp_path / "a.journal")},
        metrics={"bind": "127.0.0.1:0"},
    )
    with serving(config) as service:
        lines = list[str]()
        service.loop.learning.tell = lines.append
        failing(service, seq=1, monkeypatch=monkeypatch)
        producer = Producer(service.sockets.endpoints["acked"], acked=True, source="s", batch_rows=5)
        for seq in range(3):
            producer.send(rows(5, seed=seq))
        with pytest.raises(
            ClientError, match=r"1 frame refused, the last: frame: cannot be learned \(IndexError"
        ):
            producer.wait()
        producer.close()
        assert [nack.seq for nack in producer.refused] == [1]
        assert service.metrics is not None
        url = f"{service.metrics.url}/metrics"
        until(
            lambda: b'unlearned_total{error="IndexError"} 1' in urllib.request.urlopen(url, timeout=5).read()
        )
        assert len(lines) == 1
    # What was refused is in no state and not in the journal: it leads to where the engine is.
    with JournalReader.open(config.journal.path) as reader:
        assert [frame.seq for frame in reader.frames()] == [0, 2]
        assert [letter.code for letter in reader.dead_letters()] == ["value"]
    assert state_hash(replay_into_model(config.journal.path)) == state_hash(service.state)


def failing(service: Service, seq: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fold of a running engine raise where it is given a frame of this number."""
    step = service.loop.learning._step

    def broken(event: Frames) -> Any:
        if any(frame.seq == seq for frame in event.frames):
            raise IndexError("index 7 is out of bounds")
        return step(event)

    monkeypatch.setattr(service.loop.learning, "_step", broken)
