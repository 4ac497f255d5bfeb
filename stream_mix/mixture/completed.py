"""What a mixture is worth to those who look for clusters: its integrated completed likelihood over rows.

ICL (Biernacki, Celeux & Govaert 2000) is the log likelihood, less the entropy of responsibilities, less
log(n) / 2 for each free parameter. The entropy keeps a cluster that is no Gaussian in one piece, where the
likelihood alone (BIC) would lay several components over each other. Free parameters are those that the rows
decide: a correlation that is shrunk to (1 - lambda) of itself counts 1 - lambda. So sixty rows in thirty
features, whose correlations are all noise, pay for a centre and widths and not for a matrix.
"""

from __future__ import annotations

import math

import numpy as np

from .em import e_step
from .families import Parameters
from .families.family import shrinkage
from .moments import Moments
from .moves import Reservoir


def criterion(reservoir: Reservoir, parameters: Parameters, moments: Moments, rows: float) -> float:
    """The integrated completed likelihood, in nats over all rows of the reservoir; a parameter costs what it
    does among `rows` rows."""
    told = e_step(parameters, reservoir.z)
    sure = told.log_density
    if reservoir.hard:
        sure = sure + np.log(np.maximum(told.p.max(axis=1), 1e-300))
    else:
        sure = sure + (told.p * np.log(np.maximum(told.p, 1e-300))).sum(axis=1)
    # Weights say what rows count beside each other; what all of them amount to is (sum w)^2 / sum w^2.
    total = float(reservoir.w.sum())
    worth = total / float(np.square(reservoir.w).sum())
    return worth * float(reservoir.w @ sure) - 0.5 * _free(reservoir, moments) * math.log(max(rows, 2.0))


def _free(reservoir: Reservoir, moments: Moments) -> float:
    """Parameters that the rows decide."""
    family, k, d = reservoir.family, moments.k, moments.d
    every = float(family.n_parameters(k, d))
    if moments.kind == "diag" or d == 1:
        return every
    tied = moments.kind == "tied"
    rows = moments.mass.sum(keepdims=True) if tied else moments.mass
    scatter = moments.scatter[None] if tied else moments.scatter
    covariances = scatter / np.maximum(rows, 1e-300)[:, None, None]
    return every - float(shrinkage(covariances, rows, reservoir.prior.correlation).sum()) * d * (d - 1) / 2
