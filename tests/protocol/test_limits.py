"""Each limit, one step inside and one step outside."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest

from stream_mix.protocol import Limits, ProtocolError, decode_frame, encode_events, encode_points


def refusal(data: bytes | bytearray, limits: Limits) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode_frame(data, limits)
    return caught.value.code


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "7"])
def test_a_limit_is_a_positive_integer(value: Any) -> None:
    with pytest.raises(ValueError, match=r"limits\.rows: expected an integer of at least 1"):
        Limits(rows=value)


def test_frame_bytes() -> None:
    data = encode_points(np.ones((3, 2)))
    assert decode_frame(data, Limits(frame_bytes=len(data))).n == 3
    assert refusal(data, Limits(frame_bytes=len(data) - 1)) == "too_large"
    assert refusal(bytearray(data), Limits(frame_bytes=len(data) - 1)) == "too_large"


def test_rows() -> None:
    for data in (encode_points(np.ones((100, 2))), encode_events([{"x": {"a": 1.0}}] * 100)):
        assert decode_frame(data, Limits(rows=100)).n == 100
        assert refusal(data, Limits(rows=99)) == "limit"


def test_features() -> None:
    for data in (encode_points(np.ones((1, 40))), encode_events([{"x": {f"f{j}": 1.0 for j in range(40)}}])):
        assert decode_frame(data, Limits(features=40)).d == 40
        assert refusal(data, Limits(features=39)) == "limit"


def test_features_of_all_rows_of_an_events_frame_together() -> None:
    data = encode_events([{"x": {f"f{i}": 1.0}} for i in range(40)])
    assert decode_frame(data, Limits(features=40)).x.shape == (40, 40)
    assert refusal(data, Limits(features=39)) == "limit"


def test_cells() -> None:
    ragged = encode_events([{"x": {f"f{i}": 1.0}} for i in range(40)])
    for data, cells in ((ragged, 1600), (encode_points(np.ones((4, 5))), 20)):
        assert decode_frame(data, Limits(cells=cells)).x.size == cells
        assert refusal(data, Limits(cells=cells - 1)) == "limit"


def test_string() -> None:
    data = encode_points([[1.0]], source="s" * 64)
    assert decode_frame(data, Limits(string=64)).source == "s" * 64
    assert refusal(data, Limits(string=63)) == "limit"


def test_items_of_an_id_array() -> None:
    head = {"kind": "points", "v": 1, "n": 1, "d": 1, "dtype": "f8", "x": bytes(8)}
    assert refusal(msgpack.packb({**head, "id": list(range(200))}), Limits(rows=100)) == "limit"


def test_the_client_is_held_to_the_same_limits() -> None:
    with pytest.raises(ProtocolError, match="n: expected at most 3, got 4"):
        encode_points(np.ones((4, 1)), limits=Limits(rows=3))
