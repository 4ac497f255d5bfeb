from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.recording import (
    Block,
    RecordingError,
    Refusal,
    read_rows,
)
from tests.recording.recorded import blocks_to_rows


def read(text: str | bytes, **options: Any) -> tuple[list[Block], list[Refusal]]:
    refused: list[Refusal] = []
    stream = io.BytesIO(text.encode() if isinstance(text, str) else text)
    options.setdefault("format", "csv")
    return list(read_rows("-", stdin=stream, on_refused=refused.append, **options)), refused


def test_bad_cells_refuse_their_rows_alone() -> None:
    blocks, refused = read(
        "a,b,t,w\n1,2,3,4\nx,2,3,4\n1,,2024-01-01T00:00:00Z,1\n1,2,soon,1\n1,2\n,nan,3,1\n"
        "1,inf,3,1\n1,1e101,3,1\n1,2,3,0\n1,1_0,3,1\n1,2,-inf,1\n5, 6 ,7,8\n"
    )
    assert blocks_to_rows(blocks) == [
        ({"a": 1.0, "b": 2.0}, 3.0, 4.0, None),
        ({"a": 1.0}, 1704067200.0, 1.0, None),
        ({"a": 5.0, "b": 6.0}, 7.0, 8.0, None),
    ]
    assert [
        str(one).removeprefix("standard input, ") for one in sorted(refused, key=lambda one: one.line)
    ] == [
        "line 3, column 'a': expected a number, got 'x'",
        "line 5, column 't': expected Unix seconds or an ISO 8601 time, got 'soon'",
        "line 6: expected 4 cells, got 2",
        "line 7: no value in any column",
        "line 8, column 'b': expected a number of magnitude at most 1e100, got 'inf'",
        "line 9, column 'b': expected a number of magnitude at most 1e100, got '1e+101'",
        "line 10: expected a weight above 0, at most 1e100, got '0.0'",
        "line 11, column 'b': expected a number, got '1_0'",
        "line 12: expected a time within 1e100 seconds, got '-inf'",
    ]


@given(
    cells=st.lists(
        st.lists(
            st.sampled_from(["1", "-2.5", "", "nan", " 3", "x", "1_0", "inf", "1e999", "٣"]),
            min_size=2,
            max_size=2,
        ),
        min_size=1,
        max_size=12,
    )
)
def test_the_fast_way_equals_the_slow_one(cells: list[list[str]]) -> None:
    # A first chunk of good rows keeps a column of refused cells from being called no numbers at all.
    text = "a,b\n1,1\n2,2\n" + "".join(",".join(row) + "\n" for row in cells)
    fast, fast_refused = read(text, block=100)
    slow, slow_refused = read(text, block=1)
    assert blocks_to_rows(fast) == blocks_to_rows(slow)
    assert sorted(map(str, fast_refused)) == sorted(map(str, slow_refused))
    assert len(blocks_to_rows(fast)) + len(fast_refused) == len(cells) + 2


def test_columns_that_are_no_numbers_are_named_first() -> None:
    text = "a,species,b\n1,setosa,2\n3,virginica,4\n"
    with pytest.raises(RecordingError, match=r"not numbers: 'species' \(such as 'setosa'\); leave them out"):
        read(text)
    for options in ({"drop": ["species"]}, {"columns": ["a", "b"]}):
        (block,), refused = read(text, **options)
        assert block.features == ("a", "b")
        assert block.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
        assert refused == []
    (block,), _ = read(text, columns=["b"], id="species")
    assert (block.x.tolist(), block.id) == ([[2.0], [4.0]], ("setosa", "virginica"))
    lines = '{"a": 1, "s": "x"}\n{"a": 2, "s": "y"}\n'
    with pytest.raises(RecordingError, match=r"not numbers: 's' \(such as 'x'\)"):
        read(lines, format="jsonl")
    (block,), _ = read(lines, format="jsonl", drop=["s"])
    assert block.x.tolist() == [[1.0], [2.0]]


@pytest.mark.parametrize(
    ("text", "features"),
    [
        ("1,2\n3,4\n", ("x0", "x1")),
        ("a;b\n1;2\n3;4\n", ("a", "b")),
        ("\ufeffa\tb\r\n1\t2\r\n\r\n3\t4", ("a", "b")),
        (",b\n1,2\n3,4\n", ("column1", "b")),
        (gzip.compress(b"a,b\n1,2\n3,4\n", mtime=0), ("a", "b")),
    ],
)
def test_kinds_of_csv(text: str | bytes, features: tuple[str, ...]) -> None:
    (block,), refused = read(text, format=None)
    assert block.features == features
    assert block.x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert refused == []


