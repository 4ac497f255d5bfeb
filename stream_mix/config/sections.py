"""The tables of a configuration file, each a frozen record; types, ranges and meanings are at the fields."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from stream_mix.config.addresses import Address, parse_endpoint, parse_host_port, parse_seconds
from stream_mix.config.errors import NUMBER

if TYPE_CHECKING:
    from stream_mix.mixture import Spec
    from stream_mix.protocol.limits import Limits

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit")
    return text


def _bind(text: str) -> str:
    if text:
        parse_endpoint(text)
    return text


def _connect(text: str) -> str:
    parse_endpoint(text, bind=False)
    return text


def _auto(value: object, number: ValidatorFunctionWrapHandler) -> object:
    return value if value == "auto" else number(value)


def _http(text: str) -> str:
    if text:
        parse_host_port(text)
    return text


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) < len(values):
        raise ValueError("a list without repetition")
    return values


# Numbers and truth values are strict: TOML has types, so text that looks like a number is an error.
Text = Annotated[str, Field(strict=True)]
Truth = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Count = Annotated[int, Field(strict=True, ge=1)]
Components = Annotated[
    Annotated[Count, Tag(NUMBER)] | Annotated[Literal["auto"], Tag("auto")],
    Discriminator(lambda value: "auto" if value == "auto" else NUMBER),
]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(strict=True), AfterValidator(_name)]
Bind = Annotated[str, Field(strict=True), AfterValidator(_bind)]
Connect = Annotated[str, Field(strict=True), AfterValidator(_connect)]
Http = Annotated[str, Field(strict=True), AfterValidator(_http)]
Seconds = Annotated[float, BeforeValidator(parse_seconds)]
if TYPE_CHECKING:
    PositiveOrAuto = float | Literal["auto"]
else:  # not a union, whose errors would be those of both of its halves
    PositiveOrAuto = Annotated[Positive, WrapValidator(_auto)]


class Section(BaseModel):
    """A table of the file: frozen, and a key that it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Engine(Section):
    """``[engine]``: what the whole process shares."""

    name: Name = "stream_mix"
    """names this engine in logs, metrics and snapshots"""
    features: Annotated[tuple[Text, ...], AfterValidator(_distinct)] = ()
    """the features, in order; empty: taken from the stream as they appear"""
    log: Literal["words", "json"] = "words"
    """lines of the log: for people, or a JSON object each"""
    log_level: Literal["info", "warning", "error"] = "info"
    """the least that is logged"""


class Ingest(Section):
    """``[ingest]``: where rows come from."""

    push: Bind = "tcp://127.0.0.1:5555"
    """PULL socket that producers PUSH to; "" = off"""
    subscribe: Annotated[tuple[Connect, ...], AfterValidator(_distinct)] = ()
    """PUB feeds to subscribe to"""
    topics: tuple[Text, ...] = ("",)
    """topic prefixes taken from those feeds; "" = all"""
    high_water_mark: Count = 1000
    """frames held per peer before the sender waits (PUSH) or the feed drops (PUB); fewer in a small memory"""
    acked: Bind = "tcp://127.0.0.1:5558"
    """ROUTER socket of producers whose frames are acknowledged when they are durable; "" = off"""
    credit_frames: Count = 256
    """frames that one source may have unacknowledged,"""
    credit_bytes: Count = 16 << 20
    """and bytes of them,"""
    credit_bytes_together: Count = 64 << 20
    """and bytes of all sources that are at work, who share them"""
    acked_sources: Count = 10_000
    """sources that may ever be acknowledged; none is forgotten, a further one is refused"""


class Publish(Section):
    """``[publish]``: what the engine says."""

    bind: Bind = "tcp://127.0.0.1:5556"
    """XPUB socket of assignments, snapshots, changes and heartbeats; "" = off"""
    snapshot_every_rows: Count = 10_000
    """a snapshot of each model after so many rows"""
    snapshot_every_seconds: Positive = 1.0
    """and after so long, if rows came since the last"""
    heartbeat_seconds: Positive = 1.0
    """time between heartbeats"""
    responsibilities: Truth = True
    """false: labels, densities and outlier probabilities only, no matrix p"""
    high_water_mark: Count = 1000
    """messages held per subscriber before its next ones are dropped"""


class Query(Section):
    """``[query]``: questions that never change a model."""

    bind: Bind = "tcp://127.0.0.1:5557"
    """ROUTER socket for snapshot, predict, score and health; "" = off"""


