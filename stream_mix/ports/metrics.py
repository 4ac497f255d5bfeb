"""What an engine tells a monitor: /metrics for Prometheus, /health as JSON, /ready."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

STUCK_SECONDS = 10.0
"""A disk or a model may hold the loop up for seconds; after so many it counts as stuck."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsError(ValueError):
    """The metrics endpoint cannot be opened; the message is one line that names it."""


@dataclass(frozen=True, slots=True)
class Report:
    """An engine in numbers at one moment; the loop makes one now and then, the HTTP thread reads the
    latest."""

    made: float = 0.0
    ready: bool = False
    status: str = "starting"
    offset: int = 0
    frames: int = 0
    rows: int = 0
    rows_refused: int = 0
    gaps: int = 0
    duplicates: int = 0
    groups: int = 0
    published: int = 0
    queries: int = 0
    checkpoints: int = 0
    journal_offset: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    unlearned: Mapping[str, int] = field(default_factory=dict)
    unsteady: int = 0
    unsaid: int = 0
    dropped: int = 0
    answers_unread: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    lag_seconds: float = 0.0
    memory_level: float = 0.0
    memory_budget: int = 0
    clients: int = 0
    handshakes: int = 0
    strangers: Mapping[tuple[str, str], int] = field(default_factory=dict)
    ignored: Mapping[str, int] = field(default_factory=dict)
    acks: int = 0
    nacks: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0
    sources: int = 0
    credit_frames: int = 0
    credit_bytes: int = 0
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)


_COUNTERS = {
    "rows": "Rows accepted since the stream began.",
    "frames": "Frames accepted since the stream began.",
    "rows_refused": "Rows refused alone, in frames that were accepted.",
    "gaps": "Frames that a jump in a source's seq left out.",
    "duplicates": "Frames whose seq had been seen from their source; they were learned all the same.",
    "groups": "Groups of frames folded, each with one commit, in this run.",
    "published": "Messages published in this run.",
    "queries": "Questions answered in this run.",
    "checkpoints": "Checkpoints written in this run.",
    "unsaid": "Messages not published, as the numbers of their model could not be written.",
    "unsteady": "Groups of frames that raised an error together while none of them did alone: report it.",
    "dropped": "Pushed frames dropped unread, as the memory budget was used up.",
    "answers_unread": "Answers dropped, as whoever asked was gone or did not read.",
    "commits": "Commits to the journal in this run.",
    "commit_seconds": "Seconds spent on putting groups of frames into the journal in this run.",
    "acks": "Acknowledgements sent in this run.",
    "repeated": "Frames that came again where they are acknowledged; they were dropped.",
    "handshakes": "Clients whose key was let in, once for each connection in this run.",
}
_LABELLED: dict[str, tuple[str, tuple[str, ...]]] = {
    "rejected": ("Frames refused in this run, by reason.", ("reason",)),
    "unlearned": ("Frames refused as learning them raised an error, in this run: report it.", ("error",)),
    "strangers": ("Handshakes refused in this run.", ("endpoint", "reason")),
    "ignored": ("Messages of clients whose key is let in no more.", ("endpoint",)),
    "nacks": ("Times a frame was not acknowledged, in this run.", ("reason",)),
}
_GAUGES = {
    "offset": "Rows of the stream so far.",
    "journal_offset": "Rows that are durable in the journal.",
    "lag_seconds": "Seconds from the first look at the latest group of frames to what was said of it.",
    "memory_level": "Share of the memory budget in use, beyond what the process began with.",
    "memory_budget": "Bytes that limits.memory_bytes allows the process.",
    "clients": "Clients whose keys are let in.",
    "sources": "Sources whose frames are acknowledged, ever.",
    "credit_frames": "Frames that a source may have unacknowledged: few as memory fills, 0 without a disk.",
    "credit_bytes": "Bytes that a source may have unacknowledged: few as memory fills, 0 without a disk.",
}
_MODEL = {
    "generation": "Batches learned.",
    "components": "Components of the model.",
    "rows": "Rows taken, those waiting for their batch included.",
    "pending": "Rows that wait until their batch is full.",
    "late": "Rows judged but not learned because they came too late; 0 without a bound on lateness.",
    "log_likelihood": "Mean log density of recent rows, each before it was learned.",
    "effective_components": "exp of the entropy of the weights.",
    "half_life": "Half-life of the rows counted, in rows; absent where they count for ever, or by time.",
    "moving": "1 where clusters are taken to be on the move, with half_life = 'auto'.",
    "rival": "Nats that speak for another memory, with half_life = 'auto'; it takes over at 16.",
    "contender": "Nats that speak for another family, with family = 'auto'.",
    "lightest": "Weight of the lightest component.",
    "judged": "Batches learned when the figures of validity below were made, at a snapshot.",
    "bic": "Bayesian information criterion a row, in nats, twice; smaller is better.",
    "icl": "Integrated completed likelihood a row, in nats, twice; smaller is better.",
    "entropy": "Mean entropy of responsibilities, in nats; 0 where rows belong to one component each.",
    "silhouette": "Simplified silhouette, -1 to 1, expected over the mixture's own rows.",
    "xie_beni": "Compactness over separation (Xie and Beni); smaller is better.",
    "clusters": "Clusters, components that overlap being taken for one.",
    "stability": "Adjusted Rand index with a model that differs in its random_state alone.",
}


