"""`stream-mix query`: questions to a running engine, none of which changes a model."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .ending import CODES
from .options import QUERY, Columns, Drop, Format, IdColumn, Json, KeysFile, ModelName, Timeout
from .send import LeftOut
from .show import names, print_json, print_pairs

if TYPE_CHECKING:
    from stream_mix.client import Query
    from stream_mix.protocol import Prediction
    from stream_mix.recording import Block

app = typer.Typer(
    no_args_is_help=True, help="Ask a running engine for its model, its health, or about rows.", epilog=CODES
)

Endpoint = Annotated[str, typer.Option(help="Query endpoint of the engine.")]
File = Annotated[
    str | None, typer.Argument(metavar="[FILE]", help="CSV, JSON lines or Parquet, also .gz; - reads a pipe.")
]
Row = Annotated[str | None, typer.Option(help="One row instead of a file: '{\"temperature\": 20.5}'.")]


@app.command(epilog=CODES)
def snapshot(
    endpoint: Endpoint = QUERY,
    model: ModelName = None,
    timeout: Timeout = 5.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Print the model: weights and means, and with --json all of it."""
    with _query(endpoint, timeout, keys) as query:
        found = query.snapshot(model)
    if json:
        print_json(found)
        return 0
    from rich.console import Console
    from rich.table import Table

    print(f"{found.model}: {found.family}, generation {found.generation}, learned {found.offset} rows")
    table = Table("component", "weight", *(found.features or [f"x{j}" for j in range(found.means.shape[1])]))
    for component, weight, mean in zip(found.components, found.weights, found.means, strict=True):
        table.add_row(str(component), f"{weight:.4f}", *(f"{value:.5g}" for value in mean))
    Console().print(table)
    return 0


@app.command(epilog=CODES)
def health(
    endpoint: Endpoint = QUERY, timeout: Timeout = 5.0, keys: KeysFile = None, json: Json = False
) -> int:
    """Print how the engine and its models are doing."""
    with _query(endpoint, timeout, keys) as query:
        found = query.health()
    if json:
        print_json(found)
        return 0
    print_pairs({"status": found.status, "offset": found.offset, **found.engine})
    for name, numbers in found.models.items():
        print(f"\n{name}")
        print_pairs({f"  {key}": value for key, value in numbers.items()})
    return 0


@app.command(epilog=CODES)
def predict(
    file: File = None,
    row: Row = None,
    endpoint: Endpoint = QUERY,
    model: ModelName = None,
    id: IdColumn = None,
    columns: Columns = None,
    drop: Drop = None,
    format: Format = None,
    timeout: Timeout = 5.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Say for each row its component, the shares of all components, and how strange it is.

    With --json, one object for each row.
    """
    with _query(endpoint, timeout, keys) as query:
        for start, rows, ids in _rows(file, row, format, columns, drop, id):
            found = query.predict(rows, model=model)
            for i in range(found.n):
                said = _said(found, i, start + i, ids)
                if json:
                    print_json(said)
                else:
                    print(_sentence(said))
    return 0


@app.command(epilog=CODES)
def score(
    file: File = None,
    row: Row = None,
    endpoint: Endpoint = QUERY,
    model: ModelName = None,
    id: IdColumn = None,
    columns: Columns = None,
    drop: Drop = None,
    format: Format = None,
    timeout: Timeout = 5.0,
    keys: KeysFile = None,
    json: Json = False,
) -> int:
    """Print the log density of each row and their mean; with --json one object of rows, mean, log_density."""
    every: list[float] = []
    with _query(endpoint, timeout, keys) as query:
        for start, rows, ids in _rows(file, row, format, columns, drop, id):
            found = query.score(rows, model=model).log_density.tolist()
            if not json:
                for i, value in enumerate(found):
                    print(f"{ids[i] if ids else start + i}: {value:.6f}")
            every += found
    mean = sum(every) / len(every)
    if json:
        print_json({"rows": len(every), "mean": mean, "log_density": every})
    else:
        print(f"mean of {len(every)} rows: {mean:.6f}")
    return 0


def _said(found: Prediction, i: int, row: int, ids: tuple[Any, ...] | None) -> dict[str, Any]:
    p = None if found.p is None else dict(zip(found.components, found.p[i].tolist(), strict=True))
    return {
        "row": row, "id": ids[i] if ids else None, "label": int(found.label[i]), "p": p,
        "log_density": float(found.log_density[i]), "outlier": float(found.outlier[i]),
    }  # fmt: skip


def _sentence(said: dict[str, Any]) -> str:
    p = ", ".join(f"{name} {share:.3f}" for name, share in (said["p"] or {}).items() if share >= 5e-4)
    name = said["row"] if said["id"] is None else said["id"]
    strange = f"log density {said['log_density']:.4f}, outlier {said['outlier']:.4f}"
    return f"{name}: component {said['label']} ({p}), {strange}"


def _query(endpoint: str, timeout: float, keys: Path | None) -> Query:
    from stream_mix.client import Query

    return Query(endpoint, timeout=timeout, keys=keys)


def _rows(
    file: str | None,
    row: str | None,
    format: str | None,
    columns: str | None,
    drop: str | None,
    id: str | None,
) -> Iterator[tuple[int, list[dict[str, float]], tuple[Any, ...] | None]]:
    """Yield row number, rows and ids, block by block."""
    if (file is None) == (row is None):
        raise ValueError("expected either a FILE or --row, and not both")
    if row is not None:
        try:
            told = json_module.loads(row)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise ValueError(f'--row {row!r}: expected a JSON object of features, {{"temperature": 20.5}}')
        yield 0, [told], None
        return
    from stream_mix.recording import read_rows

    start = 0
    for block in read_rows(
        file or "-", format, columns=names(columns), drop=names(drop) or (), id=id, on_refused=LeftOut()
    ):
        yield start, _events(block), block.id
        start += len(block.x)


def _events(block: Block) -> list[dict[str, float]]:
    return [
        {name: value for name, value in zip(block.features, values, strict=True) if value == value}
        for values in block.x.tolist()
    ]
