from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from stream_mix.protocol import encode_events, encode_points
from tests.recording.recorded import write


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
