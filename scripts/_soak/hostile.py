"""Promise 6: hostile input never stops the engine, nor slows those beside it."""

from __future__ import annotations

import random
import socket
import threading
from itertools import pairwise
from urllib.parse import urlsplit

import msgpack
import numpy as np
import psutil
import zmq

from stream_mix.client import Producer, Subscriber
from stream_mix.protocol import DEFAULT_LIMITS, ProtocolError, decode_frame, encode_events, encode_points

from .promise import Figures, Promise, Trial, at_least, at_most
from .running import Running, engine, until

CODEC = 10
"""Frames at the codec for each one through a socket."""
ROWS = 64
MODEL = '[engine]\nfeatures = ["a", "b", "c"]\n[[models]]\nname = "m"\nfamily = "diag"\nn_components = 4\n'
"""Features that are fixed: else frames that are good, and not meant well, could bring any number of them."""


def _seeds(rng: np.random.Generator) -> list[bytes]:
    x = rng.normal(size=(8, 3))
    return [
        encode_points(
            x, source="bad", seq=3, t=np.arange(8.0), w=np.ones(8), id=[*range(8)], features=[*"abc"]
        ),
        encode_points(x.astype(np.float32), source="bad"),
        encode_events(
            [{"x": {"a": 1.0, "b": 2.0}, "t": 3.0, "id": "r"}, {"x": {"a": 4.0}, "t": 3.0, "id": 1}]
        ),
        msgpack.packb({"kind": "points", "v": 1, "n": 2**40, "d": 1, "dtype": "f8", "x": b""}),
        b"\x91" * 3000 + b"\xc0", b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"",
    ]  # fmt: skip


