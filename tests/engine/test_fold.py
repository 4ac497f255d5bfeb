"""The fold: grouping changes nothing, a slow twin agrees, a state put away goes on as if it had not been."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.engine import (
    Ask,
    Assigned,
    Effect,
    EngineState,
    Frames,
    Mark,
    Plan,
    Publish,
    Refuse,
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
    HalfLife,
    Model,
    Rows,
    Spec,
    TimeHalfLife,
    Window,
    expand,
    learn,
    parameters,
    posterior,
)
from stream_mix.mixture import state_hash as model_hash
from stream_mix.protocol import (
    Assignment,
    ErrorReply,
    Frame,
    Health,
    Heartbeat,
    Prediction,
    Query,
    Refused,
    Scores,
    Snapshot,
    pack_state,
    unpack_state,
)

SPECS = {
    "soft": Spec(n_components=3, family="diag", batch_size=8),
    "oval": Spec(n_components=2, family="full", batch_size=5, memory=HalfLife(200.0)),
    "hard": Spec(n_components=3, family="kmeans", batch_size=16, memory=Window(64)),
    "prompt": Spec(n_components=2, family="full", batch_size=4, memory=TimeHalfLife(5.0), lateness=0.3),
}
NAMES = ("a", "b", "c", "d")


def frame(x: object, **parts: object) -> Frame:
    rows = np.atleast_2d(np.asarray(x, dtype=np.float64))
    return Frame(rows, parts.pop("n_sent", len(rows)), **parts)  # type: ignore[arg-type]  # parts of a frame


@st.composite
def streams(draw: st.DrawFn) -> list[Frame]:
    """Frames with their own feature orders and subsets, times, weights, ids and sources."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    centres = rng.normal(0, 8, (3, len(NAMES)))
    frames: list[Frame] = []
    for seq in range(draw(st.integers(1, 8))):
        n, d = draw(st.integers(1, 15)), draw(st.sampled_from((2, 2, 2, 3, 4)))
        names = draw(st.permutations(NAMES[:d])) if draw(st.booleans()) else list(NAMES[:d])
        columns = [NAMES.index(name) for name in names]
        x = (centres[rng.integers(0, 3, n)] + rng.normal(size=(n, len(NAMES))))[:, columns]
        if draw(st.booleans()):
            x[rng.random(x.shape) < 0.2] = np.nan
            x[np.isnan(x).all(axis=1), 0] = 1.0
        frames.append(
            frame(
                x,
                source=draw(st.sampled_from((None, "one", "two"))),
                seq=draw(st.sampled_from((None, seq))),
                features=tuple(names),
                t=1e9 + rng.random(n) if draw(st.booleans()) else None,
                w=rng.uniform(0.5, 2.0, n) if draw(st.booleans()) else None,
                id=tuple(range(n)) if draw(st.booleans()) else None,
            )
        )
    return frames


def split(frames: Sequence[Frame], cuts: Sequence[bool]) -> Iterator[tuple[Frame, ...]]:
    group: list[Frame] = []
    for i, one in enumerate(frames):
        group.append(one)
        if cuts[i % len(cuts)]:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)


def run(state: EngineState, groups: Iterator[tuple[Frame, ...]]) -> tuple[EngineState, list[Effect]]:
    effects: list[Effect] = []
    for group in groups:
        state, some = step(state, Frames(group))
        effects += some
    return state, effects


def assignments(effects: Sequence[Effect], model: str) -> list[Assignment]:
    return [m for e in effects if isinstance(e, Assigned) and e.model == model for m in e.messages()]


