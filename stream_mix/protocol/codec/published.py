"""What an engine publishes: two parts, a topic for plain subscription filters and a map."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from typing import Any

from ..errors import ProtocolError, show
from ..limits import PUBLISHED_LIMITS, Limits
from ..messages import CHANGES, Assignment, Change, Heartbeat, Published, Snapshot
from .answers import put_prediction, take_prediction
from .arrays import floats, pack_array, pack_tree, unpack_tree
from .wire import (
    VERSION,
    Data,
    Map,
    integers,
    kind_of,
    names,
    natural,
    number_or_none,
    open_map,
    pack,
    submap,
    text,
)

_TREES = ("moments", "basis", "engine")
_LATE = "validity"
"""A tree that came later: left out where it is empty, as older engines do."""
_DEGREES = "degrees_of_freedom"
"""It came later too, and is left out where components are normal."""


def topic(message: Published) -> str:
    """Return the topic a message is published under: its kind, and its model where it has one.

    >>> topic(Heartbeat(pub_seq=0, offset=0, t=None))
    'heartbeat'
    """
    match message:
        case Assignment():
            return f"assignment/{message.model}"
        case Snapshot():
            return f"snapshot/{message.model}"
        case Change():
            return f"change/{message.model}"
        case Heartbeat():
            return "heartbeat"


def encode_published(message: Published) -> list[bytes]:
    """Return the two parts [topic, map] of a message; raises ProtocolError where it holds no plain values.

    >>> encode_published(Heartbeat(pub_seq=0, offset=0, t=None))[0]
    b'heartbeat'
    """
    match message:
        case Assignment():
            body = _assignment_map(message)
        case Snapshot():
            body = snapshot_map(message)
        case Change():
            body = {"kind": "change", "v": VERSION, "model": message.model, "offset": message.offset,
                    "t": _time(message.t), "change": message.change, "component": message.component,
                    "from": message.parents}
        case Heartbeat():
            body = {"kind": "heartbeat", "v": VERSION, "pub_seq": message.pub_seq, "offset": message.offset,
                    "t": _time(message.t)}
    return [topic(message).encode(), pack(body)]


def decode_published(parts: Sequence[Data], limits: Limits = PUBLISHED_LIMITS) -> Published:
    """Return the message in the two parts; keys not known here are ignored, for engines newer than this.

    Raises ProtocolError: multipart (not two parts), value (topic and map disagree), and what the keys raise.

    >>> decode_published(encode_published(Heartbeat(pub_seq=3, offset=10, t=1.5)))
    Heartbeat(pub_seq=3, offset=10, t=1.5)
    """
    if len(parts) != 2:
        raise ProtocolError("multipart", f"message: expected the 2 parts topic and map, got {len(parts)}")
    body = open_map(parts[1], limits)
    message: Published
    match kind_of(body, ("assignment", "snapshot", "change", "heartbeat")):
        case "assignment":
            seq = natural(body, "seq") if body.get("seq") is not None else None
            source = text(body, "source") if body.get("source") is not None else None
            message = Assignment(source=source, seq=seq, **take_prediction(body))
        case "snapshot":
            message = take_snapshot(body, limits)
        case "change":
            message = _take_change(body)
        case _:
            message = Heartbeat(natural(body, "pub_seq"), natural(body, "offset"), number_or_none(body, "t"))
    expected = topic(message)
    if parts[0] != expected.encode():
        raise ProtocolError("value", f"topic: expected {show(expected)} for this message, got another")
    return message


def _assignment_map(message: Assignment) -> Map:
    body: Map = {
        "kind": "assignment", "v": VERSION, "model": message.model,
        "source": message.source, "seq": message.seq,
    }
    put_prediction(body, message)
    return body


def snapshot_map(message: Snapshot) -> Map:
    """Return the map of a snapshot, as published and as the answer to a query."""
    nesting = PUBLISHED_LIMITS.nesting
    told = _TREES if not message.validity else (*_TREES, _LATE)
    trees: Map = {key: pack_tree(dict(getattr(message, key)), nesting, key) for key in told}
    degrees = message.degrees_of_freedom
    return {
        "kind": "snapshot", "v": VERSION, "model": message.model, "pub_seq": message.pub_seq,
        "generation": message.generation, "offset": message.offset, "t": _time(message.t),
        "family": message.family, "features": message.features, "components": message.components,
        "weights": pack_array(message.weights), "means": pack_array(message.means),
        "covariances": pack_array(message.covariances), **trees,
        **({} if degrees is None else {_DEGREES: degrees}),
    }


def take_snapshot(body: Map, limits: Limits) -> Snapshot:
    """Return the snapshot in a map; raises ProtocolError, shape where its arrays contradict each other."""
    components = integers(body, "components")
    weights, means, covariances = (floats(body, key) for key in ("weights", "means", "covariances"))
    k = len(components)
    if weights.shape != (k,) or means.ndim != 2 or len(means) != k:
        shapes = f"weights {weights.shape} and means {means.shape}"
        raise ProtocolError("shape", f"snapshot: {shapes} of {k} components")
    d = means.shape[1]
    if covariances.shape not in ((k,), (k, d), (d, d), (k, d, d)):
        raise ProtocolError("shape", f"snapshot: covariances {covariances.shape} with k={k}, d={d}")
    features = None if body.get("features") is None else names(body, "features")
    if features is not None and len(features) != d:
        raise ProtocolError("shape", f"features: expected {d} names, got {len(features)}")
    told = (*_TREES, _LATE) if _LATE in body else _TREES
    trees: dict[str, Any] = {key: unpack_tree(submap(body, key), limits, key) for key in told}
    if not all(type(tree) is dict for tree in trees.values()):
        raise ProtocolError("type", f"snapshot: expected maps for {', '.join(told)}")
    return Snapshot(
        text(body, "model"), natural(body, "pub_seq"), natural(body, "generation"), natural(body, "offset"),
        number_or_none(body, "t"), text(body, "family"), features, components, weights, means,
        covariances, degrees_of_freedom=_take_degrees(body), **trees,
    )


def _take_degrees(body: Map) -> float | None:
    degrees = number_or_none(body, _DEGREES) if _DEGREES in body else None
    if degrees is not None and not 0 < degrees < inf:
        raise ProtocolError("value", f"{_DEGREES}: expected a number above 0, got {show(degrees)}")
    return degrees


def _take_change(body: Map) -> Change:
    change: Any = text(body, "change")
    if change not in CHANGES:
        known = ", ".join(sorted(CHANGES))
        raise ProtocolError("value", f"change: expected one of {known}, got {show(change)}")
    return Change(
        text(body, "model"), natural(body, "offset"), number_or_none(body, "t"), change,
        natural(body, "component", least=-1), integers(body, "from"),
    )


def _time(t: float | None) -> float | None:
    return t if t is not None and isfinite(t) else None