class Metrics(Section):
    """``[metrics]``: HTTP for monitoring."""

    bind: Http = "127.0.0.1:9464"
    """HOST:PORT of /metrics (Prometheus), /health and /ready; "" = off"""


class Journal(Section):
    """``[journal]``: the recording that a restart and a replay read."""

    path: Text = ""
    """SQLite file, relative to where the engine is started; "" = off: no record, no resume"""
    durability: Literal["fsync", "os", "off"] = "fsync"
    """what a commit survives: fsync a power cut, os the death of the process, off neither"""
    checkpoint_every_rows: Count = 100_000
    """rows between checkpoints, which bound the work of a restart"""
    keep_checkpoints: Count = 3
    """checkpoints kept"""
    record_outputs: Truth = True
    """keep what was published too, for `replay --verify`; false: about half the size"""
    # More than the 64 that would do for large frames, which the bytes bound anyway: with 200 bytes to a frame
    # 512 are three times as fast, and a lone frame never waits for others.
    commit_frames: Count = 512
    """a commit after so many frames,"""
    commit_bytes: Count = 4 << 20
    """or so many bytes,"""
    commit_seconds: NotNegative = 0.005
    """or this long, whichever is first"""
    segment_bytes: Count = 64 << 20
    """old rows are dropped in stretches of so many bytes; with neither of the next two, none are"""
    keep_bytes: Count | None = None
    """rows and outputs kept, at least; older ones are dropped, but never those after the oldest checkpoint"""
    keep_seconds: Seconds | None = None
    """and those this much older than the newest are dropped; seconds, or text such as "12h" or "30d" """
    dead_letters: Annotated[int, Field(strict=True, ge=0)] = 1000
    """refused frames kept with their reasons, at most 4 KiB of each, the oldest dropped first"""


class FrameLimits(Section):
    """``[limits]``: what a sender may choose, checked before memory is taken for it."""

    frame_bytes: Count = 1 << 20
    """bytes of one frame"""
    rows: Count = 65_536
    """rows of one frame, items of one array"""
    features: Count = 1024
    """features of one frame"""
    cells: Count = 1 << 20
    """rows times features of one frame"""
    string: Count = 256
    """bytes of one name or id"""
    nesting: Count = 8
    """depth of maps and arrays"""
    memory_bytes: Annotated[int, Field(strict=True, ge=1 << 28)] = 1 << 30
    """memory of the process: above half of it queues and credit shrink, near it pushed frames are dropped"""

    def limits(self) -> Limits:
        """Return them as the codec takes them."""
        from stream_mix.protocol.limits import Limits

        return Limits(**self.model_dump(exclude={"memory_bytes"}))


class Security(Section):
    """``[security]``: who may reach the sockets."""

    server_key: Text = ""
    """secret file of `stream-mix keys new`; set, every bound socket asks for a key (CURVE); "" = no keys"""
    clients: Text = ""
    """folder of those who are let in, read again when it changes; "" = `clients` beside the server key"""
    allow_insecure: Truth = False
    """true: bind addresses that other machines can reach, without encryption or keys"""

    @property
    def clients_folder(self) -> str:
        """The folder of those who are let in."""
        return self.clients or os.path.join(os.path.dirname(self.server_key), "clients")


