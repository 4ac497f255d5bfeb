"""An engine put together: journal opened, state recovered, sockets bound, loop run, all of it closed
again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ..engine import Ask, Counters, Done, EngineState, Reply, new, step
from ..mixture import Spec
from ..mixture.kernels import IMPLEMENTATION, WHY_NOT_COMPILED
from ..protocol import Health, Query
from .acking import Acking
from .clock import Clock
from .folding import Recovered, plan_of, recover
from .journal import Connect, Journal, JournalError, JournalReader, Retention, connect
from .log import Log
from .loop import Loop
from .metrics import MetricsServer, Report
from .rereading import changed, merged
from .sockets import Sockets, limit_messages, open_sockets

if TYPE_CHECKING:
    from ..config import Settings

REPORT_SECONDS = 0.25


class Service:
    """A running engine; `run` serves until told to stop. Use it in a `with` block."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock | None = None,
        log: Log | None = None,
        *,
        connect: Connect = connect,
    ) -> None:
        """Open everything. Raises ValueError, one line, for an address in use, a bad journal and the like."""
        self.settings = settings
        self.log = log or Log(settings.engine.log, settings.engine.log_level)
        self._connect = connect
        self._clock = clock or Clock()
        self._stack = ExitStack()
        self._reported = -1e9
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise

    def _open(self) -> None:
        settings = self.settings
        plan = plan_of(settings)
        self.journal: Journal | None = None
        self.metrics: MetricsServer | None = None
        self.recovered = Recovered(new(plan), None, 0)
        if settings.metrics.bind:
            self.metrics = MetricsServer(*_host_port(settings.metrics.bind), self._clock.now)
            self._stack.callback(self.metrics.close)
        # Sockets before the journal is read: of two engines started by mistake the second says so at once.
        self.sockets: Sockets = open_sockets(settings)
        self._stack.callback(self.sockets.close)
        if settings.journal.path:
            with _advised():
                self.journal = self._stack.enter_context(_journal(settings, self._connect))
                self.recovered = recover(self.journal.path, plan, connect=self._connect)
            known = len(self.recovered.state.features)
            if known > plan.max_features:
                why = f"has {known} features, limits.features is {plan.max_features}, expected {known}"
                raise JournalError(self.journal.path, why)
            _keep_settings(self.journal, settings, self._connect)
        found = self.recovered
        self.loop = Loop(
            settings, found.state, self.sockets, self.journal, self._clock, self._report, found.checkpoint,
            _done(self.journal, self._connect),
        )  # fmt: skip
        self.loop.budget.tell = self.loop.holding.tell = self.loop.learning.tell = self.log.warn
        if self.sockets.doors is not None:
            for line in self.sockets.doors.early:
                self.log.warn(line)
            self.sockets.doors.tell = self.log.warn

    @property
    def state(self) -> EngineState:
        """The engine as of the last group of frames."""
        return self.loop.state

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped()`, then finish cleanly. Raises JournalError where the disk fails."""
        self.loop.run(stopped)

    def reread(self, after: Settings) -> list[str]:
        """Take what can be taken of changed settings, from the thread that runs; returns lines that say what
        that was, and what waits for a restart."""
        taken, waiting = changed(self.settings, after)
        self.settings = settings = merged(self.settings, after, taken)
        sockets, doors = self.sockets, self.sockets.doors
        self.log.form, self.log.level = settings.engine.log, settings.engine.log_level
        self.loop.limit(settings.limits.limits())
        self.loop.budget.total = settings.limits.memory_bytes
        limit_messages(sockets, settings)
        if doors is not None:
            doors.move(settings.security.clients_folder)
        lines = [f"configuration read again: took {', '.join(taken) if taken else 'nothing new'}"]
        if waiting:
            lines.append(f"configuration: {', '.join(waiting)} changed; that needs a restart")
        return lines

    def close(self) -> None:
        """Close sockets, journal and metrics; a second call does nothing."""
        self._stack.close()

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lines(self) -> list[str]:
        """What to say at the start: where it listens, what it learns, where it resumes."""
        settings, state = self.settings, self.state
        where = [f"{key} {endpoint}" for key, endpoint in self.sockets.endpoints.items()]
        where += [f"subscribe {endpoint}" for endpoint in settings.ingest.subscribe]
        if self.metrics is not None:
            where.append(f"metrics {self.metrics.url}/metrics")
        models = ", ".join(
            f"{name} ({_family(spec)}, {_components(spec)})" for name, spec in state.plan.specs.items()
        )
        kernels = f"{IMPLEMENTATION}, {WHY_NOT_COMPILED}" if WHY_NOT_COMPILED else IMPLEMENTATION
        lines = [
            f"engine {settings.engine.name}: {', '.join(where)}",
            f"models: {models}; kernels: {kernels}",
        ]
        lines += [f"note: {note}" for note in self.recovered.notes]
        if self.sockets.doors is not None:
            lines.append(f"keys: asked for by every socket; {self.sockets.doors.clients} clients are let in")
        if not self.loop.budget.fits:
            lines.append("note: limits.memory_bytes leaves no room for queues; rows may be dropped at once")
        return [*lines, self._journal_line()]

    def _journal_line(self) -> str:
        if self.journal is None:
            return "journal: off; nothing is recorded, and a restart begins anew"
        found = self.recovered
        path = self.settings.journal.path
        if not found.state.offset:
            return f"journal: {path}, new, durability {self.settings.journal.durability}"
        start = "the start" if found.checkpoint is None else f"the checkpoint at {found.checkpoint}"
        return (
            f"journal: {path}, resumed at offset {found.state.offset} from {start} and {found.frames} frames"
        )

    def _report(self, loop: Loop) -> None:
        now = self._clock.now()
        soon = now < self._reported + REPORT_SECONDS and not loop.draining
        if self.metrics is None or soon:
            return
        self._reported = now
        found = loop.holding.told(_health(loop.state))
        counters = loop.state.counters
        counts = {item.name: getattr(counters, item.name) for item in fields(Counters)}
        del counts["frames_refused"]
        tally, asked, doors = loop.tally, loop.questions, self.sockets.doors
        status = "overloaded" if loop.budget.over and loop.holding.reason is None else found.status
        status = "draining" if loop.draining else status
        self.metrics.show(
            Report(
                made=now, ready=not loop.draining, status=status, offset=loop.state.offset, **counts,
                groups=tally.groups, published=loop.published, queries=asked.count if asked else 0,
                checkpoints=tally.checkpoints, rejected=dict(tally.rejected),
                journal_offset=self.journal.committed if self.journal else 0,
                models=found.models, engine=found.engine, unsaid=loop.unsaid, dropped=loop.budget.dropped,
                answers_unread=asked.unread if asked else 0, memory_level=loop.budget.level,
                memory_budget=loop.budget.total, commits=tally.commits, commit_seconds=tally.commit_seconds,
                lag_seconds=tally.lag_seconds, unlearned=dict(loop.learning.unlearned),
                unsteady=loop.learning.unsteady, clients=doors.clients if doors else 0,
                handshakes=doors.let_in if doors else 0, strangers=dict(doors.refused) if doors else {},
                ignored=dict(doors.ignored) if doors else {}, **_acknowledged(loop.acking),
            )
        )  # fmt: skip


def _family(spec: Spec) -> str:
    """Which components a model has, in words."""
    family = f"one of {', '.join(spec.families)}" if spec.families else spec.family
    degrees = spec.degrees_of_freedom
    return family if degrees is None else f"{family}, Student's t with {degrees:g} degrees of freedom"


def _components(spec: Spec) -> str:
    """How many components a model has, in words."""
    return f"{spec.n_components} components" if spec.up_to is None else f"up to {spec.up_to} components"


def _health(state: EngineState) -> Health:
    _, effects = step(state, Ask(Query("health")))
    return next(e.message for e in effects if isinstance(e, Reply) and isinstance(e.message, Health))


def _acknowledged(acking: Acking | None) -> dict[str, Any]:
    if acking is None:
        return {}
    tally, (frames, size) = acking.tally, acking.credit
    return {
        "acks": tally.acks, "nacks": dict(tally.nacks), "repeated": tally.duplicates,
        "sources": len(acking.done), "credit_frames": frames, "credit_bytes": size,
    }  # fmt: skip


@contextmanager
def _advised() -> Iterator[None]:
    """Says beside damage what can be done: an engine does not start on what it cannot believe."""
    try:
        yield
    except JournalError as error:
        if not error.reason.startswith("damaged"):
            raise
        advice = "`stream-mix journal repair` writes what can be believed to a new file"
        raise JournalError(error.path, f"{error.reason}; {advice}", error.offset) from None


def _journal(settings: Settings, connect: Connect) -> Journal:
    journal = settings.journal
    return Journal.open(
        journal.path,
        durability=journal.durability,
        keep_checkpoints=journal.keep_checkpoints,
        keep_dead_letters=journal.dead_letters,
        retention=Retention(journal.segment_bytes, journal.keep_bytes, journal.keep_seconds),
        meta={"settings": settings.text(), "stream_mix": settings.engine.name},
        connect=connect,
    )


def _done(journal: Journal | None, connect: Connect) -> dict[str, Done]:
    """How far the sources are whose frames are acknowledged; without a journal nobody remembers."""
    if journal is None:
        return {}
    with JournalReader.open(journal.path, connect=connect) as reader:
        return reader.sources()


def _keep_settings(journal: Journal, settings: Settings, connect: Connect) -> None:
    """Keeps the settings that the whole journal was folded by: a replay that is told no others uses these."""
    text = settings.text()
    with JournalReader.open(journal.path, connect=connect) as reader:
        if reader.meta.get("settings") == text:
            return
    journal.set_meta("settings", text)
    journal.commit()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port) if port != "*" else 0
