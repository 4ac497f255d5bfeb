from __future__ import annotations

import gzip
import io
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.ports.journal import Journal, JournalError, JournalFrame
from stream_mix.protocol import encode_events, encode_points
from stream_mix.recording import (
    Block,
    RecordingError,
    Refusal,
    export,
    import_rows,
    iter_frames,
    iter_rows,
    read_rows,
)

FORMATS = ("csv", "csv.gz", "jsonl", "jsonl.gz", "parquet")
Row = tuple[dict[str, float], float | None, float | None, str | int | None]


def write(path: Path, messages: Sequence[tuple[int, bytes]], meta: dict[str, str] | None = None) -> None:
    """A journal of messages, each with the number of its good rows."""
    with Journal.open(path, durability="off", meta=meta) as journal:
        for n, raw in messages:
            journal.append(
                [JournalFrame(journal.next_id, journal.next_offset, n, f"s{journal.next_id % 2}", None,
                              float(journal.next_id), None, None, raw)]
            )  # fmt: skip


def rows_of(path: Path) -> list[Row]:
    return [(row.x, row.t, row.w, row.id) for row in iter_rows(path)]


def blocks_to_rows(blocks: Sequence[Block]) -> list[Row]:
    rows: list[Row] = []
    for features, x, t, w, id in blocks:
        for k, values in enumerate(x.tolist()):
            named = {name: v for name, v in zip(features, values, strict=True) if v == v}
            rows.append(
                (
                    named,
                    None if t is None else t[k],
                    None if w is None else w[k],
                    None if id is None else id[k],
                )
            )
    return rows


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Frames with and without times, weights, ids, names, missing values; 12 rows."""
    path = tmp_path / "in.journal"
    nan = math.nan
    write(
        path,
        [
            (
                3,
                encode_points(
                    [[0.1, nan], [1e-310, 2.0], [-1e100, 1 / 3]], features=["a", "b"], t=[1.7e9, 2.5, -0.25]
                ),
            ),
            (2, encode_points([[1.0, 2.0], [3.0, nan]], w=[0.5, 2.0], id=[7, 8], features=["b", "c"])),
            (
                3,
                encode_events(
                    [{"x": {"c": 1}, "t": 1.0}, {"x": {"ü,\n": 5e-324}, "t": 3.0}, {"x": {"c": 1}, "t": 4.0}]
                ),
            ),
            (4, encode_points(np.arange(12.0).reshape(4, 3))),
        ],
        meta={"features": json.dumps(["a", "b"])},
    )
    return path


def test_rows_come_out_with_names_times_weights_and_ids(journal: Path) -> None:
    rows = list(iter_rows(journal))
    assert [row.offset for row in rows] == list(range(12))
    assert rows[0][1:] == ({"a": 0.1}, 1.7e9, None, None)
    assert rows[4][1:] == ({"b": 3.0}, None, 2.0, 8)
    assert rows[6][1:] == ({"ü,\n": 5e-324}, 3.0, None, None)
    assert rows[11][1:] == ({"a": 9.0, "b": 10.0, "x2": 11.0}, None, None, None)


@pytest.mark.parametrize("start", range(13))
@pytest.mark.parametrize("stop", [None, 0, 4, 5, 12, 99])
def test_frames_are_cut_to_the_range(journal: Path, start: int, stop: int | None) -> None:
    whole = list(iter_rows(journal))
    assert list(iter_rows(journal, start, stop)) == whole[start:stop]
    at = start
    for offset, frame in iter_frames(journal, start, stop):
        assert offset == at
        at += frame.n
        for column in (frame.t, frame.w, frame.id):
            assert column is None or len(column) == frame.n
    assert at == max(start, min(12, 12 if stop is None else stop))


def test_times_and_sources_choose_frames(journal: Path) -> None:
    assert [offset for offset, _ in iter_frames(journal, since=1.0, until=3.0)] == [3, 5]
    assert [offset for offset, _ in iter_frames(journal, source="s1")] == [3, 8]
    assert [offset for offset, _ in iter_frames(journal, last=1.0)] == [5, 8]
    assert [row.offset for row in iter_rows(journal, 4, 9, source="s1")] == [4, 8]


def test_a_record_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path, [(1, encode_points([[1.0]])), (2, encode_points([[1.0]]))])
    with pytest.raises(JournalError, match="offset 1: frame 1 has 1 good rows, 2 were recorded"):
        list(iter_rows(path))
    write(path, [(1, b"no frame")])
    with pytest.raises(JournalError, match="offset 3: frame 2 cannot be decoded"):
        list(iter_rows(path, 3))


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_export_is_read_back_bit_for_bit(journal: Path, tmp_path: Path, suffix: str) -> None:
    out, back = tmp_path / f"out.{suffix}", tmp_path / "back.journal"
    told: list[tuple[int, int]] = []
    assert export(journal, out, progress=lambda done, total: told.append((done, total))) == 12
    assert told[-1] == (12, 12)
    assert sorted(path.name for path in tmp_path.glob("out*")) == [out.name]
    done = import_rows(out, back, durability="off")
    assert (done.rows, done.refused, done.offset) == (12, 0, 12)
    assert rows_of(back) == rows_of(journal)


NUMBERS = st.one_of(st.none(), st.floats(-1e100, 1e100))
IDS = st.one_of(st.none(), st.integers(0, 1 << 62), st.text("abc ,\"';\n\r\u00e9", min_size=1, max_size=4))
ROWS = st.tuples(
    st.dictionaries(st.sampled_from(["a", "b", "c;", "d d"]), st.floats(-1e100, 1e100), min_size=1),
    st.none() | st.floats(-1e10, 1e10),
    st.none() | st.floats(1e-50, 1e50),
    IDS,
)


@given(rows=st.lists(ROWS, min_size=1, max_size=20), suffix=st.sampled_from(["csv", "jsonl", "parquet"]))
def test_any_rows_survive_the_round_trip(rows: list[Row], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent = []
        for x, t, w, id in rows:
            own = {key: value for key, value in (("t", t), ("w", w), ("id", id)) if value is not None}
            sent.append((1, encode_events([{"x": x, **own}])))
        write(folder / "in", sent)
        export(folder / "in", folder / f"out.{suffix}")
        import_rows(folder / f"out.{suffix}", folder / "back", durability="off", block=7)
        got, wanted = rows_of(folder / "back"), rows_of(folder / "in")
        if suffix == "parquet" and any(type(row[3]) is str for row in wanted):
            # One column, one type: integers among texts come back as texts.
            wanted = [(x, t, w, None if id is None else str(id)) for x, t, w, id in wanted]
        assert got == wanted


def test_an_export_of_part_of_a_journal_has_only_the_columns_it_needs(journal: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert export(journal, out, start=1, stop=3) == 2
    assert out.read_text() == "t,a,b\n2.5,1e-310,2.0\n-0.25,-1e+100,0.3333333333333333\n"
    assert export(journal, out, source="nobody") == 0
    assert export(journal, out, start=3, stop=4, time="when", id="key") == 1
    assert out.read_text() == "w,key,b,c\n0.5,7,1.0,2.0\n"


def test_an_export_that_cannot_be_says_so_and_leaves_nothing(journal: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="feature 'a' is the name of another column"):
        export(journal, tmp_path / "out.csv", time="a")
    with pytest.raises(RecordingError, match="format 'xls', expected one of csv, jsonl, parquet"):
        export(journal, tmp_path / "out.csv", "xls")
    with pytest.raises(RecordingError, match=r"no.such.out.csv: cannot be written: No such file"):
        export(journal, tmp_path / "no" / "such" / "out.csv")
    with pytest.raises(JournalError, match="there is no such file"):
        export(tmp_path / "x", tmp_path / "out.csv")
    assert list(tmp_path.glob("out*")) == []


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
    pa.parquet.write_table(table, path)
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


def test_without_pyarrow_parquet_is_refused_in_one_line(journal: Path, tmp_path: Path) -> None:
    program = """
