"""What is compiled once for each instruction set must not share a function with anything else.

The linker keeps one copy of an inline function that several objects define. If it is the one for AVX-512,
a processor without that dies on it, whichever kernels were chosen. So those sources include no header of the
standard library but the ones without functions, define theirs in the namespace of their instruction set, and
what they share with others is records, and functions that leave no copy behind.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "stream_mix" / "mixture" / "kernels" / "native"
WITHOUT_FUNCTIONS = {"cstddef", "cstdint", "immintrin.h"}
# What others include too.
SHARED = {"fold.hpp", "holes.hpp", "live.hpp", "pass.hpp", "problem.hpp", "shortlist.hpp"}


def sources() -> list[str]:
    text = (NATIVE / "CMakeLists.txt").read_text()
    found = re.search(r"add_library\(kernels_\$\{isa\} OBJECT([^)]*)\)", text)
    assert found, "expected add_library(kernels_${isa} OBJECT ...) in CMakeLists.txt"
    return found[1].split()


def included(name: str) -> set[str]:
    """The file and all of ours that it includes; asserts what it may take from elsewhere."""
    text = (NATIVE / name).read_text()
    system = set(re.findall(r"^\s*#\s*include\s*<([^>]+)>", text, re.MULTILINE))
    assert system <= WITHOUT_FUNCTIONS, f"{name} includes {system - WITHOUT_FUNCTIONS}"
    ours = set(re.findall(r'^\s*#\s*include\s*"([^"]+)"', text, re.MULTILINE))
    return {name}.union(*map(included, ours))


@pytest.mark.parametrize("source", sources())
def test_what_is_compiled_for_each_instruction_set_stays_in_its_namespace(source: str) -> None:
    for name in included(source):
        text = re.sub(r"//[^\n]*", "", (NATIVE / name).read_text())
        if name in SHARED:
            copied = re.search(r"\)\s*(const|noexcept|\s)*\{", re.sub(r"STREAM_MIX_INLINE[^{;]*\{", "", text))
            assert not copied, f"{name} defines a function without STREAM_MIX_INLINE"
        else:
            assert "namespace stream_mix::STREAM_MIX_ISA {" in text, name
            outside = text[: text.index("namespace stream_mix::STREAM_MIX_ISA {")]
            assert "(" not in re.sub(r"^\s*#[^\n]*", "", outside, flags=re.MULTILINE), f"{name}: code outside"


def test_every_source_is_compiled() -> None:
    text = (NATIVE / "CMakeLists.txt").read_text()
    assert all(path.name in text.split() or f"{path.name})" in text.split() for path in NATIVE.glob("*.cpp"))
