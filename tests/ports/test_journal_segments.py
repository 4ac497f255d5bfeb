"""Old segments are dropped whole, the journal begins later, and a fold takes it up from a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_mix.config import Settings
from stream_mix.engine import new, state_hash
from stream_mix.ports.folding import folded, grouped, outputs_of, pack_engine, plan_of, recover
from stream_mix.ports.journal import Journal, JournalError, JournalFrame, JournalReader, Output, Retention
from stream_mix.ports.pacing import Range, chosen
from stream_mix.ports.replaying import replay_into_model, verify
from stream_mix.protocol import encode_points
from stream_mix.recording import export, iter_rows
from tests.golden.make import unpacked
from tests.workers.serving import rows, settings

SMALL = Retention(segment_bytes=1000, keep_bytes=3000)
BYTES = 100


def frame(i: int) -> JournalFrame:
    return JournalFrame(i, 2 * i, 2, "s", i, 1000.0 + i, None, None, b"%d" % (i % 10) * BYTES)


def keep(journal: Journal, count: int, group: int = 2, *, checkpoint_every: int = 10) -> None:
    """Frames with outputs, and checkpoints now and then, one commit to a group."""
    for _ in range(count // group):
        first = journal.next_id
        journal.append([frame(i) for i in range(first, first + group)])
        journal.outputs([Output(first, "m", 0, np.zeros(1, np.int32), np.zeros(1, np.float32))])
        if journal.next_id % checkpoint_every == 0:
            journal.checkpoint(journal.next_offset, b"at %d" % journal.next_offset)
        journal.commit()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j"


def test_a_bounded_journal_keeps_what_it_was_told_and_stops_growing(path: Path) -> None:
    sizes = []
    with Journal.open(path, durability="off", retention=SMALL) as journal, JournalReader.open(path) as reader:
        for _ in range(40):
            keep(journal, 100)
            info = reader.info()
            kept = (info.rows - info.begins) // 2
            # At least what was asked for; at most one segment, and what the checkpoints need, more.
            assert SMALL.keep_bytes is not None
            assert SMALL.keep_bytes <= kept * (BYTES + 4) <= SMALL.keep_bytes + 2000 + 30 * (BYTES + 4)
            assert info.begins <= min(info.checkpoints)
            assert reader.verify().ok
            sizes.append(info.bytes)
        assert [f.id for f in reader.frames()] == list(range(info.begins // 2, 4000))
        assert next(x.frame for x in reader.outputs()) == info.begins // 2
        count = journal._db.execute("SELECT count(*) FROM frame").fetchone()[0]
        assert count == kept
    assert max(sizes[20:]) == max(sizes[:20])


def test_no_limit_keeps_everything_and_so_does_a_journal_without_checkpoints(path: Path) -> None:
    with Journal.open(path, durability="off", retention=Retention(segment_bytes=1000)) as journal:
        keep(journal, 200)
    with Journal.open(path, durability="off", retention=Retention(1000, keep_bytes=1)) as journal:
        journal._db.execute("DELETE FROM checkpoint")
        keep(journal, 200, checkpoint_every=10**9)
    with JournalReader.open(path) as reader:
        assert reader.info().begins == 0
        assert reader.info().segments > 20
        assert len(list(reader.frames())) == 400


def test_nothing_after_the_oldest_checkpoint_is_dropped_and_a_damaged_one_keeps_all(path: Path) -> None:
    retention = Retention(1000, keep_bytes=1)
    with Journal.open(path, durability="off", retention=retention, keep_checkpoints=2) as journal:
        keep(journal, 200, checkpoint_every=50)
        with JournalReader.open(path) as reader:
            assert reader.info().checkpoints == (400, 300)
            begins = reader.info().begins
            assert 280 <= begins <= 300
        journal._db.execute("UPDATE checkpoint SET blob=x'00' WHERE offset=400")
        keep(journal, 98, checkpoint_every=50)
        with JournalReader.open(path) as reader:
            assert reader.info().checkpoints == (500, 400)
            assert reader.info().begins == begins


def test_age_drops_what_is_older_than_the_newest_by_so_much(path: Path) -> None:
    retention = Retention(1000, keep_seconds=50.0)
    with Journal.open(path, durability="off", retention=retention, keep_checkpoints=1) as journal:
        keep(journal, 200)
    with JournalReader.open(path) as reader:
        begins = reader.info().begins // 2
        first = next(reader.frames())
        assert first.id == begins
        # The newest came at 1199: what came at 1149 or later is kept, and less than a segment before that.
        assert 149 - 12 <= begins <= 149


@pytest.mark.parametrize("moment", ["reader", "outputs"])
def test_a_reader_is_told_when_what_it_reads_is_dropped(path: Path, moment: str) -> None:
    retention = Retention(300_000, keep_bytes=1)
    with (
        Journal.open(path, durability="off", retention=retention, keep_checkpoints=1) as journal,
        JournalReader.open(path) as reader,
    ):
        keep(journal, 2000, checkpoint_every=2000)
        assert reader.info().begins == 0
        some = reader.frames() if moment == "reader" else reader.outputs()
        next(some)
        keep(journal, 6000, checkpoint_every=50)
        assert reader.info().begins > 4000
        wanted = r"begins at offset \d+: older rows were dropped while"
        with pytest.raises(JournalError, match=wanted) as said:
            list(some)
        assert "damaged" not in str(said.value)


def test_rows_that_were_dropped_cannot_be_asked_for(path: Path) -> None:
    with Journal.open(path, durability="off", retention=SMALL) as journal:
        keep(journal, 200)
    with JournalReader.open(path) as reader:
        begins = reader.info().begins
        with pytest.raises(JournalError, match=f"begins at offset {begins}: older rows were dropped; asked"):
            list(reader.frames(0))
        assert next(reader.frames(begins)).offset == begins
        assert next(chosen(reader, Range(limit=3))).offset == begins
        with pytest.raises(JournalError, match="older rows were dropped"):
            list(chosen(reader, Range(1)))


def test_segments_that_are_lost_are_damage_and_no_short_journal(path: Path) -> None:
    for change, said in (
        ("DELETE FROM segment WHERE id=(SELECT min(id) FROM segment)", "where it begins"),
        ("UPDATE segment SET offset=offset+2 WHERE id=(SELECT min(id) FROM segment)", "where it begins"),
        ("DELETE FROM segment WHERE id=(SELECT max(id) FROM segment)", "a segment is missing"),
        ("UPDATE mark SET segment=segment+1", "how much was committed"),
    ):
        for old in path.parent.iterdir():
            old.unlink()
        with Journal.open(path, durability="off", retention=SMALL) as journal:
            keep(journal, 200)
            journal._db.execute(change)
        with JournalReader.open(path) as reader:
            report = reader.verify()
            assert report.damage is not None
            assert said in report.damage
        with pytest.raises(JournalError, match=said):
            Journal.open(path)


def test_a_kill_in_the_middle_of_sweeping_is_gone_on_from(path: Path) -> None:
    with Journal.open(path, durability="off", retention=Retention(1000)) as journal:
        keep(journal, 2000)
    # A bound on what was unbounded: one commit drops nearly all, few records are deleted at once.
    with Journal.open(path, durability="off", retention=SMALL) as journal:
        keep(journal, 2)
        journal._db.close()
        journal._lock.release()
    with JournalReader.open(path) as reader:
        begins = reader.info().begins
        assert begins > 3000
        assert reader.verify().ok
    with Journal.open(path, durability="off", retention=SMALL) as journal:
        assert journal._db.execute("SELECT min(id) FROM frame").fetchone()[0] < begins // 2
        keep(journal, 2000)
        assert journal._db.execute("SELECT min(id) FROM frame").fetchone()[0] > begins // 2


def engine_journal(path: Path, config: Settings, retention: Retention, count: int = 120) -> str:
    """A journal as an engine keeps it; returns the state's hash at its end."""
    plan = plan_of(config)
    state = new(plan)
    every = []
    for i in range(count):
        raw = encode_points(rows(10, seed=i), source="s", seq=i, features=["a", "b", "c"])
        every.append(JournalFrame(i, 10 * i, 10, "s", i, float(i), None, None, raw))
    meta = {"settings": config.text()}
    with Journal.open(path, durability="off", retention=retention, meta=meta) as journal:
        for group in grouped(every, 3):
            state, effects = folded(state, group, str(path))
            journal.append(group)
            journal.outputs(outputs_of(effects, group[0].id))
            if (group[0].id + 3) % 12 == 0:
                journal.checkpoint(state.offset, pack_engine(state))
            journal.commit()
    return state_hash(state)


