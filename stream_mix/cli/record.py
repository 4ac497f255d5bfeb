"""`stream-mix record`: a stream into a journal, with no model in between."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .ending import OK
from .options import PUSH, Json
from .show import print_json, progress

if TYPE_CHECKING:
    from stream_mix.ports.journal import Journal
    from stream_mix.ports.sockets import Sockets
    from stream_mix.protocol import Limits

GROUP_SECONDS, GROUP_FRAMES, GROUP_BYTES = 0.005, 512, 4 << 20
"""Bounds of what is committed together."""
IDLE_MS = 50
LAST_SECONDS = 0.5
"""How long the end goes on taking what had arrived."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def record(
    out: Annotated[
        Path, typer.Argument(metavar="JOURNAL", help="Made where it is not there, else added to.")
    ],
    push: Annotated[
        str | None, typer.Option(help=f"Bind here for producers; {PUSH} where nothing is said.")
    ] = None,
    subscribe: Annotated[
        list[str] | None, typer.Option(help="Connect to this PUB feed; may be given several times.")
    ] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Prefix of the feed's topics to take; by default all.")
    ] = None,
    durability: Annotated[
        str,
        typer.Option(
            help="What a commit survives: fsync a power cut, os the end of the process, off neither."
        ),
    ] = "fsync",
    seconds: Annotated[
        float | None, typer.Option(min=0.0, help="Stop after so long; by default at Ctrl-C.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Stop after the frame that makes it so many rows.")
    ] = None,
    json: Json = False,
) -> int:
    """Record a stream into a journal without learning from it; `replay --config` learns from it later.

    Frames that are none are kept as dead letters with the reason. Ctrl-C and SIGTERM end it, cleanly and with
    exit code 0, when all that came in is committed.
    """
    from stream_mix import __version__
    from stream_mix.config import from_text
    from stream_mix.ports.journal import Journal
    from stream_mix.ports.sockets import open_sockets

    settings = from_text(_settings(push, subscribe or [], topic or [""], durability), "record")
    tally = {"rows": 0, "frames": 0, "refused": 0}
    stopping: list[int] = []
    before = {number: signal.signal(number, lambda n, _: stopping.append(n)) for number in SIGNALS}
    try:
        with (
            closing(open_sockets(settings)) as sockets,
            Journal.open(out, durability=durability, meta={"stream_mix": __version__}) as journal,
        ):
            where = [f"{key} {endpoint}" for key, endpoint in sockets.endpoints.items()]
            where += [f"subscribe {endpoint}" for endpoint in subscribe or []]
            print(f"recording {', '.join(where)} to {out}", file=sys.stderr, flush=True)
            until = None if seconds is None else time.monotonic() + seconds
            _take_all(sockets, journal, settings.limits.limits(), tally, rows, lambda: _over(stopping, until))
            journal.commit()
            offset = journal.next_offset
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if json:
        print_json({**tally, "offset": offset})
    else:
        said = f"{tally['rows']} rows in {tally['frames']} frames recorded"
        print(f"{said}, {tally['refused']} frames refused; offset {offset}", flush=True)
    return OK


def _over(stopping: list[int], until: float | None) -> bool:
    return bool(stopping) or (until is not None and time.monotonic() >= until)


def _settings(push: str | None, subscribe: list[str], topics: list[str], durability: str) -> str:
    """Settings of an engine with the sockets asked for and no others; they are checked as a file's are."""
    from json import dumps

    if push is None:
        push = "" if subscribe else PUSH
    return dumps(
        {
            "ingest": {"push": push, "acked": "", "subscribe": subscribe, "topics": topics},
            "publish": {"bind": ""},
            "query": {"bind": ""},
            "metrics": {"bind": ""},
            "journal": {"durability": durability},
        }
    )


def _take_all(
    sockets: Sockets,
    journal: Journal,
    limits: Limits,
    tally: dict[str, int],
    rows: int | None,
    over: Callable[[], bool],
) -> None:
    """Take groups of frames and commit each, until it is time to end; then what had arrived before."""
    import zmq

    poller = zmq.Poller()
    for socket in sockets.ingest:
        poller.register(socket, zmq.POLLIN)
    end: float | None = None
    with progress("recording", rows) as tell:
        while rows is None or tally["rows"] < rows:
            if end is None and over():
                end = time.monotonic() + LAST_SECONDS
            ready = poller.poll(IDLE_MS if end is None else 0)
            for socket, _ in ready:
                _take_group(sockets, socket, journal, limits, tally, rows)
            journal.commit()
            tell(tally["rows"])
            if end is not None and (not ready or time.monotonic() > end):
                return


def _take_group(
    sockets: Sockets, socket: Any, journal: Journal, limits: Limits, tally: dict[str, int], rows: int | None
) -> None:
    from stream_mix.ports.journal import JournalFrame
    from stream_mix.ports.sockets import from_feed, received
    from stream_mix.protocol import ProtocolError, decode_frame

    receive = from_feed if socket is sockets.feed else received
    until, size = time.monotonic() + GROUP_SECONDS, 0
    for _ in range(GROUP_FRAMES):
        if size > GROUP_BYTES or time.monotonic() > until or (rows is not None and tally["rows"] >= rows):
            return
        message = receive(socket)
        if message is None:
            return
        raw, multipart = message
        size += len(raw)
        now = time.time()
        try:
            if multipart:
                raise ProtocolError("multipart", "message: expected one part, got several")
            frame = decode_frame(raw, limits)
        except ProtocolError as error:
            journal.dead_letter(now, None, error.code, error.reason, raw)
            tally["refused"] += 1
            continue
        low, high = (None, None) if frame.t is None else (float(frame.t.min()), float(frame.t.max()))
        place = (journal.next_id, journal.next_offset, frame.n)
        journal.append([JournalFrame(*place, frame.source, frame.seq, now, low, high, raw)])
        tally["rows"] += frame.n
        tally["frames"] += 1
