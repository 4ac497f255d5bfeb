"""Refused frames are kept within bounds, of number and of bytes, however many come."""

from __future__ import annotations

from pathlib import Path

from stream_mix.client import Producer
from stream_mix.ports.journal import JournalReader
from tests.workers.serving import rows, serving, settings, until

KEPT, SENT = 20, 400


def test_a_flood_of_them_is_counted_and_not_written(tmp_path: Path) -> None:
    journal = {"path": str(tmp_path / "a.journal"), "dead_letters": KEPT}
    with serving(settings(journal=journal)) as service:
        with Producer(service.sockets.endpoints["push"], timeout=20.0) as producer:
            for _ in range(SENT):
                producer.send_raw(b"\xc1" * 100_000)
            producer.send(rows(10))
        until(lambda: service.state.offset == 10 and service.loop.tally.rejected == {"not_msgpack": SENT})
        assert service.state.counters.frames_refused == SENT
    with JournalReader.open(journal["path"]) as reader:
        letters = reader.dead_letters()
    assert len(letters) <= KEPT
    assert all(letter.size == 100_000 and len(letter.raw) <= 4096 for letter in letters)
    size = sum(path.stat().st_size for path in tmp_path.glob("a.journal*"))
    assert size < 6 << 20, "forty megabytes were sent"