def test_a_bounded_journal_recovers_and_replays_to_the_same_state(path: Path) -> None:
    config = settings()
    wanted = engine_journal(path, config, Retention(4000, keep_bytes=4000))
    with JournalReader.open(path) as reader:
        begins, oldest = reader.info().begins, min(reader.info().checkpoints)
        assert 0 < begins <= oldest
    assert state_hash(recover(str(path), plan_of(config)).state) == wanted
    assert state_hash(replay_into_model(path)) == wanted
    told: list[str] = []
    verdict = verify(path, note=told.append)
    assert verdict.ok
    assert (verdict.rows, verdict.compared, verdict.checkpoints) == (1200 - oldest, 1200 - oldest, 2)
    assert told == [
        f"the journal begins at offset {begins}, older rows were dropped: "
        f"taken up from the checkpoint at {oldest}"
    ]
    assert [row.offset for row in iter_rows(path)] == list(range(begins, 1200))
    assert export(path, path.parent / "out.csv") == 1200 - begins


def test_other_models_learn_a_bounded_journal_from_its_oldest_checkpoint(path: Path) -> None:
    engine_journal(path, settings(), Retention(4000, keep_bytes=4000))
    other = settings(models=[{"name": "n", "n_components": 2, "batch_size": 32}])
    with JournalReader.open(path) as reader:
        oldest = min(reader.info().checkpoints)
    found = recover(str(path), plan_of(other))
    assert "these models begin with nothing learned" in found.notes[-1]
    assert (found.state.offset, found.state.features) == (1200, ("a", "b", "c"))
    assert found.state.learners["n"].model.rows == 1200 - oldest
    assert found.state.marks["s"].seq == 119
    assert found.state.counters.rows == 1200
    assert state_hash(replay_into_model(path, other)) == state_hash(found.state)


def test_no_checkpoint_to_begin_from_is_said(path: Path) -> None:
    config = settings()
    engine_journal(path, config, Retention(4000, keep_bytes=4000))
    with Journal.open(path) as journal:
        journal._db.execute("UPDATE checkpoint SET blob=x'00'")
    with pytest.raises(JournalError, match="no checkpoint is left to begin from"):
        recover(str(path), plan_of(config))


def test_a_journal_of_format_1_gets_segments_when_it_is_written(tmp_path: Path) -> None:
    path = unpacked("v1_closed", tmp_path)
    with JournalReader.open(path) as reader:
        before = list(reader.frames())
        assert (reader.format, reader.info().segments) == (1, 0)
        with Journal.open(path, create=False):
            # A reader that was there before goes on.
            assert list(reader.frames()) == before
            assert reader.verify().ok
    with JournalReader.open(path) as reader:
        assert (reader.format, reader.info().segments, reader.info().begins) == (2, 2, 0)
        assert list(reader.frames()) == before
        assert reader.verify().ok
    Journal.open(path).close()
