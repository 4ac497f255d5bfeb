"""What the fold says while it takes rows: snapshots, heartbeats, figures, answers, assignments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from stream_mix.engine import (
    Ask,
    Assigned,
    Effect,
    Frames,
    Plan,
    Publish,
    Reply,
    Stop,
    Tick,
    from_state,
    new,
    state_hash,
    step,
    to_state,
)
from stream_mix.mixture import (
    Model,
    Spec,
    parameters,
)
from stream_mix.protocol import (
    ErrorReply,
    Frame,
    Health,
    Heartbeat,
    Prediction,
    Query,
    Scores,
    Snapshot,
    pack_state,
    unpack_state,
)
from tests.engine.folds import SPECS, assignments, frame, published, warm


def test_snapshots_come_with_the_first_start_and_every_so_many_rows() -> None:
    state, effects = warm(snapshot_every_rows=100)
    snapshots = published(effects, Snapshot)
    assert [(s.pub_seq, s.offset) for s in snapshots] == [(0, 8), (1, 104), (2, 200), (3, 304), (4, 400)]  # type: ignore[attr-defined]  # what was published is known
    assert snapshots[-1].means.shape == (3, 2)  # type: ignore[attr-defined]  # what was published is known
    found = parameters(state.learners["m"].model)
    np.testing.assert_array_equal(snapshots[-1].means, found.means)  # type: ignore[attr-defined]  # what was published is known


def test_ticks_bring_heartbeats_and_what_is_new() -> None:
    state, _ = warm(snapshot_every_seconds=2.0, heartbeat_seconds=0.5)
    state, effects = step(state, Tick(10.0, 1e9))
    assert published(effects, Heartbeat) == [Heartbeat(0, 400, 1e9)]
    assert len(published(effects, Snapshot)) == 1
    state, effects = step(state, Tick(10.4, 1e9))
    assert not effects
    state, effects = step(state, Tick(13.0, 0.0))
    assert published(effects, Heartbeat) == [Heartbeat(1, 400, 0.0)]
    assert not published(effects, Snapshot)
    assert step(state, Stop())[1] == []


def snapshots(effects: Sequence[Effect]) -> list[Snapshot]:
    told = [effect.message for effect in effects if isinstance(effect, Publish)]
    return [message for message in told if isinstance(message, Snapshot)]


def test_figures_of_validity_come_with_ticks_and_when_the_stream_has_doubled() -> None:
    rows = np.random.default_rng(0).normal([[-20.0], [20.0]], 1.0, (2, 400)).T.reshape(-1, 1)
    specs = {"one": Spec(2, "full", batch_size=16), "two": Spec(2, "full", batch_size=16, random_state=1)}
    state, effects = step(new(Plan(specs, snapshot_every_rows=16)), Frames((frame(rows),)))
    found = [one.validity["generation"] for one in snapshots(effects) if one.model == "one"]
    assert (len(found), found[0]) == (800 // 16, 1)
    assert all(was <= now <= 2 * was + 1 for was, now in pairwise(sorted(set(found))))
    assert len(set(found)) < 10, "not with every snapshot"
    state, effects = step(state, Tick(1.0, 1.0))
    assert [one.validity["generation"] for one in snapshots(effects)] == [50, 50], "figures were behind"
    state, effects = step(state, Tick(5.0, 5.0))
    assert not snapshots(effects), "nothing is new"
    again = from_state(unpack_state(pack_state(to_state(state))), state.plan)
    assert again.learners["one"].found is None
    again, effects = step(again, Tick(5.0, 5.0))
    assert not snapshots(effects)
    assert again.learners["one"].found == state.learners["one"].found
    state, _ = step(state, Frames((frame(rows[:32]),)))
    state, effects = step(state, Tick(9.0, 9.0))
    last = snapshots(effects)[0]
    assert last.validity["generation"] == state.learners["one"].border.generation == 52
    assert last.validity["clusters"] == [[0], [1]]
    assert last.validity["stability"] == pytest.approx(1.0)
    (reply,) = [one for one in step(state, Ask(Query("health")))[1] if isinstance(one, Reply)]
    assert isinstance(reply.message, Health)
    told = reply.message.models["one"]
    assert (told["judged"], told["clusters"], told["icl"]) == (52, 2, last.validity["icl"])


def test_heavy_tails_are_told_with_the_matrices_that_they_scale() -> None:
    rows = np.random.default_rng(0).normal([[-20.0], [20.0]], 1.0, (2, 100)).T.reshape(-1, 1)
    specs = {"t": Spec(2, batch_size=16, degrees_of_freedom=4.0), "normal": Spec(2, batch_size=16)}
    state, effects = step(new(Plan(specs)), Frames((frame(rows),)))
    told = {one.model: one.degrees_of_freedom for one in snapshots(effects)}
    assert told == {"t": 4.0, "normal": None}
    (reply,) = [one for one in step(state, Ask(Query("health")))[1] if isinstance(one, Reply)]
    assert isinstance(reply.message, Health)
    assert reply.message.models["t"]["degrees_of_freedom"] == 4.0
    assert "degrees_of_freedom" not in reply.message.models["normal"]


def test_questions_change_nothing() -> None:
    state, _ = warm()
    for query, kind in (
        (Query("health"), Health),
        (Query("snapshot", "m"), Snapshot),
        (Query("predict", None, frame([9.0, 9.0])), Prediction),
        (Query("score", "m", frame([[0.0], [1.0]], features=("b",))), Scores),
        (Query("predict", "m", frame([1.0], features=("z",))), ErrorReply),
        (Query("predict", "m", frame([1.0, 2.0, 3.0])), ErrorReply),
        (Query("snapshot", "other"), ErrorReply),
        (Query("predict", "m"), ErrorReply),
    ):
        after, effects = step(state, Ask(query))
        assert after is state
        assert isinstance(effects[0], Reply)
        assert isinstance(effects[0].message, kind), query


def test_a_model_that_learned_nothing_has_no_snapshot() -> None:
    state = new(Plan({"m": SPECS["soft"], "n": SPECS["hard"]}))
    _, effects = step(state, Ask(Query("snapshot", "m")))
    assert effects == [Reply(ErrorReply("value", "m: no batch was learned yet, so there is nothing to show"))]
    _, effects = step(state, Ask(Query("snapshot")))
    assert isinstance(effects[0], Reply)
    assert "expected one of m, n" in effects[0].message.reason  # type: ignore[union-attr]  # what was published is known


def test_another_plan_does_not_go_on_from_a_state() -> None:
    state, _ = warm()
    tree = to_state(state)
    with pytest.raises(ValueError, match="other models"):
        from_state(tree, Plan({"m": SPECS["oval"]}))
    with pytest.raises(ValueError, match="other fixed features"):
        from_state(tree, Plan({"m": SPECS["soft"]}, features=("a", "b")))
    with pytest.raises(ValueError, match="version"):
        from_state({**tree, "engine_version": 99}, state.plan)


def test_without_responsibilities_messages_have_no_p() -> None:
    _, effects = warm(responsibilities=False)
    assert all(message.p is None for message in assignments(effects, "m"))


def test_a_frame_whose_rows_know_different_components_has_a_column_for_each() -> None:
    from stream_mix.engine.events import Part

    one, two = frame(np.zeros((3, 1))), frame(np.zeros((2, 1)))
    parts = (
        Part(0, 1, (0, 1), np.array([[0.25, 0.75]] * 2), 2),
        Part(2, 2, (1, 5), np.array([[0.5, 0.5]] * 3), 8),
    )
    label, zeros = np.zeros(5, np.int64), np.zeros(5)
    said = Assigned("m", 10, (one, two), (0, 3, 5), parts, label, zeros, zeros)
    first, second = said.messages()
    assert (first.components, first.generation, first.offset) == ((0, 1, 5), 1, 10)
    assert first.p is not None
    assert first.p.tolist() == [[0.25, 0.75, 0.0], [0.25, 0.75, 0.0], [0.0, 0.5, 0.5]]
    assert (second.components, second.generation, second.offset) == ((1, 5), 2, 13)


def test_times_that_are_none_stay_none() -> None:
    _, effects = warm()
    assert all(math.isfinite(s.t) if s.t is not None else True for s in published(effects, Snapshot))  # type: ignore[attr-defined]  # what was published is known
    assert {s.t for s in published(effects, Snapshot)} == {None}  # type: ignore[attr-defined]  # what was published is known


def test_noise_is_labelled_in_assignments_and_answers() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(1200, 2)) + 20.0 * (np.arange(1200) % 2)[:, None]
    x[::20] = rng.uniform(-300.0, 300.0, (60, 2))
    state = new(Plan({"m": Spec(2, batch_size=50, robust=True)}))
    state, _ = step(state, Frames((Frame(x[:1000], 1000),)))
    state, effects = step(state, Frames((Frame(x[1000:], 200),)))
    (said,) = (effect for effect in effects if isinstance(effect, Assigned))
    assert (said.label[::20] == -1).mean() > 0.8
    assert (np.delete(said.label, np.s_[::20]) == -1).mean() < 0.02
    _, (reply,) = step(state, Ask(Query("health")))
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Health)
    assert reply.message.models["m"]["noise"] == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("kind", [ValueError, np.linalg.LinAlgError, OverflowError, IndexError])
def test_figures_that_cannot_be_computed_cost_no_row(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(model: Model) -> None:
        raise kind("Matrix is not positive definite")

    with monkeypatch.context() as patch:
        patch.setattr("stream_mix.engine.queries.measured", measured)
        state, effects = warm(snapshot_every_rows=100)
        shown = published(effects, Snapshot)
        assert len(shown) > 3
        assert all(snapshot.validity["icl"] is None for snapshot in shown)  # type: ignore[attr-defined]  # a Snapshot
        state, _ = step(state, Tick(1.0, 1e9))
        (reply,) = step(state, Ask(Query("snapshot")))[1]
        assert isinstance(reply, Reply)
        assert isinstance(reply.message, Snapshot)
    assert state_hash(state) == state_hash(warm(snapshot_every_rows=100)[0])
