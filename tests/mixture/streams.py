"""Data that the mixture's tests make for themselves."""

from __future__ import annotations

import numpy as np

from stream_mix.mixture import FAMILIES, Basis, Parameters, Prior, Spec, estimate
from stream_mix.mixture.arrays import Array, Ints
from stream_mix.mixture.em import nearest_moments

ALL_FAMILIES = sorted(FAMILIES)


def blobs(
    n: int = 600, k: int = 3, d: int = 2, seed: int = 0, spread: float = 12.0
) -> tuple[Array, Ints, Array]:
    """Rows (n, d) about k centres at least `spread` apart, with unit noise; their labels; the centres."""
    rng = np.random.default_rng(seed)
    centres = rng.permutation(np.arange(k * d) * spread).reshape(k, d)
    label = rng.integers(0, k, n)
    return centres[label] + rng.normal(0.0, 1.0, (n, d)), label, centres


def oval(n: int, seed: int = 0) -> Array:
    """Correlated rows of unequal spread (n, 3)."""
    rng = np.random.default_rng(seed)
    mix = np.array([[1.0, 0.8, 0.0], [0.0, 0.5, 0.3], [0.0, 0.0, 2.0]])
    return rng.normal(0.0, 1.0, (n, 3)) @ mix + np.array([1.0, -2.0, 0.5])


def holes(x: Array, share: float, seed: int = 0) -> Array:
    """The rows with a share of their values missing, never a whole row."""
    rng = np.random.default_rng(seed)
    out = x.copy()
    gone = rng.random(x.shape) < share
    gone[np.arange(len(x)), rng.integers(0, x.shape[1], len(x))] = False
    out[gone] = np.nan
    return out


def fitted(family: str, x: Array, k: int, prior: Prior | None = None) -> tuple[Basis, Parameters]:
    """Some parameters of a family on x in a basis of x, good enough to compute with."""
    value = FAMILIES[family]
    complete = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    basis = Basis.of(complete, isotropic=value.isotropic)
    z = basis.forward(complete)
    moments = nearest_moments(value, z[np.linspace(0, len(z) - 1, k).astype(int)], z, np.ones(len(z)), basis)
    return basis, estimate(value, moments, prior or Prior())


def spec(family: str, **choices: object) -> Spec:
    """A small specification."""
    return Spec(**{"n_components": 3, "family": family, "batch_size": 50, **choices})  # type: ignore[arg-type]  # choices are checked by Spec itself