def same(one: Assignment, other: Assignment) -> None:
    for key in ("model", "offset", "generation", "components", "id", "source", "seq", "refused"):
        assert getattr(one, key) == getattr(other, key), key
    np.testing.assert_array_equal(one.label, other.label)
    np.testing.assert_allclose(one.log_density, other.log_density, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(one.outlier, other.outlier, rtol=1e-5, atol=1e-6)
    assert one.p is not None
    assert other.p is not None
    np.testing.assert_allclose(one.p, other.p, rtol=1e-5, atol=1e-7)


class Twin:
    """The same engine in the plainest way: one row at a time, the border's model kept beside the learning
    one."""

    def __init__(self, spec: Spec) -> None:
        self.features: tuple[str, ...] = ()
        self.model = self.border = Model.new(spec, 0)
        self.rows = 0

    def take(self, one: Frame) -> tuple[int, int, list[tuple[np.ndarray, int, float, float]]]:  # type: ignore[type-arg]
        names = one.features or ()
        fresh = [name for name in names if name not in self.features]
        if fresh:
            self.features = (*self.features, *fresh)
            self.model, self.border = (expand(m, len(self.features)) for m in (self.model, self.border))
        offset, generation, said = self.rows, self.border.generation, []
        for i in range(one.n):
            x = np.full((1, len(self.features)), np.nan)
            for name, value in zip(names, one.x[i], strict=True):
                x[0, self.features.index(name)] = value
            found = posterior(self.border, x)
            said.append(
                (found.p[0], int(found.label[0]), float(found.log_density[0]), float(found.outlier[0]))
            )
            w = None if one.w is None else one.w[i : i + 1]
            t = None if one.t is None else one.t[i : i + 1]
            self.model, done = learn(self.model, Rows.of(x, w, t))
            if done.batches:
                self.border = self.model
            self.rows += 1
        return offset, generation, said


@settings(max_examples=10)
@given(streams(), st.sampled_from(sorted(SPECS)))
def test_agrees_with_one_row_at_a_time(frames: list[Frame], name: str) -> None:
    state, effects = run(new(Plan({name: SPECS[name]})), iter([tuple(frames)]))
    twin = Twin(SPECS[name])
    for one, message in zip(frames, assignments(effects, name), strict=True):
        offset, generation, said = twin.take(one)
        assert (message.offset, message.generation, message.n) == (offset, generation, one.n)
        assert message.label.tolist() == [row[1] for row in said]
        assert message.p is not None
        np.testing.assert_allclose(message.p, [row[0] for row in said], atol=1e-6)
        np.testing.assert_allclose(message.log_density, [row[2] for row in said], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(message.outlier, [row[3] for row in said], atol=1e-6)
    assert model_hash(state.learners[name].model) == model_hash(twin.model)


@settings(max_examples=10)
@given(streams(), st.lists(st.booleans(), min_size=1, max_size=5), st.integers(1, 9))
def test_grouping_changes_neither_state_nor_assignments(
    frames: list[Frame], cuts: list[bool], piece: int
) -> None:
    plan = Plan(SPECS)
    whole, said = run(new(plan), iter([tuple(frames)]))
    parts, said_parts = run(new(plan), split(frames, cuts))
    assert state_hash(whole) == state_hash(parts)
    assert whole.counters == parts.counters
    assert dict(whole.marks) == dict(parts.marks)
    assert whole.published == parts.published
    for name in SPECS:
        for one, other in zip(assignments(said, name), assignments(said_parts, name), strict=True):
            same(one, other)
    # The same rows in other frames, and so in other messages, lead to the same models.
    resent = [
        replace(one, x=one.x[i : i + piece], n_sent=len(one.x[i : i + piece]), t=cut(one.t, i, piece),
                w=cut(one.w, i, piece), id=None, source=None, seq=None)
        for one in frames for i in range(0, one.n, piece)
    ]  # fmt: skip
    assert state_hash(run(new(plan), iter([tuple(resent)]))[0]) == state_hash(whole)


def cut(column: np.ndarray | None, i: int, n: int) -> np.ndarray | None:  # type: ignore[type-arg]
    return None if column is None else column[i : i + n]


@settings(max_examples=8)
@given(streams(), st.integers(0, 8))
def test_a_state_put_away_goes_on_as_if_it_had_not_been(frames: list[Frame], at: int) -> None:
    plan = Plan(SPECS)
    whole, said = run(new(plan), iter([tuple(frames)]))
    first, _ = run(new(plan), iter([tuple(frames[:at])]))
    woken = from_state(unpack_state(pack_state(to_state(first))), plan)
    assert state_hash(woken) == state_hash(first)
    rest, said_rest = run(woken, iter([tuple(frames[at:])]))
    assert state_hash(rest) == state_hash(whole)
    assert dict(rest.marks) == dict(whole.marks)
    assert rest.counters == whole.counters
    for name in SPECS:
        for one, other in zip(assignments(said, name)[at:], assignments(said_rest, name), strict=True):
            same(one, other)


def test_learns_as_a_loop_of_ones_own_does() -> None:
    x = np.random.default_rng(3).normal(size=(700, 3))
    state, _ = run(new(Plan({"m": SPECS["soft"]})), iter([(frame(x),)]))
    model, _ = learn(Model.new(SPECS["soft"], 3), Rows.of(x))
    assert model_hash(state.learners["m"].model) == model_hash(model)
    assert state.features == ("f0", "f1", "f2")


def test_late_rows_are_judged_and_counted_but_not_learned() -> None:
    spec = replace(SPECS["soft"], lateness=10.0)
    x, t = np.random.default_rng(3).normal(size=(700, 3)), 1e9 + np.arange(700.0)
    t[100:140] -= 60.0
    t[500:700:20] -= 60.0
    plan = Plan({"m": spec, "all": SPECS["soft"]}, snapshot_every_rows=100)
    state, effects = run(new(plan), iter([(frame(x[:300], t=t[:300]), frame(x[300:], t=t[300:]))]))
    assert [message.n for message in assignments(effects, "m")] == [300, 400]
    taken = {name: learner.model for name, learner in state.learners.items()}
    assert {name: (model.learned + len(model.pending), model.late) for name, model in taken.items()} == {
        "m": (650, 50), "all": (700, 0),
    }  # fmt: skip
    assert state.offset == 700
    (reply,) = step(state, Ask(Query("health")))[1]
    assert isinstance(reply, Reply)
    assert isinstance(reply.message, Health)
    assert [reply.message.models[name]["late"] for name in ("m", "all")] == [50, 0]
    model, _ = learn(Model.new(spec, 3), Rows.of(x, t=t))
    assert model_hash(taken["m"]) == model_hash(model)


def test_frames_that_do_not_fit_are_refused_alone() -> None:
    state = new(Plan({"m": SPECS["soft"]}, max_features=3))
    group = (
        frame([1.0, 2.0]), frame([1.0, 2.0, 3.0]), frame([4.0], features=("f1",)),
        frame([1.0, 2.0], features=("x", "y")), frame([1.0, 2.0], features=("f0", "x")),
    )  # fmt: skip
    state, effects = step(state, Frames(group))
    refused = [(effect.index, effect.code) for effect in effects if isinstance(effect, Refuse)]
    assert refused == [(1, "shape"), (3, "limit")]
    assert state.features == ("f0", "f1", "x")
    assert (state.offset, state.counters.frames, state.counters.frames_refused) == (3, 3, 2)
    assert [message.offset for message in assignments(effects, "m")] == [0, 1, 2]


def test_rows_of_few_features_cannot_ask_for_columns_of_many() -> None:
    names = tuple(f"g{j}" for j in range(100))
    narrow = frame(np.ones((50, 1)), features=("g7",))
    state = new(Plan({"m": SPECS["soft"]}, max_cells=4999))
    group = (frame(np.ones(100), features=names), narrow, frame(np.ones((49, 1)), features=("g7",)))
    state, effects = step(state, Frames(group))
    assert [(e.index, e.code) for e in effects if isinstance(e, Refuse)] == [(1, "limit")]
    assert (state.offset, len(state.features)) == (50, 100)
    # A frame that has all the columns that it asks for was judged by its own limits.
    state, effects = step(state, Frames((frame(np.ones((50, 100)), features=names),)))
    assert state.offset == 100


def test_memory_of_a_group_does_not_grow_with_its_frames() -> None:
    names = tuple(f"g{j}" for j in range(1000))
    specs = {"m": Spec(n_components=1, family="kmeans", batch_size=500)}
    state, _ = step(new(Plan(specs)), Frames((frame(np.ones(1000), features=names),)))
    narrow = frame(np.ones((1000, 1)), features=("g0",))

    def peak(frames: int) -> int:
        tracemalloc.start()
        try:
            _, effects = step(state, Frames((narrow,) * frames))
            assert sum(e.bounds[-1] for e in effects if isinstance(e, Assigned)) == 1000 * frames
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(16) < 2 * peak(2)


def test_fixed_features_stay_as_they_are() -> None:
    state = new(Plan({"m": SPECS["soft"]}, features=("b", "a")))
    state, effects = step(state, Frames((frame([1.0], features=("a",)), frame([2.0], features=("z",)))))
    assert [(e.code, "'z'" in e.reason) for e in effects if isinstance(e, Refuse)] == [("value", True)]
    assert state.features == ("b", "a")
    waiting = state.learners["m"].model.pending.x
    np.testing.assert_array_equal(waiting, [[np.nan, 1.0]])


def test_marks_count_gaps_and_duplicates_and_are_bounded() -> None:
    state = new(Plan({"m": SPECS["soft"]}))
    frames = [frame([1.0], source="s", seq=seq) for seq in (5, 6, 9, 9, 3, 10)]
    state, _ = step(state, Frames(tuple(frames)))
    assert state.marks["s"] == Mark(10, 6, 2, 2)
    assert (state.counters.gaps, state.counters.duplicates, state.offset) == (2, 2, 6)
    state, _ = step(state, Frames(tuple(frame([1.0], source=f"s{i}", seq=0) for i in range(1500))))
    assert len(state.marks) == 1024
    assert "s" not in state.marks


def test_refused_rows_are_told() -> None:
    one = frame([[1.0], [2.0]], n_sent=3, refused=(Refused(1, "value", "x"),), id=("p", "q"))
    state, effects = step(new(Plan({"m": SPECS["soft"]})), Frames((one,)))
    message = assignments(effects, "m")[0]
    assert (message.refused, message.id, message.n) == ((1,), ("p", "q"), 2)
    assert state.counters.rows_refused == 1


def warm(rows: int = 400, **plan: object) -> tuple[EngineState, list[Effect]]:
    rng = np.random.default_rng(0)
    x = np.array([[0.0, 0.0], [9.0, 9.0], [-9.0, 9.0]])[rng.integers(0, 3, rows)] + rng.normal(size=(rows, 2))
    return step(new(Plan({"m": SPECS["soft"]}, **plan)), Frames((frame(x, features=("a", "b")),)))  # type: ignore[arg-type]  # keys of a plan


def published(effects: Sequence[Effect], kind: type) -> list[object]:
    return [e.message for e in effects if isinstance(e, Publish) and isinstance(e.message, kind)]


def test_snapshots_come_with_the_first_start_and_every_so_many_rows() -> None:
    state, effects = warm(snapshot_every_rows=100)
    snapshots = published(effects, Snapshot)
    assert [(s.pub_seq, s.offset) for s in snapshots] == [(0, 8), (1, 104), (2, 200), (3, 304), (4, 400)]  # type: ignore[attr-defined]
    assert snapshots[-1].means.shape == (3, 2)  # type: ignore[attr-defined]
    found = parameters(state.learners["m"].model)
    np.testing.assert_array_equal(snapshots[-1].means, found.means)  # type: ignore[attr-defined]


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
    assert "expected one of m, n" in effects[0].message.reason  # type: ignore[union-attr]


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
    assert all(math.isfinite(s.t) if s.t is not None else True for s in published(effects, Snapshot))  # type: ignore[attr-defined]
    assert {s.t for s in published(effects, Snapshot)} == {None}  # type: ignore[attr-defined]


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
