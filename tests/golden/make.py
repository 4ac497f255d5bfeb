"""The golden journals of the present format, as a small engine keeps them.

    python -m tests.golden.make        writes those that this folder lacks

A file that exists is never written again: it stands for what an engine of that release left behind, and every
later release opens it. `closed` was closed cleanly; `killed` still has its log beside it.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

from stream_mix.config import Settings
from stream_mix.engine import Done, EngineState, Refusal, new
from stream_mix.ports.folding import folded, outputs_of, pack_engine, plan_of
from stream_mix.ports.journal import FORMAT, Journal, JournalFrame, JournalReader
from stream_mix.protocol import encode_events, encode_points

FOLDER = Path(__file__).parent
KINDS = ("closed", "killed")
SETTINGS = Settings(
    models=[{"name": "mixture", "n_components": 3, "family": "full", "batch_size": 32},
            {"name": "kmeans", "n_components": 3, "family": "kmeans", "batch_size": 32}]
)  # fmt: skip


def frames() -> list[JournalFrame]:
    """Twenty frames of both forms, with times, weights, ids, names and missing values."""
    rng = np.random.default_rng(7)
    kept: list[JournalFrame] = []
    offset = 0
    for i in range(20):
        n = 8 + i
        x = rng.normal(size=(n, 2)) + 9.0 * rng.integers(0, 3, (n, 1))
        x[:: 5 + i % 3, i % 2] = np.nan
        t = 1.7e9 + 60.0 * i + np.arange(n) / n
        if i % 4 == 3:
            rows = [{"x": {"a": row[0], "b": row[1]}, "t": when} for row, when in zip(x, t, strict=True)]
            raw = encode_events(
                [{**row, "x": {k: v for k, v in row["x"].items() if v == v}} for row in rows],
                source="events", seq=i // 4,
            )  # fmt: skip
            source, seq = "events", i // 4
        else:
            source, seq = "meter", i
            w = np.full(n, 0.5 + i % 2)
            raw = encode_points(x, source=source, seq=seq, features=["a", "b"], t=t, w=w)
        kept.append(JournalFrame(i, offset, n, source, seq, 1.7e9 + i, float(t[0]), float(t[-1]), raw))
        offset += n
    return kept


def write(path: Path) -> EngineState:
    """Keep the frames as an engine does: groups, outputs, checkpoints, dead letters, how far a source is."""
    state = new(plan_of(SETTINGS))
    with Journal.open(path, meta={"settings": SETTINGS.text(), "stream_mix": "golden"}) as journal:
        every = frames()
        for i in range(0, len(every), 4):
            group = every[i : i + 4]
            state, effects = folded(state, group, str(path))
            journal.append(group)
            journal.outputs(outputs_of(effects, group[0].id))
            if i in (8, 12):
                journal.checkpoint(state.offset, pack_engine(state))
            journal.dead_letter(1.7e9 + i, "meter", "crc", "x: does not match its check sum", b"\x00%d" % i)
            journal.sources({"counted": Done(i, (Refusal(i, "crc", "x: does not match its check sum"),))})
            journal.commit()
        if path.stem == "killed":
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{path}{suffix}.kept")
    return state


def told(path: Path) -> dict[str, object]:
    """What a journal holds, in words that need no journal: the bytes by their check sums."""
    with JournalReader.open(path) as reader:
        return {
            "frames": [[*frame[:8], zlib.crc32(frame.raw)] for frame in reader.frames()],
            "checkpoints": [found.offset for found in reader.checkpoints()],
            "outputs": [
                [*output[:3], zlib.crc32(output.labels.tobytes()), zlib.crc32(output.log_density.tobytes())]
                for output in reader.outputs()
            ],
            "dead_letters": [[x.id, x.received, x.source, x.code, x.reason] for x in reader.dead_letters()],
            "meta": sorted(reader.meta),
            "sources": {
                name: [done.seq, [list(one) for one in done.refused]]
                for name, done in reader.sources().items()
            },
        }


def main() -> int:
    """Write what is not there."""
    for kind in KINDS:
        name = f"v{FORMAT}_{kind}"
        if (FOLDER / f"{name}.json").exists():
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{kind}.journal"
            write(path)
            (FOLDER / f"{name}.json").write_text(json.dumps(told(path), indent=None) + "\n")
            suffix = ".kept" if kind == "killed" else ""
            for beside in ("", "-wal"):
                data = Path(f"{path}{beside}{suffix}").read_bytes()
                if data:
                    (FOLDER / f"{name}.db{beside}.gz").write_bytes(gzip.compress(data, mtime=0))
    return 0


def unpacked(name: str, folder: Path) -> Path:
    """A copy of a golden journal, with its log where it has one; the kept file is never opened itself."""
    path = folder / f"{name}.db"
    for beside in ("", "-wal"):
        packed = FOLDER / f"{name}.db{beside}.gz"
        if packed.exists():
            Path(f"{path}{beside}").write_bytes(gzip.decompress(packed.read_bytes()))
    return path


if __name__ == "__main__":
    sys.exit(main())
