"""A recorded stream as a River data set."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable, Iterator
from typing import Any


def iter_recording(
    path: str | os.PathLike[str],
    target: Hashable | None = None,
    *,
    drop: tuple[Hashable, ...] = (),
    time_feature: Hashable | None = None,
    weight_feature: Hashable | None = None,
    **selection: Any,
) -> Iterator[tuple[dict[Hashable, Any], Any]]:
    """Yields (x, y) for each row of a recorded stream, oldest first, as River's `stream.iter_*` functions do.

    x is a dict of the row's features. y is the feature called `target`, taken out of x, or None; features in
    `drop` are left out. With `time_feature` or `weight_feature` x also has the row's event time (Unix
    seconds) or weight under that name, where the row has one: the estimators here take them from there.
    `selection` is passed to `stream_mix.recording.iter_rows`, which says what can be chosen. Raises what
    that raises, on the first row.
    """
    # Here and not above: learning needs no journals, and `import stream_mix.river` should not cost them.
    from ..recording import iter_rows

    for _, features, t, w, _ in iter_rows(path, **selection):
        x: dict[Hashable, Any] = {name: value for name, value in features.items() if name not in drop}
        if time_feature is not None and t is not None and not math.isnan(t):
            x[time_feature] = t
        if weight_feature is not None and w is not None:
            x[weight_feature] = w
        yield x, None if target is None else x.pop(target, None)
