"""The one loop of an engine: poll, drain many frames, fold them, journal them, and only then say what came of
it.

The fold is pure, so it may run ahead of the journal: its outcome is kept back until the frames that led to it
are committed, together with what was said of them and any checkpoint. A process that dies in between has said
nothing that its journal does not hold. Where the disk is full or fails, the state goes back to before the
group, which is held; until the journal takes it no frame is read, so that senders wait, and questions are
answered, those of acknowledged producers among them: that nothing of theirs is taken now.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import zmq

from ..engine import Done, Effect, EngineState, Event, Greet, Rejected, Stop, Tick, step
from ..protocol import Limits
from .acking import Acking
from .budget import Budget
from .clock import Clock
from .folding import outputs_of, pack_engine
from .group import Group
from .holding import Holding
from .intake import Intake
from .journal import Journal, JournalFrame, JournalUnavailable
from .learning import Learning
from .publishing import Publisher
from .questions import Questions
from .sockets import Sockets, from_peer
from .tally import Tally

if TYPE_CHECKING:
    from ..config import Settings

MOST_FRAMES = 512
MOST_BYTES = 256 << 10
MOST_SECONDS = 0.005
"""Bounds of one group where no journal sets them: what is made of so many bytes stays in a core's cache until
it is sent (8 times as much took 1.6 times as long). And the time that any may take to be gathered."""
IDLE_MS = 50
LETTERS = 64
"""Refused frames of a group that are kept, at most 4 KiB of each: a flood of them is counted, not written."""
LAST_SECONDS = 0.5
"""How long a clean stop goes on taking frames that had arrived already."""
QUIET_MS = 30
LIVE_SECONDS = 0.02
GREET_SECONDS = 0.25
"""Time between snapshots for new subscribers: those who come and go at will get no more than these."""


class Loop:
    """Owns the sockets and the journal, from one thread; `state` is the engine as of the last group."""

    def __init__(
        self,
        settings: Settings,
        state: EngineState,
        sockets: Sockets,
        journal: Journal | None,
        clock: Clock,
        watch: Callable[[Loop], None] = lambda loop: None,
        checkpoint: int | None = None,
        done: dict[str, Done] | None = None,
    ) -> None:
        """Begin at `state`, to which the checkpoint at offset `checkpoint` (None: the start) led; `done` is
        how far the acknowledged sources are."""
        self.settings, self.state, self.journal, self.clock = settings, state, journal, clock
        self.tally = Tally()
        self._sockets = sockets
        self._watch = watch
        limits, doors = settings.limits.limits(), sockets.doors
        self.acking: Acking | None = None
        if sockets.acked is not None:
            durability = settings.journal.durability if journal else "off"
            receive = from_peer if doors is None else doors.from_peer
            self.acking = Acking(sockets.acked, settings.ingest, limits, durability, done or {}, receive)
        self._publisher = Publisher(sockets.publish, state.learners)
        self._checkpoint = checkpoint or 0
        self.holding: Holding[Group] = Holding()
        self._ticked = self._greeted = -1e9
        self._full = self.draining = False
        self._ingest = sockets.ingest
        bounds = settings.journal
        most = (bounds.commit_frames, bounds.commit_bytes) if journal else (MOST_FRAMES, MOST_BYTES)
        self.budget = Budget(settings.limits.memory_bytes, sockets.queues)
        self.learning = Learning(self._step, clock.now, self.budget.spent)
        self._intake = Intake(sockets, self.acking, self.budget, limits, most, clock.now)
        self.questions: Questions | None = None
        if sockets.query is not None:
            self.questions = Questions(sockets.query, limits, self._step, doors, self.holding.told)
        self._poller, self._answering = zmq.Poller(), zmq.Poller()
        for socket in (*sockets.ingest, sockets.publish, sockets.query, doors.socket if doors else None):
            if socket is not None:
                self._poller.register(socket, zmq.POLLIN)
                if socket not in sockets.ingest or socket is sockets.acked:
                    self._answering.register(socket, zmq.POLLIN)

    @property
    def published(self) -> int:
        """Messages published."""
        return self._publisher.count

    @property
    def unsaid(self) -> int:
        """Messages that could not be put into bytes."""
        return self._publisher.unsaid

    def limit(self, limits: Limits) -> None:
        """Judge frames and questions by other limits from now on."""
        self._intake.limits = limits
        if self.questions is not None:
            self.questions.limits = limits
        if self.acking is not None:
            self.acking.limits = limits

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped` says so, then finish: what had arrived is taken, the state kept, the last
        word said."""
        # Numbers at the far end of what is allowed overflow on their way; the results are checked, not the
        # way.
        with np.errstate(all="ignore"):
            while not stopped():
                self._turn()
            self._finish()

    def _turn(self) -> None:
        if self.holding.group is not None:
            self._again()
        poller = self._poller if self.holding.group is None else self._answering
        ready = dict(poller.poll(0))
        if not ready and not self._full:
            # Nobody waits: the log is folded now, and not while frames do.
            if self.journal is not None and self.holding.group is None:
                self.journal.tidy()
            ready = dict(poller.poll(IDLE_MS))
        if self._sockets.publish in ready:
            self._publisher.read()
        if self.holding.group is None:
            self._take([socket for socket in self._ingest if socket in ready])
        elif self.acking is not None and self._sockets.acked in ready:
            self.acking.turn_away()
        if self._full:
            # Each in turn is asked first: a flood on one socket must not keep the other from being read.
            self._ingest = [*self._ingest[1:], *self._ingest[:1]]
        if self.questions is not None and self._sockets.query in ready:
            self.questions.answer(self.clock.now)
        now = self.clock.now()
        self.budget.turn(now)
        if self._sockets.doors is not None:
            self._sockets.doors.turn(now)
        if now >= self._ticked + LIVE_SECONDS:
            self._ticked = now
            if self.acking is not None:
                self.acking.tick(now, self.budget.room)
            self._publisher.tell(self._step(Tick(now, self.clock.t())))
            if self._publisher.newcomers and now >= self._greeted + GREET_SECONDS:
                self._greeted = now
                self._publisher.tell(self._step(Greet(self._publisher.newcomers)))
                self._publisher.newcomers = frozenset()
            self._watch(self)

    def _finish(self) -> None:
        self.draining = True
        self._watch(self)
        until = self.clock.now() + LAST_SECONDS
        if self.holding.group is not None:
            self.holding.due = 0.0
            self._again()
        # What is not acknowledged is its producer's to send again: it is not waited for.
        for socket in (socket for socket in self._ingest if socket is not self._sockets.acked):
            # A moment of quiet: libzmq reads on from the system when its queue, which is short, has room.
            while self.holding.group is None and self.clock.now() < until and socket.poll(QUIET_MS):
                self._take([socket])
        if self.journal is not None and self.holding.group is not None:
            # Those that are not acknowledged will be sent again.
            lost = f"{self.holding.group.acked.count(None)} frames that were taken are not kept"
            raise JournalUnavailable(self.journal.path, f"{lost}: {self.holding.reason}")
        if self.journal is not None:
            self._keep_checkpoint(self.journal)
            self.journal.commit()
        self._publisher.read()
        self._publisher.tell(self._step(Stop()))
        self._watch(self)

    def _step(self, event: Event) -> list[Effect]:
        self.state, effects = step(self.state, event)
        return effects

    def _take(self, sockets: list[zmq.Socket[bytes]]) -> None:
        """One group: drained, folded, journalled, published."""
        group = Group(began=self.clock.now())
        until = group.began + min(MOST_SECONDS, self.settings.journal.commit_seconds or MOST_SECONDS)
        for socket in sockets:
            self._intake.fill(socket, group, until)
        self._full = group.full
        if group.frames or group.letters:
            self._complete(group)
        elif self.acking is not None:
            self.acking.answer(group, {})

    def _again(self) -> None:
        """Goes on with what is held, if the journal takes it now."""
        found = self.holding.again(self.journal, self.clock.now()) if self.journal is not None else None
        if found is not None:
            self._complete(*found)

    def _complete(self, group: Group, made: bool = False) -> None:
        """Folds, journals, acknowledges and publishes a group; held where the journal fails, and not written
        twice where that has it, `made`."""
        state, checkpoint, acking = self.state, self._checkpoint, self.acking
        before = state.counters.frames_refused
        effects = self.learning.fold(group)
        uncounted = before + len(group.letters) - self.state.counters.frames_refused
        if uncounted:
            self._step(Rejected(uncounted))
        done = acking.settled(group) if acking is not None else {}
        if self.journal is not None and not made:
            before_commit = self.clock.now()
            try:
                self._keep(self.journal, group, effects, done)
            except JournalUnavailable as error:
                self.state, self._checkpoint, self._full = state, checkpoint, False
                self.holding.hold(group, error, self.clock.now())
                if acking is not None:
                    acking.open(False)
                return
            self.tally.commits += 1
            self.tally.commit_seconds += self.clock.now() - before_commit
        self.holding.done()
        for letter in group.letters:
            self.tally.reject(letter.code)
        self.tally.groups += 1
        # Only what is durable is acknowledged, and said.
        if acking is not None:
            acking.answer(group, done)
            acking.open(True)
        self._publisher.tell(effects)
        self.tally.lag_seconds = self.clock.now() - group.began

    def _keep(self, journal: Journal, group: Group, effects: list[Effect], done: dict[str, Done]) -> None:
        """Makes a group durable: frames, what was said of them, dead letters, how far their sources are, and
        a checkpoint when one is due."""
        received = self.clock.t()
        first, offset = journal.next_id, journal.next_offset
        records = []
        for i, (frame, raw) in enumerate(zip(group.frames, group.raws, strict=True)):
            n, t = len(frame.x), frame.t
            low, high = (None, None) if t is None else (float(t.min()), float(t.max()))
            records.append(
                JournalFrame(first + i, offset, n, frame.source, frame.seq, received, low, high, raw)
            )
            offset += n
        journal.append(records)
        if self.settings.journal.record_outputs:
            journal.outputs(outputs_of(effects, first))
        for letter in group.letters[:LETTERS]:
            journal.dead_letter(received, letter.source, letter.code, letter.reason, letter.raw)
        if done:
            journal.sources(done)
        if self.state.offset - self._checkpoint >= self.settings.journal.checkpoint_every_rows:
            self._keep_checkpoint(journal)
        journal.commit()

    def _keep_checkpoint(self, journal: Journal) -> None:
        if self.state.offset > self._checkpoint:
            journal.checkpoint(self.state.offset, pack_engine(self.state))
            self._checkpoint = self.state.offset
            self.tally.checkpoints += 1
