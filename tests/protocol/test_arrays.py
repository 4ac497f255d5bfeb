"""Arrays in messages: a closed set of element types, lengths checked first."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_mix.protocol import ProtocolError, pack_array, unpack_array

GOOD: dict[str, Any] = {"dtype": "<f8", "shape": [2, 1], "data": bytes(16)}


@pytest.mark.parametrize("dtype", ["<f8", "<f4", "<i8", "|u1", "|b1"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (0, 4), (2, 3, 1)])
def test_round_trip(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.ones(shape, dtype)
    again = unpack_array(pack_array(array))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert not again.flags.writeable


def test_other_byte_and_memory_orders_are_written_the_one_way() -> None:
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3)).astype(">f8")
    assert unpack_array(pack_array(array)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("type", 5),
        ("type", {}),
        ("type", {**GOOD, "more": 1}),
        ("dtype", {**GOOD, "dtype": "|O"}),
        ("dtype", {**GOOD, "dtype": ">f8"}),
        ("dtype", {**GOOD, "dtype": ["<f8"]}),
        ("dtype", {**GOOD, "dtype": "V" * 1000}),
        ("shape", {**GOOD, "shape": [2, 2]}),
        ("shape", {**GOOD, "shape": [-2, -1]}),
        ("shape", {**GOOD, "shape": [True, 2]}),
        ("shape", {**GOOD, "shape": 2}),
        ("shape", {**GOOD, "shape": [1] * 40}),
        ("shape", {**GOOD, "shape": [0, 2**63], "data": b""}),
        ("type", {**GOOD, "data": "x" * 16}),
        ("value", {"dtype": "|b1", "shape": [2], "data": b"\x01\x02"}),
    ],
)
def test_bad_arrays(code: str, value: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        unpack_array(value)
    assert caught.value.code == code
    assert len(caught.value.reason) < 200


@pytest.mark.parametrize("dtype", ["O", "U3", "M8[s]", "<u8", "<c16", "<f2"])
def test_other_element_types_are_not_written(dtype: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        pack_array(np.zeros(2).astype(dtype))
    assert caught.value.code == "dtype"
