"""Row family: streams that drift; every row is judged before it is learned, with no tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import ours, stream_peers
from .family import Family, Options, Record, judged, record
from .measures import rand_index
from .source import Source

ARI, DENSITY = "prequential ARI", "prequential log density"


@dataclass(frozen=True)
class Stream:
    """A set in its own order, what is measured of it, over windows of so many rows, and the figure.

    `least` None: as good as batch EM of the window before.
    """

    name: str
    measure: str
    window: int
    least: float | None


STREAMS = (Stream("souza_2cdt", ARI, 400, 0.85), Stream("interchanging_rbf", DENSITY, 3000, 2.9))
MADE = (Stream("moving", ARI, 400, 0.85), Stream("swapping", DENSITY, 3000, None))
_QUICK_ROWS = 30_000


def _run(source: Source, options: Options) -> Sequence[Record]:
    known = {stream.name: stream for stream in (*STREAMS, *MADE)}
    names = source.choose([stream.name for stream in STREAMS], [stream.name for stream in MADE])
    tasks, groups = [], []
    most = _QUICK_ROWS if options.quick else None
    for stream in (known[name] for name in names):
        for learner in _learners(stream.measure, options):
            seeds = options.some(20 if learner.startswith("stream_mix") else 2, 10)
            groups.append((stream, learner, len(seeds)))
            tasks += [(source, stream, learner, seed, most) for seed in seeds]
    runs = options.crew.each(_one, tasks)
    rows = [_row(stream, learner, [next(runs) for _ in range(count)]) for stream, learner, count in groups]
    return [_judged(row, known[row["set"]], rows) for row in rows]


def _learners(measure: str, options: Options) -> list[str]:
    table = LABELLERS if measure == ARI else SCORERS
    names = [name for name in table if not (options.quick and name in SLOW)]
    return [name for name in names if name.startswith("stream_mix") or not options.ours]


def _row(stream: Stream, learner: str, runs: list[list[float]]) -> Record:
    """The mean over windows, for each seed; and the windows of the first."""
    means = [float(np.mean(windows)) for windows in runs]
    worst = float(np.min(runs[0]))
    row = record(stream.name, learner, means, measure=stream.measure, window=stream.window, seeds=len(runs))
    return {**row, "worst_window": worst, "windows": runs[0]}


def _judged(row: Record, stream: Stream, rows: Sequence[Record]) -> Record:
    if row["learner"] != OURS[stream.measure]:
        return row
    least = stream.least
    if least is None:
        past = [r["value"] for r in rows if r["set"] == stream.name and r["learner"] == PREVIOUS]
        if not past:
            return row
        least = past[0]
    return judged(row, row["value"] >= least, f">= {least:.3g}", least)


def _one(source: Source, stream: Stream, learner: str, seed: int, most: int | None) -> list[float]:
    """ARI or mean log density of each window but the first, in which learners find their start."""
    data = source.load(stream.name)
    x = data.x[:most]
    assert data.label is not None
    if stream.measure == ARI:
        values = LABELLERS[learner](x, data.k, seed, stream.window)
        judge = [rand_index(t, v) for t, v in zip(*_windows(stream, data.label[:most], values), strict=True)]
    else:
        density = SCORERS[learner](x, data.k, seed, stream.window)
        judge = [float(part.mean()) for part in _windows(stream, density)[0]]
    return judge[1:]


def _windows(stream: Stream, *of: np.ndarray) -> list[list[np.ndarray]]:
    """Each array cut into whole windows."""
    count = len(of[0]) // stream.window
    return [np.split(values[: count * stream.window], count) for values in of]


def _our_labels(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    return stream_peers.labels(ours.clusterer(k, seed), x)


def _our_labels_in_batches(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    return _in_batches(x, k, seed, lambda model, rows: model.predict(rows), 0)


def _our_density(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    return -stream_peers.scores(ours.scorer(k, seed, score="log_density", half_life="auto"), x)


def _our_density_in_batches(x: np.ndarray, k: int, seed: int, window: int) -> np.ndarray:
    return _in_batches(x, k, seed, lambda model, rows: model.score_samples(rows), 0.0)


def _in_batches(x: np.ndarray, k: int, seed: int, ask: Callable, before: float) -> np.ndarray:
    """What the estimator of the scikit-learn door, which learns in batches, says of each batch before it."""
    model = ours.mixture(k, seed, half_life="auto")
    size = model.batch_size
    said = [np.full(min(size, len(x)), before)]
    for start in range(0, len(x), size):
        if start:
            said.append(ask(model, x[start : start + size]))
        model.partial_fit(x[start : start + size])
    return np.concatenate(said)


PREVIOUS = "batch EM, previous window"
OURS = {ARI: "stream_mix GaussianMixture (River)", DENSITY: "stream_mix GaussianMixtureScorer (River)"}
LABELLERS: dict[str, Callable[[np.ndarray, int, int, int], np.ndarray]] = {
    OURS[ARI]: _our_labels,
    "stream_mix GaussianMixture (batches)": _our_labels_in_batches,
    "River KMeans": stream_peers.river_kmeans,
    "River CluStream": stream_peers.river_clustream,
    PREVIOUS: stream_peers.labels_of_previous,
    "batch EM, one for all rows": stream_peers.labels_of_all,
    "batch EM, this very window": stream_peers.labels_of_own,
}
SCORERS: dict[str, Callable[[np.ndarray, int, int, int], np.ndarray]] = {
    OURS[DENSITY]: _our_density,
    "stream_mix GaussianMixture (batches)": _our_density_in_batches,
    PREVIOUS: stream_peers.density_of_previous,
    "batch EM, one for all rows": stream_peers.density_of_all,
    "batch EM, this very window": stream_peers.density_of_own,
}
SLOW = ("River CluStream",)

FAMILY = Family(
    name="drift",
    title="Streams that drift, in their own order and coordinates; each row judged before it is learned",
    notes=(
        "ARI: mean over windows of 400 rows; log density: nats a row, in the data's units. The first window",
        "is for the start and not counted. Ours has half_life='auto' and the number of clusters. Batch EM is",
        "scikit-learn's; fitted to the very window it is asked about, it is a ceiling. worst: of the first",
        "seed's windows.",
    ),
    columns=(
        ("measure", "measure"), ("window", "window"), ("seeds", "seeds"), ("value", "mean"), ("low", "least"),
        ("high", "greatest"), ("worst_window", "worst"),
    ),
    axis="",
    run=_run,
)  # fmt: skip
