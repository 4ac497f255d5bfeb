"""Questions to an engine, and its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy.typing as npt

from ..errors import ProtocolError
from ..limits import DEFAULT_LIMITS, PUBLISHED_LIMITS, Limits
from ..messages import ErrorReply, Health, Prediction, Query, QueryKind, Reply, Scores, Snapshot
from .answers import as_bin, log_density, put_prediction, refused_rows, take_prediction
from .arrays import pack_tree, unpack_tree
from .frames import decode_rows, events_map
from .points import points_map
from .published import snapshot_map, take_snapshot
from .wire import VERSION, Data, Map, kind_of, natural, only_keys, open_map, pack, submap, text

KINDS = frozenset(("snapshot", "predict", "score", "health"))
_PLAIN_KEYS = frozenset(("kind", "v", "model"))


def decode_query(data: Data, limits: Limits = DEFAULT_LIMITS) -> Query:
    """Return the question in a message; raises only ProtocolError, whatever the bytes.

    predict and score carry rows in either form of ingest: the keys of `points`, or `rows`.

    >>> decode_query(encode_query("predict", x=[[1.0, 2.0]])).frame.x
    array([[1., 2.]])
    """
    message = open_map(data, limits)
    kind: Any = kind_of(message, KINDS)
    model = text(message, "model") if "model" in message else None
    if kind in ("predict", "score"):
        return Query(kind, model, decode_rows(message, limits))
    only_keys(message, _PLAIN_KEYS)
    return Query(kind, model)


def encode_query(
    kind: QueryKind, *, model: str | None = None, x: npt.ArrayLike | None = None,
    rows: Sequence[Mapping[str, Any]] | None = None, t: npt.ArrayLike | None = None,
    id: Sequence[str | int] | None = None, features: Sequence[str] | None = None,
    dtype: Literal["f4", "f8"] = "f8", limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """Return a question; predict and score take (n, d) rows `x` with `t`, `id`, `features`, or else `rows`.

    Raises ProtocolError where an engine of these limits would refuse it.

    >>> decode_query(encode_query("health")).kind
    'health'
    """
    message: Map = {}
    if rows is not None:
        message = events_map(rows)
    elif x is not None:
        message = points_map(x, t=t, id=id, features=features, dtype=dtype)
    message |= {"kind": kind, "v": VERSION}
    if model is not None:
        message["model"] = model
    data = pack(message)
    decode_query(data, limits)
    return data


def encode_reply(reply: Reply) -> bytes:
    """Return the bytes of an answer.

    >>> decode_reply(encode_reply(ErrorReply("kind", "no such thing")))
    ErrorReply(code='kind', reason='no such thing')
    """
    match reply:
        case Snapshot():
            body = snapshot_map(reply)
        case Prediction():
            body = {"kind": "predict", "v": VERSION, "model": reply.model}
            put_prediction(body, reply)
        case Scores():
            body = {"kind": "score", "v": VERSION, "model": reply.model, "offset": reply.offset,
                    "generation": reply.generation, "n": len(reply.log_density), "score": reply.score,
                    "log_density": as_bin(reply.log_density)}
            if reply.refused:
                body["refused"] = reply.refused
        case Health():
            trees = {key: pack_tree(dict(getattr(reply, key)), PUBLISHED_LIMITS.nesting, key)
                     for key in ("models", "engine")}
            body = {"kind": "health", "v": VERSION, "status": reply.status, "offset": reply.offset, **trees}
        case ErrorReply():
            body = {"kind": "error", "v": VERSION, "code": reply.code, "reason": reply.reason}
    return pack(body)


def decode_reply(data: Data, limits: Limits = PUBLISHED_LIMITS) -> Reply:
    """Return the answer in a message; raises only ProtocolError. An `error` is returned, not raised."""
    body = open_map(data, limits)
    match kind_of(body, (*KINDS, "error")):
        case "snapshot":
            return take_snapshot(body, limits)
        case "predict":
            return Prediction(**take_prediction(body))
        case "score":
            return Scores(text(body, "model"), natural(body, "offset"), natural(body, "generation"),
                          log_density(body), refused_rows(body))
        case "health":
            models, engine = (unpack_tree(submap(body, key), limits, key) for key in ("models", "engine"))
            if type(models) is not dict or type(engine) is not dict:
                raise ProtocolError("type", "health: expected maps for models and engine")
            return Health(text(body, "status"), natural(body, "offset"), models, engine)
        case _:
            return ErrorReply(text(body, "code"), text(body, "reason"))