class EngineCollector(Collector):
    """Turns the latest report into Prometheus's families at the moment of a scrape."""

    def __init__(self) -> None:
        self.report = Report()

    def collect(self) -> Iterable[Metric]:
        """All families; a figure that is not known yet is left out."""
        report = self.report
        for name, text in _COUNTERS.items():
            yield CounterMetricFamily(f"stream_mix_{name}", text, value=getattr(report, name))
        for name, (text, labels) in _LABELLED.items():
            counter = CounterMetricFamily(f"stream_mix_{name}", text, labels=labels)
            for key, count in sorted(getattr(report, name).items()):
                counter.add_metric([key] if isinstance(key, str) else key, count)
            yield counter
        for name, text in _GAUGES.items():
            yield GaugeMetricFamily(f"stream_mix_{name}", text, value=getattr(report, name))
        yield GaugeMetricFamily("stream_mix_memory_bytes", "Resident memory of the process.", value=memory())
        for name, text in _MODEL.items():
            family = GaugeMetricFamily(f"stream_mix_model_{name}", text, labels=["model"])
            for model, numbers in report.models.items():
                if numbers.get(name) is not None:
                    family.add_metric([model], float(numbers[name]))
            yield family


def memory() -> int:
    """Resident memory of this process in bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _peak()


def _peak() -> int:
    """The most memory that the process ever had, which is what other systems tell without help."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class MetricsServer:
    """Serves the latest report over HTTP from a thread of its own.

    >>> server = MetricsServer("127.0.0.1", 0)
    >>> server.url.startswith("http://127.0.0.1:")
    True
    >>> server.close()
    """

    def __init__(self, host: str, port: int, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: the clock that reports carry."""
        self._collector = EngineCollector()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self._collector)
        try:
            server = _Server6 if ":" in host else ThreadingHTTPServer
            self._server = server((host, port), _handler(self._collector, registry, now))
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise MetricsError(f"metrics.bind: cannot bind {host}:{port}: {why}") from None
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), name="metrics", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def show(self, report: Report) -> None:
        """The report that is served from now on."""
        self._collector.report = report

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


def _handler(
    collector: EngineCollector, registry: CollectorRegistry, now: Callable[[], float]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            report = collector.report
            if self.path == "/metrics":
                self._say(200, CONTENT_TYPE, generate_latest(registry))
            elif self.path == "/health":
                stuck = _stuck(report, now())
                self._say(503 if stuck else 200, "application/json", _health(report, stuck))
            elif self.path == "/ready":
                ready = report.ready and not _stuck(report, now())
                self._say(200 if ready else 503, "text/plain", b"ready\n" if ready else b"not ready\n")
            else:
                self._say(404, "text/plain", b"expected /metrics, /health or /ready\n")

        def _say(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape every few seconds is nothing to report."""

    return Handler


def _stuck(report: Report, now: float) -> bool:
    """Whether the loop, which reports now and then, has not done so for long."""
    return report.status != "starting" and now > report.made + STUCK_SECONDS


def _health(report: Report, stuck: bool = False) -> bytes:
    body = {
        "status": "stuck" if stuck else report.status,
        "offset": report.offset,
        "journal_offset": report.journal_offset,
        "memory_bytes": memory(),
        "memory_level": round(report.memory_level, 3),
        "dropped": report.dropped,
        "rejected": dict(report.rejected),
        "unlearned": dict(report.unlearned),
        "models": {name: dict(numbers) for name, numbers in report.models.items()},
        "engine": dict(report.engine),
    }
    return json.dumps(body).encode() + b"\n"
