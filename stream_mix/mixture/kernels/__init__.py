"""The hot loops, behind a few functions.

    posterior(x, natural)             E-step: responsibilities, label, log density, squared distance
    accumulate(x, w, natural, hard)   E-step and sums in one visit; what the E-step said only where asked for
    marginals(kind, weights, ...)     both for rows that lack features, where components correlate them

The first two take a `Natural`, the log-linear form that every family comes down to:
score_k(x) = theta_k . features(x). A kernel knows three shapes of second moments and no family. `reference`
is NumPy; `compiled` is C++, built for several instruction sets; `choice` takes the best that the machine can
run. The compiled ones also fold whole batches (`folders`) and single rows (`live`) without coming back to
Python in between, and read and write the longest messages (`read_points`, `columns`) in one visit of their
bytes.
"""

from .answers import Filled, Sums, Told, has_missing
from .choice import WHY_NOT_COMPILED, Kernels, Marginals, available, chosen, named
from .natural import Natural

_CHOSEN = chosen()
IMPLEMENTATION = _CHOSEN.described
posterior = _CHOSEN.posterior
accumulate = _CHOSEN.accumulate
marginals = _CHOSEN.marginals
nearest_two = _CHOSEN.nearest_two
first_beyond = _CHOSEN.first_beyond
crc32 = _CHOSEN.crc32
read_points = _CHOSEN.read_points
columns = _CHOSEN.columns

__all__ = [
    "IMPLEMENTATION",
    "WHY_NOT_COMPILED",
    "Filled",
    "Kernels",
    "Marginals",
    "Natural",
    "Sums",
    "Told",
    "accumulate",
    "available",
    "chosen",
    "columns",
    "crc32",
    "first_beyond",
    "has_missing",
    "marginals",
    "named",
    "nearest_two",
    "posterior",
    "read_points",
]