import sys
sys.modules["pyarrow"] = None
from stream_mix.recording import RecordingError, export, read_rows
for act in (lambda: export(sys.argv[1], sys.argv[2]), lambda: list(read_rows(sys.argv[1], "parquet"))):
    try:
        act()
    except RecordingError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(journal), str(tmp_path / "x.parquet")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("Parquet needs pyarrow: pip install 'stream_mix[parquet]'\n") == 2


def test_standard_input_and_output_of_a_real_process(journal: Path, tmp_path: Path) -> None:
    out = "import sys; from stream_mix.recording import export; export(sys.argv[1], '-')"
    into = (
        "import sys; from stream_mix.recording import import_rows; print(import_rows('-', sys.argv[1]).rows)"
    )
    table = subprocess.run([sys.executable, "-c", out, str(journal)], capture_output=True, check=True).stdout
    back = tmp_path / "back"
    done = subprocess.run(
        [sys.executable, "-c", into, str(back)], input=table, capture_output=True, check=True
    )
    assert done.stdout == b"12\n"
    assert rows_of(back) == rows_of(journal)


def test_an_import_goes_on_at_the_end_and_cuts_frames_to_the_limits(tmp_path: Path) -> None:
    path, out = tmp_path / "x.csv", tmp_path / "j"
    path.write_text("t," + ",".join(f"f{j}" for j in range(200)) + "\n" + ("7" + ",1" * 200 + "\n") * 3000)
    first = import_rows(path, out, source="me", block=3000, durability="os")
    assert first.rows == 3000
    assert first.frames > 1
    second = import_rows(path, out, time="", now=lambda: 5.0, durability="os")
    assert second.offset == 6000
    frames = list(iter_frames(out, since=7.0, source="me"))
    assert sum(frame.n for _, frame in frames) == 3000
    assert sum(frame.n for _, frame in iter_frames(out, until=6.0)) == 3000


def test_an_import_of_what_is_no_table_makes_no_journal(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        import_rows(tmp_path / "x.csv", tmp_path / "j")
    assert list(tmp_path.iterdir()) == []


def test_data_sets_are_read_whole(shared_data: Path) -> None:
    for path in sorted(shared_data.glob("*.csv.gz"))[:3]:
        with gzip.open(path, "rt") as file:
            header = file.readline().strip().split(",")
            count = sum(1 for _ in file)
        drop = [name for name in header if name in ("label", "file", "user", "ts", "Time", "batch")]
        refused: list[Refusal] = []
        blocks = list(read_rows(path, drop=drop, on_refused=refused.append))
        assert sum(len(block.x) for block in blocks) + len(refused) == count
