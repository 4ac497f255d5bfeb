"""Sends a file of rows into a running engine: `python -m stream_mix.workers.feed FILE`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from stream_mix.client import KeysLike, Producer
from stream_mix.keys import Keys, read_secret
from stream_mix.recording import Block, Refusal, read_rows

from .ending import OK, ended


@dataclass(frozen=True, slots=True)
class Fed:
    """What was sent: rows and frames, and rows of the file that were left out.

    `durability` is what the engine said of all of it in its last ack, None where nothing is acknowledged, and
    `known` counts frames that it had had before.
    """

    rows: int
    frames: int
    refused: int
    durability: str | None = None
    known: int = 0


def run(
    file: str | os.PathLike[str],
    *,
    endpoint: str | None = None,
    acked: bool = False,
    resume: bool = False,
    source: str | None = None,
    format: str | None = None,
    time_column: str | None = None,
    weight: str | None = None,
    id: str | None = None,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    delimiter: str | None = None,
    batch_rows: int = 256,
    rows_per_second: float | None = None,
    limit: int | None = None,
    timeout: float = 5.0,
    stdin: BinaryIO | None = None,
    on_refused: Callable[[Refusal], None] | None = None,
    progress: Callable[[int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
    keys: KeysLike = None,
) -> Fed:
    """Send the rows of a table, in order, in frames of up to `batch_rows`.

    `file` and the columns are those of `stream_mix.recording.read_rows`; "-" is standard input, whose rows
    leave as they come. Rows that no engine would accept go to `on_refused`. `progress(rows sent so far)`.

    `acked` returns when the engine has said that all rows are durable, and the endpoint is another; `resume`
    counts frames from the file's first one, so that those that the engine has of this source are passed over.
    Raises ValueError, one line, where the file is no table, no engine takes the rows, or they are not safe.
    """
    refused = 0

    def count(refusal: Refusal) -> None:
        nonlocal refused
        refused += 1
        if on_refused is not None:
            on_refused(refusal)

    if batch_rows < 1 or (rows_per_second is not None and not rows_per_second > 0):
        raise ValueError(
            f"feed: batch_rows {batch_rows} and rows per second {rows_per_second}, expected more than 0"
        )
    if resume and not acked:
        raise ValueError("feed: resume needs acked: nobody else knows what an engine has")
    blocks = read_rows(
        file, format, time=time_column, weight=weight, id=id, columns=columns, drop=drop, delimiter=delimiter,
        block=batch_rows, on_refused=count, stdin=stdin,
    )  # fmt: skip
    name = source or _name(file, keys, acked)
    how = {"acked": True, "linger": timeout, "start_seq": 0 if resume else None} if acked else {}
    with Producer(endpoint, source=name, timeout=timeout, keys=keys, **how) as producer:  # type: ignore[arg-type]  # as named
        for block in _paced(_limited(blocks, limit), rows_per_second, sleep):
            producer.features = block.features
            producer.send(block.x, t=block.t, w=block.w, id=block.id)
            if progress is not None:
                progress(producer.rows_sent)
        durability = known = None
        if acked and producer.rows_sent:
            producer.wait()
            durability, known = producer.durability, producer.known
        rows, frames = producer.rows_sent, producer.frames_sent
    if not rows:
        why = f"all {refused} were left out" if refused else "it holds none"
        name = "standard input" if os.fspath(file) == "-" else os.fspath(file)
        raise ValueError(f"{name}: no row to send, {why}")
    return Fed(rows, frames, refused, durability, known or 0)


def _name(file: str | os.PathLike[str], keys: KeysLike, acked: bool) -> str:
    """What to call this source: the file, and, where each run counts its frames from 0, the process behind
    it. With keys it is one that they may speak for."""
    name = "stdin" if os.fspath(file) == "-" else os.path.basename(os.fspath(file))
    pair = keys if keys is None or isinstance(keys, Keys) else read_secret(keys)
    whose = "" if pair is None else f"{pair.name}/"
    return f"{whose}{name[:100]}{'' if acked else f'-{os.getpid()}'}"


def _limited(blocks: Iterable[Block], limit: int | None) -> Iterator[Block]:
    left = limit
    for block in blocks:
        if left is None:
            yield block
            continue
        n = min(left, len(block.x))
        if n:
            t, w = (None if column is None else column[:n] for column in (block.t, block.w))
            yield Block(block.features, block.x[:n], t, w, None if block.id is None else block.id[:n])
        left -= n
        if left <= 0:
            return


def _paced(
    blocks: Iterable[Block], rows_per_second: float | None, sleep: Callable[[float], None]
) -> Iterator[Block]:
    start, rows = time.monotonic(), 0
    for block in blocks:
        if rows_per_second is not None and (wait := start + rows / rows_per_second - time.monotonic()) > 0:
            sleep(wait)
        rows += len(block.x)
        yield block


def main(argv: Sequence[str] | None = None) -> int:
    """Send, and say how much; 0, or 2 where the file or the engine could not be used."""
    parser = argparse.ArgumentParser(
        prog="python -m stream_mix.workers.feed", description="Send a file of rows."
    )
    parser.add_argument("file", help="CSV, JSON lines or Parquet; - is standard input")
    parser.add_argument("--endpoint")
    parser.add_argument("--acked", action="store_true")
    parser.add_argument("--source")
    parser.add_argument("--format")
    parser.add_argument("--batch-rows", type=int, default=256)
    parser.add_argument("--rows-per-second", type=float)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args(argv)

    def work() -> int:
        fed = run(
            arguments.file, endpoint=arguments.endpoint, acked=arguments.acked, source=arguments.source,
            format=arguments.format, batch_rows=arguments.batch_rows,
            rows_per_second=arguments.rows_per_second, limit=arguments.limit,
            on_refused=lambda refusal: print(f"feed: left out: {refusal}", file=sys.stderr),
        )  # fmt: skip
        print(f"{fed.rows} rows sent in {fed.frames} frames, {fed.refused} left out")
        return OK

    return ended("feed", work)


if __name__ == "__main__":
    sys.exit(main())
