"""Replays a journal, into a fresh engine or a running one: `python -m stream_mix.workers.replay JOURNAL`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_mix.client import KeysLike, Producer
from stream_mix.config import Settings, load
from stream_mix.engine import EngineState, new, state_hash
from stream_mix.mixture import Spec
from stream_mix.ports.journal import JournalFrame, JournalReader
from stream_mix.ports.pacing import Pace, Range, chosen
from stream_mix.ports.replaying import Verdict, paced, plan_for, replay, verify

from .ending import FAILED, OK, ended
from .ending import note as tell


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to: rows and frames, and, where it went into a fresh engine, its state and hash."""

    rows: int
    frames: int
    state: EngineState | None = None
    state_hash: str | None = None


def run(
    journal: str | os.PathLike[str],
    *,
    how: Settings | Spec | None = None,
    to: str | None = None,
    wanted: Range | None = None,
    pace: Pace | None = None,
    loop: int = 1,
    step: Callable[[JournalFrame], bool] | None = None,
    group: int = 256,
    timeout: float = 5.0,
    progress: Callable[[int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    note: Callable[[str], None] = tell,
    keys: KeysLike = None,
) -> Replayed:
    """Replay a range of a journal at a pace.

    - `to`: push endpoint of a running engine, which gets the frames as they were recorded (cut at the ends
      of the range); None replays into a fresh engine in this process, made by `how`, or by the journal's own
      settings.
    - `loop`: how often, 0 without end; only to a running engine, as a fresh one would learn every row again.
    - `step`: asked before each frame; False ends the replay.
    - `progress(rows so far)`; `note` is told where a journal begins whose old rows were dropped.

    Raises ValueError, one line, where the journal cannot be read or the engine not be reached.
    """
    wanted, pace = wanted or Range(), pace or Pace()
    if to is None and loop != 1:
        raise ValueError("replay: loop needs a running engine to replay to")
    if to is not None:
        return _send(journal, to, wanted, pace, loop, step, timeout, progress, sleep, keys)
    plan = plan_for(journal, how)
    state, frames = new(plan), 0
    stepwise = Pace(1e300) if step is not None and pace.fast else pace
    rows = 0
    for now, some, _ in replay(journal, plan, wanted, stepwise, group=group, sleep=sleep, note=note):
        if step is not None and some and not step(some[0]):
            break
        state, frames, rows = now, frames + len(some), rows + sum(frame.n for frame in some)
        if progress is not None:
            progress(rows)
    return Replayed(rows, frames, state, state_hash(state))


def _send(
    journal: str | os.PathLike[str],
    to: str,
    wanted: Range,
    pace: Pace,
    loop: int,
    step: Callable[[JournalFrame], bool] | None,
    timeout: float,
    progress: Callable[[int], None] | None,
    sleep: Callable[[float], None],
    keys: KeysLike,
) -> Replayed:
    rows = frames = done = 0
    with JournalReader.open(journal) as reader, Producer(to, timeout=timeout, keys=keys) as producer:
        while not loop or done < loop:
            before = frames
            for frame in paced(chosen(reader, wanted), pace, sleep=sleep):
                if step is not None and not step(frame):
                    return Replayed(rows, frames)
                producer.send_raw(frame.raw)
                rows, frames = rows + frame.n, frames + 1
                if progress is not None:
                    progress(rows)
            done += 1
            if frames == before:
                break
    return Replayed(rows, frames)


def check(
    journal: str | os.PathLike[str],
    *,
    how: Settings | None = None,
    group: int = 256,
    progress: Callable[[int, int], None] | None = None,
) -> Verdict:
    """Replay the whole journal and compare it with what was published when it was recorded."""
    return verify(journal, how, group=group, progress=progress, note=tell)


def main(argv: Sequence[str] | None = None) -> int:
    """Replay, and say the state hash; 0, 1 where --verify found a difference, 2 where something cannot be
    used."""
    arguments = _parser().parse_args(argv)

    def work() -> int:
        settings = load(arguments.config) if arguments.config else None
        if arguments.verify:
            verdict = check(arguments.journal, how=settings)
            print(verdict.line())
            print(f"state {verdict.state_hash}")
            return OK if verdict.ok else FAILED
        wanted = Range(
            arguments.start, arguments.stop, arguments.since, arguments.until, arguments.last,
            arguments.source, arguments.clock, arguments.limit,
        )  # fmt: skip
        pace = Pace.of(arguments.pace, arguments.max_gap)
        step = _asked if arguments.step else None
        done = run(
            arguments.journal,
            how=settings,
            to=arguments.to,
            wanted=wanted,
            pace=pace,
            loop=arguments.loop,
            step=step,
        )
        print(f"{done.rows} rows replayed in {done.frames} frames")
        if done.state_hash is not None:
            print(f"state {done.state_hash}")
        return OK

    return ended("replay", work)


def _asked(frame: JournalFrame) -> bool:
    """Ask at the terminal; an end of input, or q, ends the replay."""
    print(
        f"frame {frame.id}, offset {frame.offset}, {frame.n} rows [Enter, q] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    line = sys.stdin.readline()
    return bool(line) and line.strip().lower() != "q"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stream_mix.workers.replay", description="Replay a journal."
    )
    parser.add_argument("journal", type=Path)
    parser.add_argument("--config", type=Path, help="settings of the fresh engine, instead of the journal's")
    parser.add_argument("--to", help="push endpoint of a running engine to replay to")
    parser.add_argument("--pace", default="fast", help="fast, original, x2.5 or 1000/s")
    parser.add_argument("--max-gap", type=float, help="longest silence in seconds")
    parser.add_argument("--from", dest="start", type=int, default=0, help="first offset")
    parser.add_argument("--to-offset", dest="stop", type=int, help="offset to stop before")
    parser.add_argument("--since", type=float, help="Unix seconds")
    parser.add_argument("--until", type=float, help="Unix seconds")
    parser.add_argument("--last", type=float, help="only the last so many seconds")
    parser.add_argument("--clock", default="received", choices=("received", "event"))
    parser.add_argument("--source")
    parser.add_argument("--limit", type=int, help="rows")
    parser.add_argument("--loop", type=int, default=1, help="times, 0 without end")
    parser.add_argument("--step", action="store_true", help="ask before each frame")
    parser.add_argument("--verify", action="store_true", help="compare with what was published then")
    return parser


if __name__ == "__main__":
    sys.exit(main())
