"""One model parted into several that go on from it side by side; `merging` makes one of them again."""

from __future__ import annotations

from dataclasses import replace

from .learning import flush
from .model import Model
from .moments import Moments


def shards(model: Model, n: int) -> tuple[Model, ...]:
    """n models that go on from this one, each with an nth of what it remembers: merged again they count it
    once.

    Rows that wait for their batch are learned first. The first shard keeps the counts of rows and batches.
    Raises ValueError before the start is settled, and where n makes no sense.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"shards: n is {n!r}, expected an integer >= 1")
    model, _ = flush(model)
    if model.next_start:
        missing = model.spec.start_rows(model.d) - model.learned
        raise ValueError(f"shards: the model needs {missing} more rows for its start to be settled")
    share = 1.0 / n
    first = replace(
        model,
        store=tuple(_share(bucket, n, bucket.rows - (n - 1) * (bucket.rows // n)) for bucket in model.store),
        evidence=(model.evidence[0] * share, model.evidence[1] * share),
        # A review would part them: merged again they would not be one model any more.
        sample=None,
        contest=None,
    )
    further = replace(
        first,
        store=tuple(_share(bucket, n, bucket.rows // n) for bucket in model.store),
        generation=0,
        learned=0,
        late=0,
    )
    return (first, *[further] * (n - 1))


def _share(bucket: Moments, n: int, rows: int) -> Moments:
    """An nth of a record that has lived for so many rows: steps go by a record's age."""
    return replace(bucket.scale(1.0 / n), rows=rows)
