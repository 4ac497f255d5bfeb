"""How good a clustering is, without labels and without rows: all from parameters and moments.

Criteria are in nats a row, twice, and smaller is better; n is the mass that the memory holds, so that a
memory that forgets has the penalty of the rows that it still counts, and p the family's free parameters:

    Q   = mean of  log weight_k + log p(x | k)  over rows and their responsibilities
    ICL = -2 Q + p log(n) / n                   (Biernacki, Celeux & Govaert 2000)
    BIC = -2 (Q + H) + p log(n) / n             H the mean entropy of responsibilities

Q is exact: moments are all it takes, tr(P S) being the sum of a component's squared distances. Its
responsibilities are those with which rows were learned. Q + H is the log-likelihood. H is the expected
entropy over rows that the mixture itself makes: rows of its own are there at any time, without keeping any,
and where the mixture fits they are as uncertain as the data. BIC asks which density predicts best, ICL which
one does so by components that part the rows.

The silhouette is the simplified one, (b - a) / max(a, b) with the distances a to the own centre and b to the
nearest other (Hruschka, de Castro & Campello 2004), over the same rows of the mixture's own. Xie-Beni (1991;
here with responsibilities to the first power) is the mean squared distance to the own centre over the
least squared distance of two centres: smaller is better. Both measure distances in units of the spread of all
rows in each feature, one ruler for every family.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .agreement import rand_index
from .arrays import Array, Ints, squared_distances
from .em import e_step
from .families import Parameters
from .model import Model
from .moments import Moments
from .overlap import clusters

MOST_DRAWS, MOST_ROWS = 128, 1024
"""Rows drawn from a component, and from all of them together, at the most."""

_CELLS = 1 << 25
"""Rows drawn, times components, times terms of a score, at the most."""

_MOST_CENTRES = 1024
"""Beyond this the distances of centres are not compared."""


@dataclass(frozen=True)
class Validity:
    """Figures of one generation of a model; None for what is not known yet, means nothing for a single
    component, or would take too long for so many.

    Attributes:
        generation: batches that the model had learned.
        log_likelihood: mean log density of recent rows, each before it was learned (prequential).
        bic, icl: nats a row, twice; smaller is better.
        entropy: of responsibilities, mean, in nats: 0 where rows belong to one component each.
        silhouette: -1 to 1; above 0.7 strong, above 0.5 fair (Kaufman & Rousseeuw 1990).
        xie_beni: compactness over separation; smaller is better.
        clusters: stable ids, components that overlap being together.
        stability: agreement with the model of another seed on the same stream, where there is one.
    """

    generation: int
    log_likelihood: float | None = None
    bic: float | None = None
    icl: float | None = None
    entropy: float | None = None
    silhouette: float | None = None
    xie_beni: float | None = None
    clusters: tuple[tuple[int, ...], ...] | None = None
    stability: float | None = None


def measured(model: Model, x: Array | None = None) -> Validity:
    """The figures of a model as it is; a pure function of it, the rows that it draws have a fixed seed.

    Where rows x (n, d) of the stream are at hand, those without missing values stand for rows of the model's
    own in entropy, BIC and silhouette.

    >>> from stream_mix.mixture import Rows, Spec, learn
    >>> rows = Rows.of([[0.0], [1.0], [90.0], [91.0]] * 100)
    >>> found = measured(learn(Model.new(Spec(n_components=2, batch_size=400), d=1), rows)[0])
    >>> found.silhouette > 0.9, found.xie_beni < 0.001, len(found.clusters)
    (True, True, 2)
    """
    evidence = None if math.isnan(model.log_likelihood) else model.log_likelihood
    if model.warming:
        return Validity(model.generation)
    found, moments = model.parameters, model.moments
    unit = spread(found, moments)
    drawn = _given(model, x) or draws(found)
    entropy = silhouette = None
    if drawn is not None:
        told = e_step(found, drawn[0])
        entropy = _entropy(told.p, drawn[1])
        silhouette = _silhouette(found.means / unit, drawn[0] / unit, told.label, drawn[1])
    bic, icl = _criteria(model, entropy)
    return Validity(
        model.generation, evidence, bic, icl, entropy, silhouette,
        xie_beni(found, moments, unit), clusters(model),
    )  # fmt: skip


def _given(model: Model, x: Array | None) -> tuple[Array, Array] | None:
    """Rows x (n, d) in the basis that miss nothing, and what each counts (n,); None where there are none."""
    if x is None:
        return None
    z = model.basis.forward(x)
    z = z[~np.isnan(z).any(axis=1)]
    return (z, np.full(len(z), 1.0 / len(z))) if len(z) else None


def stability(model: Model, other: Model) -> float | None:
    """Adjusted Rand index of the labels that two models give to rows that the first one makes: what a
    clustering has of chance, where both learned the same stream from different seeds.

    None while either is warming, or where nothing is drawn.
    """
    if model.warming or other.warming or model.d != other.d or np.isnan(model.basis.origin).any():
        return None
    drawn = draws(model.parameters)
    if drawn is None:
        return None
    z, counts = drawn
    own = e_step(model.parameters, z).label
    label = e_step(other.parameters, other.basis.forward(model.basis.backward(z))).label
    table = np.zeros((model.k, other.k))
    # The index is of numbers of rows; as many as were drawn have their places in it by weight.
    np.add.at(table, (own, label), counts * len(z))
    return rand_index(table)


def classified(parameters: Parameters, moments: Moments) -> float:
    """Q, the mean of log weight + log density under the responsibilities of the rows in the moments, each
    feature as if it had been observed in all rows; in the coordinates of the moments' basis."""
    observed = ~np.isnan(moments.basis.origin)
    natural = parameters.natural if observed.all() else parameters.marginal(observed)
    scatter = mean_scatter(moments)[..., observed]
    if moments.kind != "diag":
        scatter = scatter[..., observed, :]
    # A tied scatter is one for all components, and so is its mean squared distance.
    products = (natural.precision * scatter).reshape(1 if moments.kind == "tied" else moments.k, -1)
    return float(_shares(moments) @ (natural.peak - 0.5 * products.sum(axis=1)))


