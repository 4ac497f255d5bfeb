"""Questions and answers."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from stream_mix.protocol import (
    ErrorReply,
    Health,
    Prediction,
    ProtocolError,
    Scores,
    Snapshot,
    decode_query,
    decode_reply,
    encode_query,
    encode_reply,
)


@pytest.mark.parametrize("kind", ["snapshot", "health"])
@pytest.mark.parametrize("model", [None, "main"])
def test_plain_questions(kind: Any, model: str | None) -> None:
    query = decode_query(encode_query(kind, model=model))
    assert (query.kind, query.model, query.frame) == (kind, model, None)


@pytest.mark.parametrize("kind", ["predict", "score"])
def test_questions_with_rows_in_either_form(kind: Any) -> None:
    x = np.arange(6.0).reshape(3, 2)
    points = decode_query(
        encode_query(kind, model="main", x=x, features=["a", "b"], t=[1, 2, 3], id=["i", 2, 3]))
    assert points.frame is not None
    assert (points.frame.x.tolist(), points.frame.features, points.frame.id) == (
        x.tolist(), ("a", "b"), ("i", 2, 3))
    events = decode_query(encode_query(kind, rows=[{"x": {"a": 1.0}}, {"x": {"b": 2.0}}]))
    assert events.frame is not None
    assert events.frame.features == ("a", "b")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("kind", {"kind": "nonsense", "v": 1}),
        ("kind", {"kind": "points", "v": 1}),
        ("version", {"kind": "health", "v": 2}),
        ("missing_key", {"kind": "health"}),
        ("missing_key", {"kind": "predict", "v": 1}),
        ("unknown_key", {"kind": "health", "v": 1, "rows": []}),
        ("unknown_key", {"kind": "predict", "v": 1, "rows": [{"x": {"a": 1}}], "n": 1}),
        ("type", {"kind": "health", "v": 1, "model": 5}),
        ("value", {"kind": "score", "v": 1, "rows": [{"x": {"a": "seven"}}]}),
    ],
)
def test_bad_questions(code: str, message: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_query(msgpack.packb(message))
    assert caught.value.code == code


def test_a_client_hears_of_its_own_bad_question() -> None:
    with pytest.raises(ProtocolError):
        encode_query("predict")
    with pytest.raises(ProtocolError):
        encode_query("predict", x=[[float("inf")]])


def test_prediction() -> None:
    sent = Prediction(
        "main", 7, 2, (0, 3), np.array([3]), np.array([[0.25, 0.75]], np.float32), np.array([-2.5]),
        np.array([0.5], np.float32), id=("a",), refused=(1,))
    data = encode_reply(sent)
    assert msgpack.unpackb(data)["kind"] == "predict"
    got = decode_reply(data)
    assert type(got) is Prediction
    assert (got.model, got.offset, got.generation, got.components) == ("main", 7, 2, (0, 3))
    assert got.p is not None
    assert (got.label.tolist(), got.p.tolist(), got.log_density.tolist(), got.outlier.tolist()) == (
        [3], [[0.25, 0.75]], [-2.5], [0.5])
    assert (got.id, got.refused, got.n) == (("a",), (1,), 1)


def test_scores() -> None:
    data = encode_reply(Scores("main", 7, 2, np.array([-1.0, -2.0]), refused=(2,)))
    assert msgpack.unpackb(data)["score"] == -1.5
    got = decode_reply(data)
    assert isinstance(got, Scores)
    assert (got.log_density.tolist(), got.score, got.refused) == ([-1.0, -2.0], -1.5, (2,))


def test_health_and_error() -> None:
    health = Health("ok", 10, {"main": {"k": 3, "warming": False}}, {"version": "0.1"})
    assert decode_reply(encode_reply(health)) == health
    error = ErrorReply("kind", "kind: expected one of health")
    assert msgpack.unpackb(encode_reply(error)) == {
        "kind": "error", "v": 1, "code": "kind", "reason": "kind: expected one of health"}
    assert decode_reply(encode_reply(error)) == error


def test_snapshot_reply_is_the_published_map() -> None:
    sent = Snapshot("main", 0, 1, 2, None, "kmeans", None, (5,), np.ones(1), np.zeros((1, 2)), np.ones(1))
    got = decode_reply(encode_reply(sent))
    assert isinstance(got, Snapshot)
    assert (got.components, got.family, got.features, got.means.shape) == ((5,), "kmeans", None, (1, 2))
