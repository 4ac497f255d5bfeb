"""Model state trees as bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_mix.protocol import ProtocolError, pack_state, unpack_state

ARRAYS = st.sampled_from(["<f8", "<f4", "<i8", "|u1", "|b1"]).flatmap(
    lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, min_side=0, max_side=3)))
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**511, 2**511 - 1) | st.floats() | st.text() | st.binary()
    | ARRAYS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b or (a != a and b != b))


@given(st.dictionaries(st.text(), TREES, max_size=5))
def test_round_trip_bit_for_bit(tree: dict[str, Any]) -> None:
    data = pack_state(tree)
    assert same(unpack_state(data), tree)
    assert pack_state(unpack_state(data)) == data


def test_a_random_generator_resumes() -> None:
    rng = np.random.Generator(np.random.PCG64(7))
    rng.normal(size=5)
    again = np.random.Generator(np.random.PCG64())
    again.bit_generator.state = unpack_state(pack_state({"rng": dict(rng.bit_generator.state)}))["rng"]
    assert again.normal(size=5).tolist() == rng.normal(size=5).tolist()


def test_arrays_come_back_fresh_and_writable() -> None:
    array = unpack_state(pack_state({"a": np.zeros(3)}))["a"]
    array[0] = 1.0
    assert array.tolist() == [1.0, 0.0, 0.0]


def test_long_arrays_lists_and_strings_are_no_matter() -> None:
    tree = {"x": np.arange(500_000.0), "list": list(range(100_000)), "text": "t" * 100_000}
    assert same(unpack_state(pack_state(tree)), tree)


def test_tuples_and_numpy_scalars_become_plain() -> None:
    assert unpack_state(pack_state({"a": (1, np.float64(2.0)), "b": np.int64(3)})) == {"a": [1, 2.0], "b": 3}


def test_any_flipped_bit_is_noticed() -> None:
    data = pack_state({"a": np.ones(3), "b": "text"})
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProtocolError):
            unpack_state(changed)


@pytest.mark.parametrize("length", [0, 3, 9, 10, 15])
def test_truncation_is_noticed(length: int) -> None:
    with pytest.raises(ProtocolError):
        unpack_state(pack_state({"a": np.ones(3)})[:length])


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (object(), "type", "state.a.b: expected a plain value"),
        ({1, 2}, "type", "state.a.b: expected a plain value"),
        ({1: 2}, "type", "state.a.b: expected keys that are strings"),
        (np.array([None]), "dtype", "array: expected one of <f8"),
        (np.array(["a"]), "dtype", "array: expected one of <f8"),
        (1j, "type", "state.a.b: expected a plain value"),
        (2**600, "limit", "state.a.b: expected integers of at most 64 bytes"),
        ({"dtype": 1, "shape": 2, "data": 3}, "value", "state.a.b: a map of just these keys"),
        ({"bigint": 1}, "value", "state.a.b: a map of just these keys"),
    ],
)
def test_what_has_no_form_is_refused_by_its_path(value: Any, code: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words) as caught:
        pack_state({"a": {"b": value}})
    assert caught.value.code == code


def test_depth_is_bounded_both_ways() -> None:
    tree: Any = 0
    for _ in range(31):
        tree = [tree]
    assert unpack_state(pack_state({"a": tree})) == {"a": tree}
    with pytest.raises(ProtocolError, match="nested too deep"):
        pack_state({"a": [tree]})
