"""What may be said: one frozen record per message, independent of how it looks in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from .errors import Code

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32 | np.float64]
"""Read as float32, and written as that whichever of the two is given."""
I8 = npt.NDArray[np.int64]
RowId = str | int | None
"""What a producer calls a row; None only for a row of an `events` frame that has none while others do."""

QueryKind = Literal["snapshot", "predict", "score", "health"]
Durability = Literal["fsync", "os", "off"]
ChangeKind = Literal["born", "split", "merged", "died", "drift", "rebased"]
CHANGES: frozenset[str] = frozenset(("born", "split", "merged", "died", "drift", "rebased"))


class Refused(NamedTuple):
    """A row of an otherwise good frame that was not accepted: its index in the frame as sent, and why."""

    row: int
    code: Code
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Rows sent by a producer, checked; `x`, `t`, `w` and `id` hold the n accepted rows only.

    - `x`: (n, d) float64, NaN = missing, magnitudes at most 1e100, at least one value in each row; may be
      read-only.
    - `n_sent`: rows in the message, accepted and refused.
    - `t`: (n,) event time in Unix seconds, finite; None where the frame has none.
    - `w`: (n,) weights > 0, finite; None where the frame has none.
    - `features`: d distinct names in column order; None = by position.
    - `source`, `seq`: the producer and how many frames it sent before this one; None where it did not say.
    """

    x: F8
    n_sent: int
    source: str | None = None
    seq: int | None = None
    features: tuple[str, ...] | None = None
    t: F8 | None = None
    w: F8 | None = None
    id: tuple[RowId, ...] | None = None
    refused: tuple[Refused, ...] = ()

    @property
    def n(self) -> int:
        """Accepted rows."""
        return len(self.x)

    @property
    def d(self) -> int:
        """Features."""
        return int(self.x.shape[1])


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What a model says of n rows with its k components.

    - `components`: the k stable ids of the columns of `p`.
    - `label`: (n,) int64 stable ids, -1 while warming up and, where the model is `robust`, for noise.
    - `p`: (n, k) responsibilities, float32 when read, None where they are switched off.
    - `log_density`: (n,) float64, natural logarithm. `outlier`: (n,) tail probability in [0, 1].
    - `generation`, `offset`: batches learned, and rows taken, by the model that answered.
    - `refused`: indices of the frame's rows that were not accepted and are not among the n.
    """

    model: str
    offset: int
    generation: int
    components: tuple[int, ...]
    label: I8
    p: F4 | None
    log_density: F8
    outlier: F4
    id: tuple[RowId, ...] | None = None
    refused: tuple[int, ...] = ()

    @property
    def n(self) -> int:
        """Rows."""
        return len(self.label)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Assignment(Prediction):
    """A prediction published for one ingested frame; `offset` counts the accepted rows before that frame."""

    source: str | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A whole model as published: parameters in data units, and the moments and basis that they came from.

    - `weights`: (k,). `means`: (k, d). `covariances`: (k,), (k, d), (d, d) or (k, d, d), by `family`.
    - `degrees_of_freedom`: nu of components that are Student's t, whose scale matrices `covariances` then
      holds (the covariance is nu / (nu - 2) times as much, for nu > 2); None where they are normal.
    - `t`: latest event time, None where there was none. `features`: d names, None = by position.
    - `moments`, `basis`, `engine`: trees of plain values and arrays.
    - `validity`: figures of how good the clustering is, plain values, with the `generation` that they are of
      and the `clusters` that overlapping components make; empty from engines that did not tell.
    """

    model: str
    pub_seq: int
    generation: int
    offset: int
    t: float | None
    family: str
    features: tuple[str, ...] | None
    components: tuple[int, ...]
    weights: F8
    means: F8
    covariances: F8
    moments: Mapping[str, Any] = field(default_factory=dict)
    basis: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)
    validity: Mapping[str, Any] = field(default_factory=dict)
    degrees_of_freedom: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A component was born, split, merged or died, or (component -1) the stream drifted, or the model was
    rebased, at `offset`: its basis moved, or its family is another."""

    model: str
    offset: int
    t: float | None
    change: ChangeKind
    component: int
    parents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The engine lives; `t` is its clock in Unix seconds, `offset` the rows it has taken."""

    pub_seq: int
    offset: int
    t: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A question; `model` None = the only model. `frame` carries the rows of predict and score."""

    kind: QueryKind
    model: str | None = None
    frame: Frame | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Answer to score: (n,) log densities of the accepted rows; `score` is their mean on the wire."""

    model: str
    offset: int
    generation: int
    log_density: F8
    refused: tuple[int, ...] = ()

    @property
    def score(self) -> float:
        """Mean log density per row."""
        return float(np.mean(self.log_density))


@dataclass(frozen=True, slots=True)
class Health:
    """Answer to health: a word of state, rows taken, trees of plain values per model and for the engine."""

    status: str
    offset: int
    models: Mapping[str, Any] = field(default_factory=dict)
    engine: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """Answer to a query that was not understood or cannot be answered."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hello:
    """A producer asks how far its source is, and for credit; it is answered by an `Ack`.

    - `session`: a number that the producer drew when it began: one that says it holds the source alone until
      another session asks; None asks without holding.
    - `probe`: comes back in the answer, so that it can be told from any other ack.
    """

    source: str
    session: int | None = None
    probe: int | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """All frames of `source` up to `seq` are done: durable, or refused; -1 where none is.

    The producer may have `credit` frames of `credit_bytes` together beyond that one without an ack.
    """

    source: str
    seq: int
    credit: int
    credit_bytes: int
    durability: Durability
    probe: int | None = None


@dataclass(frozen=True, slots=True)
class Nack:
    """Frame `seq` is not learned, and why; -1 where the message did not say which frame it is.

    - `expected`: the frame was not taken at all, and the engine waits for this one; None: it is refused for
      good, counts as done, and the next ack covers it (with the code `source`: nothing of the source is taken
      from this producer).
    - `source`: None where the message did not say.
    """

    seq: int
    code: Code
    reason: str
    source: str | None = None
    expected: int | None = None


Published = Assignment | Snapshot | Change | Heartbeat
Receipt = Ack | Nack
Reply = Snapshot | Prediction | Scores | Health | ErrorReply
