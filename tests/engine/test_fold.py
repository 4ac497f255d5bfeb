"""The fold: grouping changes nothing, a slow twin agrees, a state put away goes on as if it had not been."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_mix.engine import (
    Ask,
    Assigned,
    Frames,
    Mark,
    Plan,
    Refuse,
    Reply,
    from_state,
    new,
    state_hash,
    step,
    to_state,
)
from stream_mix.mixture import (
    Model,
    Rows,
    Spec,
    expand,
    learn,
    posterior,
)
from stream_mix.mixture import state_hash as model_hash
from stream_mix.protocol import (
    Frame,
    Health,
    Query,
    Refused,
    pack_state,
    unpack_state,
)
from tests.engine.folds import SPECS, assignments, frame, run, same, split, streams


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

    # The first few frames fill the model's sample and its start.
    assert peak(16) < 2 * peak(2)
    assert peak(32) < 1.2 * peak(4)


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
