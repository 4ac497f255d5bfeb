"""The golden messages of protocol version 1, built with msgpack and zlib alone.

    python tests/protocol/golden_frames.py        writes those that golden/ lacks

A file that exists is never written again: it stands for what a producer of that version sends for ever.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import msgpack

FOLDER = Path(__file__).parent / "golden"
NAN = float("nan")


def f8(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}d", *values)


def points_f8() -> dict[str, Any]:
    x = f8(1.5, -2.0, 0.25, NAN)
    return {"kind": "points", "v": 1, "source": "meter", "seq": 7, "n": 2, "d": 2, "dtype": "f8", "x": x,
            "t": f8(1.7e9, 1.7e9 + 1), "w": f8(1.0, 0.5), "id": ["first", 2], "features": ["volt", "ampere"],
            "crc": zlib.crc32(x)}


def points_f4() -> dict[str, Any]:
    return {"kind": "points", "v": 1, "n": 1, "d": 3, "dtype": "f4", "x": struct.pack("<3f", 0.5, -1.0, 1e30)}


def events() -> dict[str, Any]:
    return {"kind": "events", "v": 1, "source": "meter", "seq": 0, "rows": [
        {"x": {"volt": 230, "ampere": 0.5}, "t": 1.7e9, "w": 2, "id": "a"},
        {"x": {"ampere": 0.75, "hertz": 50.0}, "t": 1.7e9 + 0.5},
        {"x": {"volt": float("inf")}, "t": 1.7e9 + 1}]}


def query() -> dict[str, Any]:
    return {"kind": "predict", "v": 1, "model": "main", "n": 1, "d": 1, "dtype": "f8", "x": f8(3.0)}


def assignment() -> dict[str, Any]:
    return {"kind": "assignment", "v": 1, "model": "main", "source": "meter", "seq": 7, "offset": 100, "n": 1,
            "generation": 3, "components": [0, 4], "label": struct.pack("<q", 4),
            "p": struct.pack("<2f", 0.25, 0.75), "log_density": f8(-1.5), "outlier": struct.pack("<f", 0.5),
            "id": ["first"]}


def array(shape: list[int], *values: float) -> dict[str, Any]:
    return {"dtype": "<f8", "shape": shape, "data": f8(*values)}


def snapshot() -> dict[str, Any]:
    return {"kind": "snapshot", "v": 1, "model": "main", "pub_seq": 2, "generation": 3, "offset": 100,
            "t": 1.7e9, "family": "diag", "features": ["volt", "ampere"], "components": [4],
            "weights": array([1], 1.0), "means": array([1, 2], 230.0, 0.5),
            "covariances": array([1, 2], 4.0, 0.25),
            "moments": {"mass": array([1], 100.0)}, "basis": {"origin": array([2], 230.0, 0.5)},
            "engine": {"version": "0.1.0", "config": "abc"}}


MESSAGES = {
    "points_f8": points_f8, "points_f4": points_f4, "events": events,
    "query_predict": query, "assignment": assignment, "snapshot": snapshot,
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, build in MESSAGES.items():
        path = FOLDER / f"v1_{name}.bin"
        if not path.exists():
            path.write_bytes(msgpack.packb(build()))


if __name__ == "__main__":
    main()
