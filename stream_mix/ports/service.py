"""An engine put together: journal opened, state recovered, sockets bound, loop run, all of it closed
again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from typing import TYPE_CHECKING

from ..engine import Ask, Counters, EngineState, Reply, new, step
from ..mixture import Spec
from ..mixture.kernels import IMPLEMENTATION, WHY_NOT_COMPILED
from ..protocol import Health, Query
from .clock import Clock
from .folding import Recovered, plan_of, recover
from .journal import Journal, JournalError, JournalReader
from .loop import Loop
from .metrics import MetricsServer, Report
from .sockets import Sockets, open_sockets

if TYPE_CHECKING:
    from ..config import Settings

REPORT_SECONDS = 0.25


class Service:
    """A running engine; `run` serves until told to stop. Use it in a `with` block."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        """Open everything. Raises ValueError, one line, for an address in use, a bad journal and the like."""
        self.settings = settings
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
            self.metrics = MetricsServer(*_host_port(settings.metrics.bind))
            self._stack.callback(self.metrics.close)
        # Sockets before the journal is read: of two engines started by mistake the second says so at once.
        self.sockets: Sockets = open_sockets(settings)
        self._stack.callback(self.sockets.close)
        if settings.journal.path:
            self.journal = self._stack.enter_context(_journal(settings))
            self.recovered = recover(self.journal.path, plan)
            known = len(self.recovered.state.features)
            if known > plan.max_features:
                why = f"has {known} features, limits.features is {plan.max_features}, expected {known}"
                raise JournalError(self.journal.path, why)
            _keep_settings(self.journal, settings)
        found = self.recovered
        self.loop = Loop(
            settings, found.state, self.sockets, self.journal, self._clock, self._report, found.checkpoint
        )

    @property
    def state(self) -> EngineState:
        """The engine as of the last group of frames."""
        return self.loop.state

    def run(self, stopped: Callable[[], bool]) -> None:
        """Serve until `stopped()`, then finish cleanly. Raises JournalError where the disk fails."""
        self.loop.run(stopped)

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
            f"{name} ({spec.family}, {_components(spec)})" for name, spec in state.plan.specs.items()
        )
        kernels = f"{IMPLEMENTATION}, {WHY_NOT_COMPILED}" if WHY_NOT_COMPILED else IMPLEMENTATION
        lines = [
            f"engine {settings.engine.name}: {', '.join(where)}",
            f"models: {models}; kernels: {kernels}",
        ]
        lines += [f"note: {note}" for note in self.recovered.notes]
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
        if self.metrics is None or now < self._reported + REPORT_SECONDS:
            return
        self._reported = now
        found = _health(loop.state)
        counters = loop.state.counters
        counts = {item.name: getattr(counters, item.name) for item in fields(Counters)}
        del counts["frames_refused"]
        tally = loop.tally
        self.metrics.show(
            Report(
                ready=True, status=found.status, offset=loop.state.offset, **counts,
                groups=tally.groups, published=loop.published, queries=tally.queries,
                checkpoints=tally.checkpoints, rejected=dict(tally.rejected),
                journal_offset=self.journal.next_offset if self.journal else 0,
                models=found.models, engine=found.engine,
            )
        )  # fmt: skip


def _components(spec: Spec) -> str:
    """How many components a model has, in words."""
    return f"{spec.n_components} components" if spec.up_to is None else f"up to {spec.up_to} components"


def _health(state: EngineState) -> Health:
    _, effects = step(state, Ask(Query("health")))
    return next(e.message for e in effects if isinstance(e, Reply) and isinstance(e.message, Health))


def _journal(settings: Settings) -> Journal:
    journal = settings.journal
    return Journal.open(
        journal.path,
        durability=journal.durability,
        keep_checkpoints=journal.keep_checkpoints,
        keep_dead_letters=journal.dead_letters,
        meta={"settings": settings.text(), "stream_mix": settings.engine.name},
    )


def _keep_settings(journal: Journal, settings: Settings) -> None:
    """Keeps the settings that the whole journal was folded by: a replay that is told no others uses these."""
    text = settings.text()
    with JournalReader.open(journal.path) as reader:
        if reader.meta.get("settings") == text:
            return
    journal.set_meta("settings", text)
    journal.commit()


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port) if port != "*" else 0
