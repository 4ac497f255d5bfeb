"""The two halves of EM on rows that may have holes: responsibilities, and the moments under them.

Rows without missing values go straight to the kernels, and those of diagonal components in any case: there a
missing value is left out. Others are grouped by which features they have; within a group the mixture of those
features is an ordinary mixture again, and what is missing enters the moments by its conditional mean and
covariance given what was observed (Little & Rubin 2002, ch. 11.2; Ghahramani & Jordan 1994). Leaving the
covariance out would shrink variances. Kernels that do this in one call are asked first; what stands here is
what they are measured by, and what runs where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np

from .arrays import Array, Bools, Ints
from .basis import Basis
from .families import Family, Parameters
from .kernels import Marginals, Natural, Sums, Told, accumulate, marginals, posterior
from .moments import Moments
from .scatter import SCATTERS

_NO_MASS = 1e-100
"""A component with less than this in a batch took no part in it; its mean there would be noise divided by
nothing."""


def patterns(z: Array) -> Iterator[tuple[Bools, Ints]]:
    """Groups the rows of z (n, d) by which features they have: (observed (d,), row numbers), in order of
    first appearance."""
    observed = ~np.isnan(z)
    packed = np.ascontiguousarray(np.packbits(observed, axis=1))
    keys = (
        packed.view([("", packed.dtype)] * packed.shape[1]).ravel()
        if packed.shape[1]
        else np.zeros(len(z), np.uint8)
    )
    _, first, inverse, count = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(count)[:-1])
    for group in np.argsort(first, kind="stable"):
        yield observed[first[group]], members[group]


def e_step(parameters: Parameters, z: Array) -> Told:
    """Responsibilities and densities of rows z (n, d) of the basis.

    A row with nothing observed gets the weights and density 1.
    """
    complete = None if _begins_with_a_hole(parameters, z) else posterior(z, parameters.natural)
    if complete is not None:
        return complete
    faster = faster_marginals(parameters)
    if faster is not None and (found := faster.posterior(z)) is not None:
        return found
    told = Told.blank(len(z), len(parameters.weights))
    for observed, rows in patterns(z):
        part = _whole(posterior(_part(z, observed, rows), parameters.marginal(observed)))
        told.p[rows], told.label[rows] = part.p, part.label
        told.log_density[rows], told.distance[rows] = part.log_density, part.distance
    return told


def faster_marginals(parameters: Parameters) -> Marginals | None:
    """What takes rows with holes in one call, where there is such a kernel."""
    if parameters.family.student is not None:
        return None
    return marginals(parameters.family.scatter, parameters.weights, parameters.means, parameters.dense)


def _begins_with_a_hole(parameters: Parameters, z: Array) -> bool:
    """Whether the first row already lacks a feature that others are correlated with: then the mixture of all
    features need not be made."""
    return parameters.family.scatter != "diag" and bool(np.isnan(z[:1]).any())


_Answer = TypeVar("_Answer")


def _whole(answer: _Answer | None) -> _Answer:
    """What a kernel answers of rows that have no holes by construction."""
    assert answer is not None
    return answer


def _part(z: Array, observed: Bools, rows: Ints) -> Array:
    """The observed features of some rows."""
    return np.ascontiguousarray(z[np.ix_(rows, np.flatnonzero(observed))])


def batch_moments(
    parameters: Parameters,
    z: Array,
    w: Array | None,
    basis: Basis,
    lineage: str,
    known: Array | None,
    hard: bool = False,
) -> tuple[Moments, Array]:
    """The moments of rows z (n, d) with weights w (n,) under the mixture's own responsibilities, and their
    log densities (n,).

    `known` (k, d) is how far each component knows each feature, 0 to 1, or None where all is known: an
    imputed value counts only as far as that, since what was never observed must not be learned from itself.
    """
    blank = Moments.zeros(parameters.family.scatter, basis, len(parameters.weights), lineage)
    sums = sums_of(parameters, z, w, hard)
    if sums is not None:
        return centred(blank, sums, len(z)), sums.log_density
    return moments_with_holes(parameters, z, w, blank, known, hard)


def sums_of(
    parameters: Parameters,
    z: Array,
    w: Array | None,
    hard: bool,
    *,
    tell: bool = False,
    basis: Basis | None = None,
) -> Sums | None:
    """The kernels' `accumulate`; None where a value is missing that others are correlated with."""
    if _begins_with_a_hole(parameters, z):
        return None
    return accumulate(z, w, parameters.natural, hard, tell, basis)


def moments_with_holes(
    parameters: Parameters, z: Array, w: Array | None, blank: Moments, known: Array | None, hard: bool
) -> tuple[Moments, Array]:
    """`batch_moments` of rows that have holes; `blank` are the moments of no rows."""
    faster = faster_marginals(parameters)
    if faster is not None and (found := faster.accumulate(z, w, known, hard)) is not None:
        moments = replace(
            blank, mass=found.mass, seen=found.seen, mean=found.mean, scatter=found.scatter, rows=len(z)
        )
        return moments, found.log_density
    log_density = np.empty(len(z))
    moments = blank
    for observed, rows in patterns(z):
        weights = None if w is None else w[rows]
        sums = _whole(accumulate(_part(z, observed, rows), weights, parameters.marginal(observed), hard))
        log_density[rows] = sums.log_density
        part = centred(blank, sums, len(rows))
        if blank.kind == "diag":
            moments = moments.add(_left_out(part, blank, observed))
        else:
            moments = moments.add(_imputed(part, blank, observed, parameters, known))
    return replace(moments, rows=len(z)), log_density