def mean_scatter(moments: Moments) -> Array:
    """Scatter over the mass that knows it: covariances within components, without a prior, by kind."""
    pair = moments.shape_of_scatter.pair(moments.seen)
    scatter: Array = moments.scatter / np.where(pair > 0, pair, 1.0)
    return scatter


def spread(parameters: Parameters, moments: Moments) -> Array:
    """Standard deviations (d,) of all rows together, 1 for a feature without spread."""
    share = _shares(moments)
    mean = share @ parameters.means
    within = moments.shape_of_scatter.variances(mean_scatter(moments), moments.k)
    variance = share @ (within + np.square(parameters.means - mean))
    deviation: Array = np.sqrt(np.where(variance > 0, variance, 1.0))
    return deviation


def draws(parameters: Parameters, seed: int = 0) -> tuple[Array, Array] | None:
    """Rows (n, d) that the mixture makes, and what each counts (n,), summing to 1; None where there would
    be too few of them.

    All components have the same deviates, each with its opposite: the order of components changes nothing,
    and their means are met exactly.
    """
    k, d = parameters.means.shape
    terms = k * k * (1 + d + (d * (d + 1) // 2 if parameters.family.scatter == "full" else d))
    pairs = min(MOST_DRAWS, max(2, MOST_ROWS // k), _CELLS // terms) // 2
    if not pairs:
        return None
    rng = np.random.default_rng(seed)
    half = rng.standard_normal((pairs, d))
    if (student := parameters.family.student) is not None:
        half /= np.sqrt(rng.chisquare(student.degrees, (pairs, 1)) / student.degrees)
    normal = np.concatenate([half, -half])
    dense = parameters.dense
    if parameters.family.scatter == "diag":
        moved = normal * np.sqrt(dense)[:, None, :]
    else:
        moved = normal @ np.swapaxes(np.linalg.cholesky(dense), -1, -2)
    z = parameters.means[:, None, :] + moved
    counts = np.repeat(parameters.weights / len(normal), len(normal))
    return z.reshape(-1, d), counts


def xie_beni(parameters: Parameters, moments: Moments, unit: Array) -> float | None:
    """Mean squared distance to the own centre over the least squared distance of two centres, in units (d,)
    of the features; None for one component, for more than 1024, and where two centres are the same."""
    k = moments.k
    if not 1 < k <= _MOST_CENTRES:
        return None
    within = moments.shape_of_scatter.variances(mean_scatter(moments), k)
    compact = float(_shares(moments) @ (within / np.square(unit)).sum(axis=1))
    apart = squared_distances(parameters.means / unit, parameters.means / unit)
    np.fill_diagonal(apart, np.inf)
    least = float(apart.min())
    return compact / least if least > 0 and math.isfinite(compact / least) else None


def _criteria(model: Model, entropy: float | None) -> tuple[float | None, float | None]:
    """BIC and ICL a row, in the data's units; None where the memory holds next to nothing, and under heavy
    tails, whose mean log density moments do not tell."""
    n = float(model.moments.mass.sum())
    observed = ~np.isnan(model.basis.origin)
    if n < 2.0 or not observed.any() or model.spec.family_value.student is not None:
        return None, None
    units = float(np.log(model.basis.scale[observed]).sum())
    free = model.spec.family_value.n_parameters(model.k, int(observed.sum()))
    icl = -2.0 * (classified(model.parameters, model.moments) - units) + free * math.log(n) / n
    if not math.isfinite(icl):
        return None, None
    return None if entropy is None else icl - 2.0 * entropy, icl


def _entropy(p: Array, counts: Array) -> float:
    return float(counts @ -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1))


def _silhouette(means: Array, z: Array, label: Ints, counts: Array) -> float | None:
    """Mean simplified silhouette of rows z (n, d) with labels (n,) that count (n,)."""
    if len(means) < 2:
        return None
    # The unit does not matter, so that squares of rows far out need not overflow.
    unit = max(1.0, float(np.abs(z).max()), float(np.abs(means).max()))
    distances = np.sqrt(squared_distances(z / unit, means / unit))
    rows = np.arange(len(z))
    own = distances[rows, label]
    distances[rows, label] = np.inf
    other = distances.min(axis=1)
    most = np.maximum(own, other)
    return float(counts @ ((other - own) / np.where(most > 0, most, 1.0)))


def _shares(moments: Moments) -> Array:
    """What part of the mass each component has (k,)."""
    total = moments.mass.sum()
    shares: Array = moments.mass / total if total > 0 else np.full(moments.k, 1.0 / moments.k)
    return shares