def test_time_weight_and_id_columns_are_the_callers_choice() -> None:
    text = "t,w,id,v\n1,2,3,4\n"
    (block,), _ = read(text)
    assert blocks_to_rows([block]) == [({"v": 4.0}, 1.0, 2.0, 3)]
    (block,), _ = read(text, time="", weight="", id="")
    assert (block.features, block.t, block.w, block.id) == (("t", "w", "id", "v"), None, None, None)
    (block,), _ = read(text, time="v", columns=["t", "w"])
    assert blocks_to_rows([block]) == [({"t": 1.0, "w": 2.0}, 4.0, None, 3)]
    with pytest.raises(RecordingError, match="no column 'z', expected one of 't, w, id, v'"):
        read(text, time="z")
    with pytest.raises(RecordingError, match="no feature is left"):
        read(text, drop=["v"])


def test_json_lines_flat_and_as_events() -> None:
    blocks, refused = read(
        '{"x": {"a": 1, "b": 2.5}, "t": "1970-01-01T00:00:10Z", "id": "p"}\n'
        '{"a": 3, "c": null, "t": 11}\n\n{"x": [5], "w": 2}\n[1]\n{"a": true}\n{"a": "1"}\nnot json\n'
        '{"a": 1e999}\n{"a": 1, "t": []}\n{"a": 1, "id": 1.5}\n{"b": 7}\n',
        format=None,
    )
    assert blocks_to_rows(blocks) == [
        ({"a": 1.0, "b": 2.5}, 10.0, None, "p"),
        ({"a": 3.0}, 11.0, None, None),
        ({"x0": 5.0}, None, 2.0, None),
        ({"b": 7.0}, None, None, None),
    ]
    assert [one.line for one in sorted(refused, key=lambda one: one.line)] == [5, 6, 7, 8, 9, 10, 11]
    assert all("\n" not in str(one) for one in refused)


def test_parquet_of_other_programs(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    stamps = pa.array([1_500_000, None, 3_000_000], pa.timestamp("us", tz="Europe/Paris"))
    columns = {
        "n": pa.array([1, None, 3], pa.int32()),
        "f": pa.array([0.5, 1.5, np.nan], pa.float32()),
        "when": stamps,
        "who": ["a", "b", None],
        "dec": pa.array(["1.25"] * 3).cast(pa.decimal128(5, 2)),
        "iso": ["1970-01-02", "x", None],
    }
    table = pa.table(columns)
    pytest.importorskip("pyarrow.parquet").write_table(table, path)
    with pytest.raises(RecordingError, match=r"not numbers: 'when' \(timestamp.*\), 'who' \(string\)"):
        list(read_rows(path))
    blocks = list(read_rows(path, time="when", id="who", columns=["n", "f", "dec"], block=2))
    assert blocks_to_rows(blocks) == [
        ({"n": 1.0, "f": 0.5, "dec": 1.25}, 1.5, None, "a"),
        ({"f": 1.5, "dec": 1.25}, None, None, "b"),
        ({"n": 3.0, "dec": 1.25}, 3.0, None, None),
    ]
    refused: list[Refusal] = []
    blocks = list(read_rows(path, time="iso", columns=["dec"], on_refused=refused.append))
    assert [row[1] for row in blocks_to_rows(blocks)] == [86400.0, None]
    assert [one.line for one in refused] == [2]
    for data, said in (
        (b"PAR1 and no more", "not a Parquet file"),
        (path.read_bytes()[:-9], "not a Parquet file"),
    ):
        path.write_bytes(data)
        with pytest.raises(RecordingError, match=said):
            list(read_rows(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty, expected a header"),
        ("a,a\n1,2\n", "more than one column is named a"),
        ("a\n" + "1" * 200_000 + "\n", "line 2: not CSV: field larger"),
        (gzip.compress(b"a\n1\n" * 9, mtime=0)[:-9], "cannot be read"),
    ],
)
def test_files_that_are_no_tables(text: str | bytes, said: str) -> None:
    with pytest.raises(RecordingError, match=said) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_other_readings_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"x\.csv: cannot be read: No such file"):
        list(read_rows(tmp_path / "x.csv"))
    with pytest.raises(RecordingError, match="cannot be read: Is a directory"):
        list(read_rows(tmp_path))
    with pytest.raises(RecordingError, match="format 'xml', expected one of csv, jsonl, parquet"):
        read("a\n1\n", format="xml")
    with pytest.raises(RecordingError, match="block of 0 rows"):
        read("a\n1\n", block=0)


def test_data_sets_are_read_whole(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("*.csv.gz"))[:3]:
        with gzip.open(path, "rt") as file:
            header = file.readline().strip().split(",")
            count = sum(1 for _ in file)
        drop = [name for name in header if name in ("label", "file", "user", "ts", "Time", "batch")]
        refused: list[Refusal] = []
        blocks = list(read_rows(path, drop=drop, on_refused=refused.append))
        assert sum(len(block.x) for block in blocks) + len(refused) == count
