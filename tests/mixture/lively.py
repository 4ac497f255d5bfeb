"""Models that go live, and `learn` in NumPy beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_mix.mixture import Memory, Model, Prior, Rows, Spec, batches, em, folders, learn
from stream_mix.mixture.kernels import named
from stream_mix.mixture.live import isas, live_of, model_of

ISAS = [pytest.param(isa, id=isa) for isa in isas()]


@contextmanager
def reference() -> Iterator[None]:
    """`learn` and `posterior` in NumPy alone."""
    kernels = named("reference")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("accumulate", "posterior", "marginals"):
            patch.setattr(em, name, getattr(kernels, name))
        for module in (folders, batches):
            patch.setattr(module, "folder_of", lambda spec, d: None)
        yield


def begun(family: str, memory: Memory, x: Any, k: int = 3, prior: Prior | None = None, **more: Any) -> Model:
    """A model that was started from rows x (n, d), its start settled."""
    first = Spec(k, family, memory=memory, prior=prior or Prior(), batch_size=len(x), random_state=3, **more)
    with reference():
        model, _ = learn(Model.new(first, x.shape[1]), Rows.of(x, t=np.arange(len(x)) / 10.0))
    return replace(model, spec=replace(first, batch_size=1), reservoir=(), next_start=0)


def on(isa: str, model: Model, rows: Rows) -> tuple[Model, int]:
    """The model after rows, learned live as far as that goes; and how many were left to `learn`."""
    left = done = 0
    while done < len(rows):
        live = live_of(model, isa=isa)
        if live is not None:
            done += live.learn_rows(rows.x[done:], rows.w[done:], rows.t[done:])
            model = model_of(live, model)
        if done < len(rows):
            with reference():
                model, _ = learn(model, rows[done : done + 1])
            done, left = done + 1, left + 1
    return model, left


def assert_like(one: Model, other: Model, tol: float = 1e-10) -> None:
    for name in ("spec", "d", "components", "generation", "learned", "next_start"):
        assert getattr(one, name) == getattr(other, name), name
    ours, theirs = one.moments, other.moments
    assert (ours.kind, ours.lineage, ours.rows) == (theirs.kind, theirs.lineage, theirs.rows)
    np.testing.assert_equal(one.t, other.t)
    np.testing.assert_allclose(one.evidence, other.evidence, rtol=tol, atol=tol)
    np.testing.assert_allclose(ours.basis.origin, theirs.basis.origin, rtol=tol, atol=tol)
    np.testing.assert_allclose(ours.basis.scale, theirs.basis.scale, rtol=tol)
    for name in ("mass", "seen", "mean", "scatter"):
        array = getattr(theirs, name)
        size = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(getattr(ours, name), array, rtol=tol, atol=tol * size, err_msg=name)


def state(live: Any) -> list[Any]:
    arrays = [array.tolist() for array in (*live.moments(), live.origin, live.scale)]
    return [*arrays, repr(live.t), live.evidence, live.generation, live.learned, live.rows]
