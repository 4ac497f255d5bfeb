"""Asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
import zmq

from ..protocol import (
    DEFAULT_LIMITS,
    ErrorReply,
    Health,
    Limits,
    Prediction,
    ProtocolError,
    Reply,
    Scores,
    Snapshot,
    decode_reply,
    encode_query,
)
from .base import QUERY, REFUSED_KEY, Client, ClientError, KeysLike, RowsLike

_Answer = TypeVar("_Answer", Snapshot, Health, Prediction, Scores)
QueryKind = Literal["snapshot", "predict", "score", "health"]


class Query(Client):
    """Asks an engine; nothing it asks changes a model.

    - `timeout`: seconds to wait for an answer.
    - `keys`: secret file of this client, where the engine asks for keys.
    """

    def __init__(
        self,
        endpoint: str = QUERY,
        *,
        timeout: float = 5.0,
        limits: Limits = DEFAULT_LIMITS,
        keys: KeysLike = None,
    ) -> None:
        super().__init__(endpoint, zmq.REQ, 0.0, keys)
        self._timeout = timeout
        self._limits = limits
        # An answer that comes too late must not be taken for that to the next question.
        self._socket.set(zmq.REQ_CORRELATE, 1)
        self._socket.set(zmq.REQ_RELAXED, 1)
        # Without a connection left, as after a refusal, a question cannot even leave.
        self._socket.set(zmq.SNDTIMEO, round(timeout * 1000))
        self._connect()

    def snapshot(self, model: str | None = None) -> Snapshot:
        """The whole model; None is the engine's only one."""
        return self._ask(Snapshot, "snapshot", model=model)

    def health(self) -> Health:
        """How the engine and its models are doing."""
        return self._ask(Health, "health")

    def predict(
        self, rows: RowsLike, *, model: str | None = None, features: Sequence[str] | None = None
    ) -> Prediction:
        """Responsibilities, labels, log densities and outlier scores of rows, as `Producer.send` takes
        them."""
        return self._ask(Prediction, "predict", model=model, **_rows(rows, features))

    def score(
        self, rows: RowsLike, *, model: str | None = None, features: Sequence[str] | None = None
    ) -> Scores:
        """Log densities of rows."""
        return self._ask(Scores, "score", model=model, **_rows(rows, features))

    def _unanswered(self) -> ClientError:
        why = f"no answer within {self._timeout:g} s; {self._nobody}"
        return ClientError(f"{self.endpoint}: {REFUSED_KEY if self.refused_key else why}")

    def _ask(self, want: type[_Answer], kind: QueryKind, **parts: Any) -> _Answer:
        self._check()
        self._knock()
        try:
            question = encode_query(kind, limits=self._limits, **parts)
            if self._shut_out:
                raise self._unanswered()
            self._socket.send(question)
            if not self._meets(zmq.POLLIN, self._timeout):
                raise self._unanswered()
            reply: Reply = decode_reply(self._socket.recv())
        except zmq.Again:
            raise self._unanswered() from None
        except ProtocolError as error:
            raise ClientError(f"{kind}: {error.reason}") from None
        if isinstance(reply, ErrorReply):
            raise ClientError(f"{kind}: {reply.reason}")
        if not isinstance(reply, want):
            raise ClientError(f"{kind}: answered by another kind of message")
        return reply


def _rows(rows: RowsLike, features: Sequence[str] | None) -> dict[str, Any]:
    if isinstance(rows, Mapping):
        return {"rows": [{"x": rows}]}
    if isinstance(rows, Sequence) and len(rows) and isinstance(rows[0], Mapping):
        return {"rows": [{"x": row} for row in rows]}
    try:
        return {"x": np.atleast_2d(np.asarray(rows, dtype=np.float64)), "features": features}
    except (TypeError, ValueError):
        raise ClientError("rows are neither maps of features nor an array of numbers") from None