def mutated(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A seed with some of its bytes changed, cut out, doubled, or joined to another's."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0 if at < len(data):
                data[at] = rng.randrange(256)
            case 1:
                del data[at : at + rng.randrange(8)]
            case 2:
                data[at:at] = rng.randbytes(rng.randrange(8))
            case 3:
                data[at:at] = data[at : at + rng.randrange(64)]
            case _:
                data[at:] = rng.choice(seeds)[at:]
    return bytes(data)


def _codec(count: int, rng: random.Random, seeds: list[bytes]) -> Figures:
    """Frames at the codec: each is read or refused, with the one error that there is."""
    crashes = refused = 0
    process = psutil.Process()
    before = 0
    for number in range(count):
        if number == min(count // 10, 10_000):
            before = process.memory_info().rss
        try:
            decode_frame(mutated(rng, seeds), DEFAULT_LIMITS)
        except ProtocolError:
            refused += 1
        except BaseException:
            crashes += 1
    growth = (process.memory_info().rss - before) / 2**20
    told = {"codec_frames": count, "codec_refused": refused, "codec_crashes": crashes}
    return told | {"codec_growth_mb": growth}


def _raw(endpoint: str, rng: random.Random, stop: threading.Event, done: list[int]) -> None:
    """Connections that say garbage, half a greeting, or nothing, and stay."""
    address = (urlsplit(endpoint).hostname, urlsplit(endpoint).port)
    held: list[socket.socket] = []
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    while not stop.wait(0.002):
        try:
            peer = socket.create_connection(address, timeout=1.0)
            said = (rng.randbytes(200), greeting[: rng.randrange(64)], greeting + rng.randbytes(100), b"")
            peer.sendall(rng.choice(said))
            held.append(peer)
        except OSError:
            continue
        done[0] += 1
        if len(held) > 100:
            held.pop(0).close()
    for peer in held:
        peer.close()


def _good(running: Running, stop: threading.Event, sent: list[int]) -> None:
    """A producer like any other: frames in order until it is told to end."""
    x = np.random.default_rng(1).normal(size=(ROWS, 3))
    with Producer(running.endpoints["push"], source="good", timeout=60.0, linger=60.0) as producer:
        while not stop.wait(0.001):
            producer.send(x)
        sent[0] = producer.seq


def _heard(running: Running, stop: threading.Event, seqs: list[int]) -> None:
    with Subscriber(running.endpoints["publish"], kinds=["assignment"], high_water_mark=0) as ears:
        while not stop.is_set():
            message = ears.receive(0.1)
            if message is not None and message.source == "good" and message.n == ROWS:
                seqs.append(message.seq)


def _socket(trial: Trial, rng: random.Random, seeds: list[bytes]) -> Figures:
    quiet = "responsibilities = false\nhigh_water_mark = 1000000\n"
    with engine(trial.folder, MODEL, quiet) as running:
        stop, end, sent, seqs, raw = threading.Event(), threading.Event(), [0], [], [0]
        threads = [
            threading.Thread(target=_good, args=(running, stop, sent)),
            *(
                threading.Thread(target=_raw, args=(where, random.Random(trial.seed), stop, raw))
                for name, where in running.endpoints.items()
                if name != "metrics"
            ),
        ]
        ears = threading.Thread(target=_heard, args=(running, end, seqs))
        for thread in (ears, *threads):
            thread.start()
        try:
            until(lambda: bool(seqs), "the good producer is heard")
            most = _flood(running, trial, rng, seeds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        try:
            until(lambda: seqs[-1] == sent[0] - 1, "the last frame of the good producer is heard")
        finally:
            end.set()
            ears.join()
        # Or more: what says nothing of ZeroMQ's version passes for its first one, garbage for frames.
        until(lambda: sum(_judged(running)) >= sent[0] + trial.size, "every frame is judged")
        _, refused = _judged(running)
    jumps = [b - a for a, b in pairwise(seqs)]
    return {
        "socket_frames": trial.size, "socket_refused": refused, "raw_connections": raw[0],
        "growth_mb": most, "good_frames": sent[0], "good_lost": sum(step - 1 for step in jumps),
    }  # fmt: skip


def _judged(running: Running) -> tuple[float, float]:
    """Frames that the engine took, and that it refused."""
    found = running.metrics()
    refused = sum(value for name, value in found.items() if name.startswith("stream_mix_rejected_total"))
    return found["stream_mix_frames_total"], refused


def _flood(running: Running, trial: Trial, rng: random.Random, seeds: list[bytes]) -> float:
    """Hostile frames through a socket; how much the engine's memory grew after the first tenth, at most."""
    before = most = 0.0
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.set(zmq.LINGER, -1)
        push.connect(running.endpoints["push"])
        for number in range(trial.size):
            frame = mutated(rng, seeds)
            push.send_multipart([frame, frame]) if number % 50 == 0 else push.send(frame)
            if number == trial.size // 10:
                before = running.memory
            if number % 1000 == 999 or number == trial.size - 1:
                most = max(most, running.memory - before) if before else 0.0
            if number % 100_000 == 99_999:
                trial.say(f"{number + 1:,} hostile frames, engine {running.memory:.0f} MiB")
    return most


def trial(trial: Trial) -> Figures:
    """Mutated frames at the codec, then through a socket beside a good producer and raw connections."""
    rng, seeds = random.Random(trial.seed), _seeds(np.random.default_rng(trial.seed))
    figures = _codec(CODEC * trial.size, rng, seeds)
    trial.say(f"codec: {figures['codec_frames']:,.0f} frames, {figures['codec_crashes']:.0f} crashes")
    return figures | _socket(trial, rng, seeds)


def broken(figures: Figures) -> list[str]:
    """What was not kept."""
    most = {"codec_crashes": 0, "codec_growth_mb": 50, "growth_mb": 50, "good_lost": 0}
    return at_most(figures, most) + at_least(figures, {"good_frames": 10, "raw_connections": 10})


PROMISE = Promise(
    6, "hostile", "hostile input never stops or slows it", "frames through a socket, ten times as many read",
    1_000_000, 2_000, trial, broken,
)  # fmt: skip
