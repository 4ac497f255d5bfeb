"""What the demonstration says besides its figures."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from .stream import Stream

NOTES = """\
Rand index: agreement with the two labels, 1 = the same, 0 = chance; all rows judged by what one pass learned.
k-means of all makes, and DBSTREAM, get rows scaled by River's StandardScaler as they come, but where it says
not. Of scikit-learn's and River's k-means, which hang on their seed, the median of three. At K = 2 k-means of
scaled rows agrees best; its density is far worse, though, and somebody had to think of scaling. At K = 4 most
methods part the normal rows, too, which the labels do not. Seconds are of one core; the mixture's are for
learning and judging every row, the others' for learning."""

PYTHON = """\
from river import preprocessing, stream
from stream_mix.river import GaussianMixture
model = preprocessing.StandardScaler() | GaussianMixture(n_components=4, seed=1)
for x, _ in stream.iter_csv("yours.csv", converters={"a": float, "b": float}):
    print(model.predict_proba_one(x))
    model.learn_one(x)"""


def opening(stream: Stream) -> str:
    """What the data are, and why these."""
    n, d = stream.x.shape
    bad = int(stream.anomaly.sum())
    return f"""\
{n:,} rows of {d} sensors of a NASA shuttle, as River ships them; {bad:,} are labelled anomalies, and all
labels are kept from all learners. Why these: most anomalies lie in one long thin cluster, and sensors jump by
thousands; a full mixture takes the rows as they are and with K = 2 gathers all anomalies in one component.
k-means finds nothing in rows as they are: it needs them scaled first, and then does well at K = 2."""


def command() -> str:
    """The `stream-mix` of this environment, as a shell takes it, short where it is near."""
    beside = Path(sys.executable).with_name("stream-mix")
    return where(beside) if beside.exists() else f"{where(Path(sys.executable))} -m stream_mix.cli"


def where(path: Path) -> str:
    """The path in quotes as a shell takes it, absolute: it may be pasted elsewhere."""
    return shlex.quote(os.path.abspath(path))


def closing(out: Path, journal: Path, rows: int, state_hash: str) -> str:
    """What to paste: one's own data in River, one's own data into an engine, this stream again."""
    tool = command()
    return f"""
Your own rows in River, six lines of Python:

{PYTHON}

Your own rows through an engine (`kill %1` in the same shell ends it), one line:

{tool} run {where(out / "own.toml")} & {tool} send yours.csv

This stream again from its journal, learned to the same state ({rows} rows, {state_hash}):

{tool} replay {where(journal)}"""
