"""Journalled frames are folded again as the engine that took them folded them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_mix.engine import Event, Frames, state_hash, step
from stream_mix.ports.folding import plan_of, recover
from stream_mix.ports.journal import Journal, JournalError, JournalFrame
from stream_mix.ports.replaying import verify
from stream_mix.protocol import Frame, encode_points
from tests.workers.serving import rows, settings

N, COUNT = 50, 7


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A journal of seven frames, which one group holds."""
    name = tmp_path / "a.journal"
    with Journal.open(name, meta={"settings": settings().text()}) as journal:
        journal.append(
            JournalFrame(i, N * i, N, "s", i, 0.0, None, None, encode_points(rows(N, i), source="s", seq=i))
            for i in range(COUNT)
        )
    return str(name)


def raising(
    monkeypatch: pytest.MonkeyPatch, raises: Callable[[tuple[Frame, ...]], bool], error: Exception
) -> None:
    """Let the fold of journalled frames raise for some groups of them."""

    def broken(state: Any, event: Event) -> Any:
        if isinstance(event, Frames) and raises(event.frames):
            raise error
        return step(state, event)

    monkeypatch.setattr("stream_mix.ports.folding.step", broken)


@pytest.mark.parametrize("error", [ValueError("shapes differ"), MemoryError()])
def test_frames_that_raise_together_are_folded_alone(
    path: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    plan = plan_of(settings())
    sound = state_hash(recover(path, plan).state)
    raising(monkeypatch, lambda frames: len(frames) > 1, error)
    found = recover(path, plan)
    assert (state_hash(found.state), found.frames) == (sound, COUNT)
    assert verify(path).state_hash == sound


@pytest.mark.parametrize("error", [IndexError("index 7 is out\nof bounds"), MemoryError()])
def test_one_that_raises_alone_is_named(
    path: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    raising(monkeypatch, lambda frames: any(frame.seq == 3 for frame in frames), error)
    said = f"{type(error).__name__}: {error}".replace("\n", " ").removesuffix(": ")
    with pytest.raises(JournalError) as raised:
        recover(path, plan_of(settings()))
    assert raised.value.offset == 3 * N
    assert raised.value.reason == f"frame 3 cannot be learned ({said})"
    assert raised.value.__cause__ is error
