"""A pytest fixture that replays a recording and compares what was learned with a golden file.

It is there as soon as stream_mix is installed beside pytest:

    def test_what_the_sensors_taught(replay):
        replay("sensors.journal", golden="sensors.json")     # into an engine as the recording's own

    def test_my_pipeline(replay):
        model = GaussianMixture(n_components=3, seed=1)      # of stream_mix.river or stream_mix.sklearn
        replay("sensors.journal", model, golden="mine.json")

`pytest --update-golden` writes the golden files. What differs is told component by component:

>>> want = {"mixture": {"components": [0], "weights": [1.0], "means": [[2.0]]}}
>>> got = {"mixture": {"components": [0], "weights": [1.0], "means": [[2.5]]}}
>>> print(difference(want, got, 1e-9))
mixture, component 0, means[0]: golden 2.0, got 2.5, off by 0.5
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stream_mix.mixture import Model

TOLERANCE = 1e-9
"""How far a number may be from the golden one, per unit of it beyond 1: linear algebra differs by machine."""
SHOWN = 12
_BY_COMPONENT = ("weights", "means", "covariances")

Replay = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --update-golden."""
    group = parser.getgroup("stream_mix", "recorded streams")
    group.addoption(
        "--update-golden", action="store_true", help="write what `replay` learned to its golden files"
    )


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Replay:
    """Replay a recording: `replay(path, into=None, golden=None, tolerance=1e-9)` returns what has learned it.

    - `into`: an estimator of stream_mix.river or stream_mix.sklearn, which learns and is returned; a mixture
      `Spec`, a configuration (`Settings`, or the path of a TOML file), or None for the recording's own: these
      make an engine, whose state is returned.
    - `golden`: a JSON file, relative to the test's folder, with the parameters that must come out. Where one
      differs the test fails with a list of differences; with --update-golden the file is written.

    Raises ValueError, one line, where the recording cannot be read or the golden file is none.
    """
    folder = request.path.parent
    update = bool(request.config.getoption("--update-golden"))

    def run(
        path: str | Path, into: Any = None, golden: str | Path | None = None, tolerance: float = TOLERANCE
    ) -> Any:
        __tracebackhide__ = True
        learned, models = _learned(path, into)
        if golden is not None:
            got = {name: snapshot(model, features) for name, (model, features) in models.items()}
            _compare(folder / golden, got, update, tolerance)
        return learned

    return run


def snapshot(model: Model, features: tuple[Any, ...]) -> dict[str, Any]:
    """A model in plain numbers, in the data's units."""
    from stream_mix.mixture import parameters

    told = {
        "family": model.spec.family,
        "rows": model.rows,
        "generation": model.generation,
        "features": [str(name) for name in features],
        "components": list(model.components),
    }
    if model.warming:
        return told
    found = parameters(model)
    numbers = {name: getattr(found, name).tolist() for name in _BY_COMPONENT}
    return {**told, **numbers}


def difference(want: Any, got: Any, tolerance: float) -> str:
    """What differs, a line each; empty where nothing does."""
    lines: list[str] = []
    for name in {**want, **got}:
        if name not in want or name not in got:
            lines.append(f"{name}: {'not in the golden file' if name in got else 'missing'}")
            continue
        _of_model(name, want[name], got[name], tolerance, lines)
    more = len(lines) - SHOWN
    return "\n".join([*lines[:SHOWN], *([f"... and {more} more"] if more > 0 else [])])


def _of_model(
    name: str, want: Mapping[str, Any], got: Mapping[str, Any], tolerance: float, lines: list[str]
) -> None:
    for key in {**want, **got}:
        a: Any = want.get(key)
        b: Any = got.get(key)
        components: Any = want.get("components")
        same = isinstance(components, list) and components == got.get("components")
        lists = isinstance(a, list) and isinstance(b, list)
        if key in _BY_COMPONENT and same and lists and len(a) == len(b) == len(components):
            for component, x, y in zip(components, a, b, strict=True):
                _values(f"{name}, component {component}, {key}", x, y, tolerance, lines)
        else:
            _values(f"{name}, {key}", a, b, tolerance, lines)


def _values(where: str, want: Any, got: Any, tolerance: float, lines: list[str]) -> None:
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        for i, (a, b) in enumerate(zip(want, got, strict=True)):
            _values(f"{where}[{i}]", a, b, tolerance, lines)
    elif isinstance(want, float) and isinstance(got, int | float):
        # A comparison that NaN fails, too.
        if not abs(want - got) <= tolerance * max(1.0, abs(want)) and want != got:
            lines.append(f"{where}: golden {want!r}, got {got!r}, off by {abs(want - got):.3g}")
    elif want != got:
        lines.append(f"{where}: golden {want!r}, got {got!r}")


def _compare(path: Path, got: dict[str, Any], update: bool, tolerance: float) -> None:
    __tracebackhide__ = True
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(got, indent=1) + "\n")
        return
    if not path.is_file():
        pytest.fail(f"{path}: no golden file; pytest --update-golden writes it", pytrace=False)
    try:
        want = json.loads(path.read_text())
    except ValueError:
        want = None
    if not isinstance(want, dict) or not all(isinstance(model, dict) for model in want.values()):
        pytest.fail(f"{path}: not a golden file; pytest --update-golden writes it anew", pytrace=False)
    found = difference(want, got, tolerance)
    if found:
        pytest.fail(f"{path.name}: learned something else than the golden file has\n{found}", pytrace=False)


def _learned(path: str | Path, into: Any) -> tuple[Any, dict[str, tuple[Model, tuple[Any, ...]]]]:
    """What has learned the recording, and its models with their features, by name."""
    if hasattr(into, "learn_one"):
        return into, {"model": _into_river(path, into)}
    if hasattr(into, "partial_fit"):
        return into, {"model": _into_sklearn(path, into)}
    from stream_mix.config import load
    from stream_mix.ports.replaying import replay_into_model

    state = replay_into_model(path, load(into, {}) if isinstance(into, str | Path) else into)
    return state, {name: (learner.model, state.features) for name, learner in state.learners.items()}


def _into_river(path: str | Path, model: Any) -> tuple[Model, tuple[Any, ...]]:
    """Into an estimator, or a pipeline whose last step is one; weights and times go where there are any."""
    from stream_mix.recording import iter_rows

    last = list(model.steps.values())[-1] if hasattr(model, "steps") else model
    for row in iter_rows(path):
        more = {name: value for name, value in (("w", row.w), ("t", row.t)) if value is not None}
        if last is not model:
            more = {}  # a pipeline takes neither
        model.learn_one(row.x, **more)
    return last.model, last.feature_names


def _into_sklearn(path: str | Path, model: Any) -> tuple[Model, tuple[Any, ...]]:
    """All rows in one call: how they came in frames does not matter. Times where every row has one."""
    import numpy as np

    from stream_mix.recording import iter_rows

    rows = list(iter_rows(path))
    names = tuple(dict.fromkeys(name for row in rows for name in row.x))
    x = np.array([[row.x.get(name, np.nan) for name in names] for row in rows]).reshape(len(rows), len(names))
    w = np.array([1.0 if row.w is None else row.w for row in rows])
    times = [row.t for row in rows if row.t is not None]
    model.partial_fit(x, sample_weight=w, t=np.array(times) if len(times) == len(rows) else None)
    return model.model_, names