def sweep(
    parameters: Parameters,
    x: Array,
    w: Array | None,
    basis: Basis,
    known: Array,
    *,
    hard: bool,
    lineage: str = "",
) -> tuple[Moments, float]:
    """One pass of EM over data x (n, d) in the data's units: the moments, and the sum of w times log density
    in the basis.

    Nothing of the size of the data is allocated but n log densities, unless values are missing.
    """
    blank = Moments.zeros(parameters.family.scatter, basis, len(parameters.weights), lineage)
    sums = sums_of(parameters, x, w, hard, basis=basis)
    if sums is not None:
        moments, log_density = centred(blank, sums, len(x)), sums.log_density
    else:
        moments, log_density = moments_with_holes(parameters, basis.forward(x), w, blank, known, hard)
    return moments, float(log_density.sum() if w is None else w @ log_density)


def nearest_moments(family: Family, centres: Array, z: Array, w: Array, basis: Basis) -> Moments:
    """The moments of complete rows z (n, d), each counting wholly for the nearest of the centres (k, d)."""
    k, d = centres.shape
    identity = SCATTERS[family.scatter].identity(k, d)
    natural = Natural.of(family.scatter, np.full(k, -math.log(k)), centres, identity, round=True)
    blank = Moments.zeros(family.scatter, basis, k)
    moments = centred(blank, _whole(accumulate(z, w, natural, hard=True)), len(z))
    return replace(moments, mean=np.where(moments.seen > 0, moments.mean, centres))


def centred(blank: Moments, sums: Sums, rows: int) -> Moments:
    """Centred moments from a kernel's raw sums; they have as many features as the rows that were summed."""
    present = sums.mass > _NO_MASS
    mass, first = sums.mass, sums.first
    if not present.all():
        mass, first = np.where(present, mass, 0.0), np.where(present[:, None], first, 0.0)
    divisor = np.where(present, mass, 1.0)[:, None]
    seen = np.repeat(mass[:, None], first.shape[1], axis=1)
    if sums.seen is not None:
        # Within a diagonal component a missing value tells nothing that is not known: it is left out, which
        # solves its M-step exactly.
        seen = np.where(present[:, None] & (sums.seen > _NO_MASS), sums.seen, 0.0)
        divisor = np.where(seen > 0, seen, 1.0)
        first = np.where(seen > 0, first, 0.0)
    mean = np.where(seen > 0, sums.origin + first / divisor, 0.0)
    scatter = sums.second - blank.shape_of_scatter.between(first / np.sqrt(divisor))
    if blank.kind == "diag":
        np.maximum(scatter, 0.0, out=scatter)
    elif blank.kind == "full":
        own = np.einsum("kjj->kj", scatter)
        np.maximum(own, 0.0, out=own)
    return Moments(blank.kind, blank.basis, blank.lineage, mass, seen, mean, scatter, rows)


def _left_out(part: Moments, blank: Moments, observed: Bools) -> Moments:
    """Moments of the observed features alone, with nothing known of the others."""
    wide = {name: np.zeros_like(getattr(blank, name)) for name in ("seen", "mean", "scatter")}
    for name, array in wide.items():
        array[:, observed] = getattr(part, name)
    return replace(blank, mass=part.mass, **wide)


def _imputed(
    part: Moments, blank: Moments, observed: Bools, parameters: Parameters, known: Array | None
) -> Moments:
    """Moments of the observed features o alone as moments of all, with the conditional mean and covariance of
    the missing ones m.

    mean_m = mu_m + A (mean_o - mu_o),   S_mo = A S_oo,   S_mm = A S_oo A' + mass C
    with A = Sigma_mo Sigma_oo^-1 and C = Sigma_mm - A Sigma_om
    """
    mass, mean, scatter = part.mass, part.mean, part.scatter
    o, m = np.flatnonzero(observed), np.flatnonzero(~observed)
    sigma = parameters.dense
    tied = blank.kind == "tied"
    to_missing = np.swapaxes(np.linalg.solve(sigma[..., o[:, None], o], sigma[..., o[:, None], m]), -1, -2)
    conditional = sigma[..., m[:, None], m] - to_missing @ sigma[..., o[:, None], m]
    delta = mean - parameters.means[:, o]
    step = delta @ to_missing.T if tied else np.matmul(to_missing, delta[:, :, None])[:, :, 0]
    present = (mass > 0)[:, None]
    means = np.zeros_like(blank.mean)
    means[:, o] = mean
    means[:, m] = np.where(present, parameters.means[:, m] + step, 0.0)
    across = to_missing @ scatter
    whole = np.zeros_like(blank.scatter)
    whole[..., o[:, None], o] = scatter
    whole[..., m[:, None], o] = across
    whole[..., o[:, None], m] = np.swapaxes(across, -1, -2)
    spread = mass.sum() if tied else mass[:, None, None]
    whole[..., m[:, None], m] = across @ np.swapaxes(to_missing, -1, -2) + spread * conditional
    share = np.where(observed, 1.0, 1.0 if known is None else known)
    # Under heavy tails a row counts more or less for means and scatter than for the weight.
    seen = (part.seen[:, :1] if o.size else mass[:, None]) * share
    common = seen.sum(axis=0) / max(float(mass.sum()), _NO_MASS) if tied else share
    root = np.sqrt(common)
    return replace(
        blank, mass=mass, seen=seen, mean=means, scatter=whole * (root[..., :, None] * root[..., None, :])
    )
