"""The two blocks of README.md that send rows which must not be lost, against an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from stream_mix.ports.journal import JournalReader
from stream_mix.protocol import decode_frame, encode_points
from tests.test_client_acked import acked, free
from tests.test_readme import TEXT, blocks
from tests.workers.serving import rows, serving, settings


def block(beginning: str) -> str:
    found = [b for b in blocks(TEXT) if b.language == "python" and b.code.startswith(beginning)]
    assert [b.reason is not None and "tests/test_readme_acked.py" in b.reason for b in found] == [True]
    return found[0].code


def frames(count: int) -> list[dict[str, Any]]:
    found = [msgpack.unpackb(encode_points(rows(3, seed=i))) for i in range(count)]
    found[7]["crc"] = 1
    return found


def test_plain_lines_send_everything_once(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(block("import msgpack, zmq"), names)
    to = free()
    journal = {"path": str(tmp_path / "a.journal"), "commit_frames": 16}
    config = settings(ingest={"acked": to, "credit_frames": 5}, journal=journal)
    with serving(config) as service:
        names["send_all"](frames(40)[:20], "plain", to)
        assert service.state.offset == 3 * 19
        names["send_all"](frames(40), "plain", to)
    with JournalReader.open(config.journal.path) as reader:
        assert [frame.seq for frame in reader.frames()] == [seq for seq in range(40) if seq != 7]
        kept = [decode_frame(frame.raw).x for frame in reader.frames()]
    expected = [rows(3, seed=i) for i in range(40) if i != 7]
    np.testing.assert_array_equal(np.concatenate(kept), np.concatenate(expected))


def test_the_producer_of_the_readme(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = free()
    with serving(acked(tmp_path, to=to)) as service:
        code = block("from stream_mix.client import Producer\n\nwith Producer(acked=True")
        exec(code.replace("Producer(acked", f'Producer("{to}", acked'), {})
    assert capsys.readouterr().out == "Unsafe(rows=0, frames=0)\n"
    assert service.state.offset == 1
