"""The basis follows the data: moments keep their digits where it has moved or spread far from its origin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .basis import DIGITS, Basis, gridded, least_scale
from .changes import Change
from .model import Model
from .rows import Rows

BASIS_BATCHES = 64
"""Batches after which the basis is looked at."""

_OUT_OF_REACH = 30.0
"""The basis is moved when the data's centre is further from its origin, or the data's spread further from its
scale, than this."""


_LIGHT = 0.1
"""Components with less than this share of the mean mass do not decide on the basis: they may be a giant or
two."""


def in_reach(model: Model) -> tuple[Model, tuple[Change, ...]]:
    """The model with its basis moved after the data, where that is due and worth it."""
    if model.generation % BASIS_BATCHES or (better := _better_basis(model)) is None:
        return model, ()
    moved = replace(model, store=tuple(bucket.rebase(better) for bucket in model.store))
    return moved, (Change("rebased", -1, (), model.learned),)


def with_origins(model: Model, rows: Rows) -> Model:
    """Gives features that are observed for the first time their origin and scale."""
    new = np.isnan(model.basis.origin)
    if not new.any() or np.isnan(rows.x[:, new]).all():
        return model
    old, first = model.basis, Basis.of(rows.x, rows.w)
    scale = old.scale if model.spec.family_value.isotropic else np.where(new, first.scale, old.scale)
    basis = Basis(np.where(new, first.origin, old.origin), scale)
    return replace(model, store=tuple(bucket.rebase(basis) for bucket in model.store))


def _better_basis(model: Model) -> Basis | None:
    """A basis about the data as remembered now, where the present one is far off; None where it still
    serves."""
    moments, old = model.moments, model.basis
    heavy = moments.seen >= _LIGHT * moments.seen.mean(axis=0)
    part = np.where(heavy, moments.seen, 0.0)
    seen = part.sum(axis=0)
    divisor = np.where(seen > 0, seen, 1.0)
    mean = np.where(heavy, part * moments.mean, 0.0).sum(axis=0) / divisor
    within = moments.shape_of_scatter.variances(moments.scatter, model.k)
    tied = model.spec.family_value.scatter == "tied"
    summed = within[0] if tied else np.where(heavy, within, 0.0).sum(axis=0)
    off = np.where(heavy, moments.mean - mean, 0.0)
    variance = (summed + (part * np.square(off)).sum(axis=0)) / divisor
    # Beside values that only light components have, what is left of heavy ones may be rounding and no spread.
    reach = np.where(heavy, 0.0, np.where(moments.seen > 0, np.abs(moments.mean - mean), 0.0)).max(axis=0)
    usable = (seen > 0) & (np.sqrt(np.maximum(variance, 0.0)) > DIGITS * reach) & np.isfinite(variance)
    if not usable.any():
        return None
    origin = np.where(seen > 0, old.origin + mean * old.scale, old.origin)
    least = least_scale(origin)
    deviation = np.sqrt(np.where(usable, variance, 1.0))
    if model.spec.family_value.isotropic:
        # One scale for all features, those without spread too: a round family has no other.
        deviation, least = np.full(model.d, np.sqrt(variance[usable].mean())), np.full(model.d, least.max())
    deviation = np.maximum(deviation, least / old.scale)
    off = np.maximum(
        np.maximum(deviation, 1.0 / np.maximum(deviation, 1e-300)), np.abs(mean) / np.maximum(deviation, 1.0)
    )
    if not (off[usable] > _OUT_OF_REACH).any():
        return None
    scale = old.scale * deviation
    return Basis(np.where(usable, gridded(origin, scale), origin), scale)