class Model(Section):
    """``[[models]]``: a model of the stream. At most one memory; without one, nothing is forgotten."""

    name: Name = "mixture"
    """names the model in topics and commands"""
    family: Literal["kmeans", "spherical", "diag", "tied", "full", "auto"] = "full"
    """equal spheres, spheres, upright ellipses, one ellipse for all, any; "auto": which foretells best"""
    n_components: Components = 8
    """number of components; "auto": as many as the rows speak for, and anew as they come"""
    up_to: Count = 64
    """most components where `n_components` is "auto" """
    assignment: Literal["soft", "hard"] | None = None
    """a row counts for components by share, or for the best alone; absent: kmeans hard, the others soft"""
    half_life: PositiveOrAuto | None = None
    """memory: rows after which a row counts half; "auto": what foretells the stream best"""
    time_half_life: Seconds | None = None
    """memory: event time after which a row counts half; seconds, or text such as "10m" or "2h" """
    window: Count | None = None
    """memory: only about the last so many rows count"""
    step_exponent: Annotated[float, Field(gt=0.5, le=1.0, allow_inf_nan=False)] | None = None
    """memory: about rows^step_exponent rows count, > 0.5 and <= 1: the first ones are forgotten, slowly"""
    averaged: Truth = False
    """true: such steps, by 0.6 unless given, averaged over the second half of the stream"""
    batch_size: Count = 256
    """rows learned at once; rows wait until their batch is full"""
    lateness: Seconds | None = None
    """event time by which a row may be older than the newest before it; older ones are judged, not learned"""
    degrees_of_freedom: Positive | None = None
    """components are Student's t with so many, 4 is usual: rows far out hardly move them; absent: normal"""
    robust: bool = False
    """true: rows that no component accounts for are labelled -1 and not learned from"""
    random_state: Annotated[int, Field(strict=True, ge=0, lt=1 << 32)] = 0
    """seed of the start"""
    reg_covar: NotNegative = 1e-6
    """added to every variance, in squared scales of the feature"""

    @model_validator(mode="after")
    def _one_memory(self) -> Model:
        keys = "half_life", "time_half_life", "window", "step_exponent", "averaged"
        given = [key for key in keys if getattr(self, key) not in (None, False)]
        if len(given) > 1 and not {"step_exponent", "averaged"} >= set(given):
            raise rule(f"found {' and '.join(given)}, expected at most one memory")
        return self

    @model_validator(mode="after")
    def _number_of_spheres(self) -> Model:
        if self.family == "kmeans" and self.n_components == "auto":
            raise rule('found n_components "auto" with family "kmeans", expected a number or another family')
        if self.family == "kmeans" and self.degrees_of_freedom is not None:
            raise rule('found degrees_of_freedom with family "kmeans", expected another family')
        return self

    def spec(self) -> Spec:
        """Return the mixture's own description of this model."""
        from stream_mix import mixture
        from stream_mix.mixture.steps import stepping

        memory: Any
        auto = self.n_components == "auto"
        k = 1 if self.n_components == "auto" else self.n_components
        if self.half_life == "auto":
            memory = mixture.Adaptive.suited(k, self.batch_size)
        elif self.half_life is not None:
            memory = mixture.HalfLife(self.half_life)
        elif self.time_half_life is not None:
            memory = mixture.TimeHalfLife(self.time_half_life)
        elif self.window is not None:
            memory = mixture.Window(self.window)
        else:
            memory = stepping(self.step_exponent, self.averaged, k, self.batch_size) or mixture.Forever()
        return mixture.Spec(
            n_components=k,
            up_to=self.up_to if auto else None,
            **mixture.named_family(self.family),
            assignment=self.assignment,
            memory=memory,
            prior=mixture.Prior(reg_covar=self.reg_covar),
            batch_size=self.batch_size,
            random_state=self.random_state,
            lateness=self.lateness,
            degrees_of_freedom=self.degrees_of_freedom,
            robust=self.robust,
        )


def rule(message: str) -> PydanticCustomError:
    """Break a rule that spans several keys: the message says all of it."""
    return PydanticCustomError("rule", "{message}", {"message": message})


def check_endpoints(
    ingest: Ingest, publish: Publish, query: Query, metrics: Metrics, security: Security
) -> None:
    """Refuse a bind that others can reach unasked, an address bound twice, an engine that feeds itself."""
    texts = {
        "ingest.push": ingest.push, "ingest.acked": ingest.acked, "publish.bind": publish.bind,
        "query.bind": query.bind,
    }  # fmt: skip
    binds: dict[str, Address] = {key: parse_endpoint(text) for key, text in texts.items() if text}
    if metrics.bind:
        texts["metrics.bind"] = metrics.bind
        binds["metrics.bind"] = parse_host_port(metrics.bind)
    seen: dict[str, Address] = {}
    for key, address in binds.items():
        locked = bool(security.server_key) and key != "metrics.bind"  # HTTP has no keys
        if not (address.loopback or locked or security.allow_insecure):
            http = key == "metrics.bind"
            such = "127.0.0.1:PORT" if http else "tcp://127.0.0.1:PORT, ipc://PATH"
            keys = "" if http else "[security] server_key, "
            raise rule(
                f"{key}: found {texts[key]!r}, which other machines can reach, expected a loopback address "
                f"({such}), {keys}or [security] allow_insecure = true"
            )
        for other, taken in seen.items():
            if address.clashes(taken):
                raise rule(
                    f"{key}: found {texts[key]!r}, which {other} has already, expected an address of its own"
                )
        seen[key] = address
    for text in ingest.subscribe:
        for key, address in seen.items():
            if parse_endpoint(text, bind=False).clashes(address):
                raise rule(
                    f"ingest.subscribe: found {text!r}, which is this engine's {key}, expected another feed"
                )
    if not (ingest.push or ingest.acked or ingest.subscribe):
        raise rule("ingest: found push and acked off and no subscribe, expected one source of rows at least")
