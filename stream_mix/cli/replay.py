"""`stream-mix replay`: a recorded stream again, into a fresh model, a running engine, or a comparison."""

from __future__ import annotations

import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .ending import FAILED, OK
from .options import JournalFile, Json, KeysFile, Timeout
from .show import plain, print_json, progress

if TYPE_CHECKING:
    from stream_mix.engine import EngineState
    from stream_mix.ports.journal import JournalFrame
    from stream_mix.ports.pacing import Range
    from stream_mix.workers.replay import Replayed


def replay(
    journal: JournalFile,
    config: Annotated[
        Path | None, typer.Option(help="Learn by this configuration instead of the journal's own.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="Send to this push endpoint instead of learning here.")
    ] = None,
    pace: Annotated[str, typer.Option(help="fast, original, x10 (times as fast) or 1000/s (rows).")] = "fast",
    max_gap: Annotated[float | None, typer.Option(help="Longest silence of the original, seconds.")] = None,
    start: Annotated[int, typer.Option("--from", min=0, help="First offset.")] = 0,
    stop: Annotated[int | None, typer.Option("--to-offset", min=0, help="Offset to stop before.")] = None,
    since: Annotated[str | None, typer.Option(help="From then on: Unix seconds or ISO 8601.")] = None,
    until: Annotated[str | None, typer.Option(help="Before then.")] = None,
    last: Annotated[float | None, typer.Option(min=0.0, help="Only the last so many seconds.")] = None,
    clock: Annotated[
        str, typer.Option(help="Times are when rows were `received`, or of the `event`.")
    ] = "received",
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many rows.")] = None,
    loop: Annotated[int, typer.Option(min=0, help="So many times, 0 without end; needs --to.")] = 1,
    step: Annotated[
        bool, typer.Option("--step", help="Ask before each frame: Enter goes on, q ends.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with what was published when it was recorded.")
    ] = False,
    timeout: Timeout = 5.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Replay a recorded stream. Same journal, same state, whatever the pace.

    Without --to the rows are learned here, by a fresh model as the journal's engine had it, and its state
    hash is printed. The journal is only read.
    """
    from stream_mix.config import load
    from stream_mix.ports.journal import JournalReader
    from stream_mix.ports.pacing import Pace, Range
    from stream_mix.workers import replay as worker

    settings = None if config is None else load(config)
    if clock not in ("received", "event"):
        raise ValueError(f"--clock {clock!r}: expected received or event")
    wanted = Range(
        start, stop, moment("--since", since), moment("--until", until), last, source, clock, limit
    )
    speed = Pace.of(pace, max_gap)
    if to is not None and config is not None:
        raise ValueError("--config says how to learn here: it does not go with --to, an engine with its own")
    if max_gap is not None and speed.factor is None:
        raise ValueError(f"--max-gap shortens silences of the original: it does not go with --pace {pace}")
    with JournalReader.open(journal) as reader:
        total = reader.end().rows
    if verify:
        if to is not None or wanted != Range() or step or loop != 1 or not speed.fast:
            raise ValueError("--verify compares a whole journal: it goes with --config alone")
        with progress("verifying", total) as tell:
            verdict = worker.check(journal, how=settings, progress=tell)
        if json:
            print_json({**plain(verdict), "ok": verdict.ok})
        else:
            print(f"{verdict.line()}\nstate {verdict.state_hash}")
        return OK if verdict.ok else FAILED
    with progress("replaying", total if wanted.whole and loop == 1 and not (limit or stop) else None) as tell:
        done = worker.run(
            journal, how=settings, to=to, wanted=wanted, pace=speed, loop=loop, step=_ask if step else None,
            timeout=timeout, progress=tell, keys=keys,
        )  # fmt: skip
    if not done.frames and not step and (total or wanted != Range()):
        raise ValueError(f"{journal}: nothing matches {_filters(wanted)}; it has {total} rows")
    _print(done, to, json)
    return OK


def _filters(wanted: Range) -> str:
    """The options that choose rows, as they were given."""
    words = {"start": "--from", "stop": "--to-offset"}
    given = [item for item in fields(wanted) if item.name not in ("clock", "limit")]
    told = []
    for item in given:
        value = getattr(wanted, item.name)
        if item.name in ("since", "until") and value is not None:
            value = datetime.fromtimestamp(value, UTC).isoformat()
        if value != item.default:
            told.append(f"{words.get(item.name, f'--{item.name}')} {value}")
    return ", ".join(told)


def _print(done: Replayed, to: str | None, json: bool) -> None:
    """Tell what a replay came to."""
    models = None if done.state is None else _models(done.state)
    if json:
        told = {"rows": done.rows, "frames": done.frames}
        print_json({**told, "state_hash": done.state_hash, "models": models})
        return
    print(f"{done.rows} rows replayed in {done.frames} frames" + (f" to {to}" if to else ""))
    for name, found in (models or {}).items():
        size = f"{found['family']}, {found['components']} components, generation {found['generation']}"
        print(f"{name}: {size}, log likelihood {_short(found['log_likelihood'])}")
    if done.state_hash is not None:
        print(f"state {done.state_hash}")


def moment(option: str, text: str | None) -> float | None:
    """Unix seconds of what a person wrote as a time.

    >>> moment("--since", "1970-01-02")
    86400.0
    """
    from stream_mix.recording.blocks import seconds

    if text is None:
        return None
    try:
        return seconds(text)
    except ValueError:
        expected = "expected Unix seconds or a time such as 2026-01-31T12:00:00Z"
        raise ValueError(f"{option} {text!r}: {expected}") from None


def _models(state: EngineState) -> dict[str, dict[str, Any]]:
    from stream_mix.mixture import health

    return {name: health(learner.border) for name, learner in state.learners.items()}


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _ask(frame: JournalFrame) -> bool:
    """Ask at the terminal; an end of input, or q, ends the replay."""
    where = f"frame {frame.id}, offset {frame.offset}, {frame.n} rows"
    print(f"{where} [Enter, q] ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return bool(line) and line.strip().lower() != "q"
