"""What an engine publishes, there and back, and as a stranger with msgpack alone reads it."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgpack
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stream_mix.protocol import (
    Assignment,
    Change,
    Heartbeat,
    ProtocolError,
    Published,
    Snapshot,
    decode_published,
    encode_published,
)


def assignment(n: int = 3, k: int = 2) -> Assignment:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(k), n) if k else np.zeros((n, 0))
    return Assignment(
        "main", 40, 5, tuple(range(k)), np.arange(n), p.astype(np.float32), rng.normal(size=n),
        rng.random(n).astype(np.float32), source="s", seq=9, id=("a", 1, None)[:n])


def snapshot(k: int = 2, d: int = 3) -> Snapshot:
    return Snapshot("main", 4, 5, 600, 1.7e9, "full", tuple(f"f{j}" for j in range(d)), tuple(range(k)),
                    np.full(k, 1 / max(k, 1)), np.ones((k, d)), np.ones((k, d, d)),
                    moments={"mass": np.ones(k), "deep": [{"scatter": np.ones((k, d, d))}]},
                    basis={"origin": np.zeros(d), "scale": np.ones(d)}, engine={"version": "0.1"})


def assert_same(a: Any, b: Any) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    else:
        assert a == b


MESSAGES: dict[str, Published] = {
    "assignment": assignment(),
    "assignment, warming up": assignment(3, 0),
    "assignment, no producer named": replace(assignment(), source=None, seq=None, id=None),
    "assignment, no responsibilities": replace(assignment(), p=None),
    "assignment, refused rows": replace(assignment(), refused=(1, 4)),
    "snapshot": snapshot(),
    "snapshot, warming up": snapshot(0),
    "snapshot, judged": replace(
        snapshot(), validity={"generation": 5, "bic": 2.5, "clusters": [[0, 1]], "stability": None}
    ),
    "snapshot, heavy tails": replace(snapshot(), degrees_of_freedom=4.0),
    "snapshot, by position, no time": replace(snapshot(), features=None, t=None),
    "change": Change("main", 100, 1.7e9, "merged", 3, (1, 2)),
    "change, no time": Change("main", 100, None, "drift", 3),
    "heartbeat": Heartbeat(3, 100, 1.7e9),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_round_trip(name: str) -> None:
    message = MESSAGES[name]
    again = decode_published(encode_published(message))
    assert type(again) is type(message)
    for field in fields(message):
        assert_same(getattr(again, field.name), getattr(message, field.name))


def test_topics() -> None:
    topics = {encode_published(message)[0] for message in MESSAGES.values()}
    assert topics == {b"assignment/main", b"snapshot/main", b"change/main", b"heartbeat"}


def test_an_assignment_read_with_msgpack_alone() -> None:
    message = msgpack.unpackb(encode_published(assignment())[1])
    assert list(message) == [
        "kind", "v", "model", "source", "seq", "offset", "n", "generation", "components", "label", "p",
        "log_density", "outlier", "id"]
    assert (message["kind"], message["v"], message["n"]) == ("assignment", 1, 3)
    assert message["components"] == [0, 1]
    assert np.frombuffer(message["p"], "<f4").reshape(3, 2).sum(axis=1) == pytest.approx(1)
    assert np.frombuffer(message["label"], "<i8").tolist() == [0, 1, 2]


def test_a_snapshot_read_with_msgpack_alone() -> None:
    message = msgpack.unpackb(encode_published(snapshot())[1])
    assert list(message) == [
        "kind", "v", "model", "pub_seq", "generation", "offset", "t", "family", "features", "components",
        "weights", "means", "covariances", "moments", "basis", "engine"]
    means = message["means"]
    assert np.frombuffer(means["data"], means["dtype"]).reshape(means["shape"]).shape == (2, 3)


def test_a_snapshot_without_figures_looks_as_it_always_did() -> None:
    assert b"validity" not in encode_published(snapshot())[1]
    topic, body = encode_published(MESSAGES["snapshot, judged"])
    tree = msgpack.unpackb(body)
    assert tree["validity"]["clusters"] == [[0, 1]]
    with pytest.raises(ProtocolError, match="validity"):
        decode_published([topic, msgpack.packb({**tree, "validity": 3})])


def test_a_snapshot_says_that_its_matrices_are_scales() -> None:
    topic, body = encode_published(MESSAGES["snapshot, heavy tails"])
    tree = msgpack.unpackb(body)
    assert tree["degrees_of_freedom"] == 4.0
    assert b"degrees_of_freedom" not in encode_published(snapshot())[1], "normal: it looks as it always did"
    for code, wrong in (("type", "four"), ("value", 0.0), ("value", float("nan")), ("value", float("inf"))):
        with pytest.raises(ProtocolError, match="degrees_of_freedom: expected") as caught:
            decode_published([topic, msgpack.packb({**tree, "degrees_of_freedom": wrong})])
        assert caught.value.code == code


def test_elements_of_other_types_are_written_as_the_protocol_says() -> None:
    wide = replace(assignment(), p=np.full((3, 2), 0.5), outlier=np.ones(3))
    again = decode_published(encode_published(wide))
    assert isinstance(again, Assignment)
    assert again.p is not None
    assert (again.p.dtype.str, again.label.dtype.str, again.outlier.dtype.str) == ("<f4", "<i8", "<f4")


def test_a_time_that_is_no_number_is_nil() -> None:
    assert msgpack.unpackb(encode_published(Heartbeat(0, 0, float("nan")))[1])["t"] is None


def test_keys_of_newer_engines_are_ignored() -> None:
    topic, body = encode_published(Heartbeat(0, 0, None))
    newer = msgpack.packb({**msgpack.unpackb(body), "new": 1})
    assert decode_published([topic, newer]) == Heartbeat(0, 0, None)


@pytest.mark.parametrize(
    ("code", "changes"),
    [("value", {"model": "other"}), ("shape", {"n": 4}), ("type", {"components": [0.5, 1]}),
     ("kind", {"kind": "x"}), ("shape", {"label": b""}),
     ("type", {"id": [1.5, 1, 1]}), ("shape", {"id": [1]}), ("version", {"v": 2})],
)
def test_bad_assignments(code: str, changes: dict[str, Any]) -> None:
    topic, body = encode_published(assignment())
    with pytest.raises(ProtocolError) as caught:
        decode_published([topic, msgpack.packb({**msgpack.unpackb(body), **changes})])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "changes",
    [{"components": [1]}, {"features": ["a"]}, {"means": 5}, {"moments": 5}, {"t": "now"}, {"engine": []}],
)
def test_bad_snapshots(changes: dict[str, Any]) -> None:
    topic, body = encode_published(snapshot())
    with pytest.raises(ProtocolError):
        decode_published([topic, msgpack.packb({**msgpack.unpackb(body), **changes})])


def test_parts() -> None:
    topic, body = encode_published(Heartbeat(0, 0, None))
    for parts in ([body], [topic, body, b""], []):
        with pytest.raises(ProtocolError) as caught:
            decode_published(parts)
        assert caught.value.code == "multipart"
    with pytest.raises(ProtocolError, match="topic: expected 'heartbeat'"):
        decode_published([b"assignment/x", body])
