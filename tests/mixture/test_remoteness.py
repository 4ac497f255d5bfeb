"""Remoteness against its formula, live against NumPy, and what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2
from sklearn.metrics import roc_auc_score

from stream_mix.mixture import HalfLife, Model, Prior, Rows, Spec, learn, posterior
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.families import estimate
from stream_mix.mixture.live import live_of
from stream_mix.mixture.remoteness import RESOLUTION, remoteness
from stream_mix.mixture.tail import log_survival

from .lively import ISAS, begun
from .streams import ALL_FAMILIES, blobs, holes


def strange_rows(x: Array) -> Array:
    """Some of the rows, some far out, some very far."""
    return np.concatenate([x[:30], x[:10] * 3.0, x[:5] + 100.0, x[:3] * 1e6])


def slow(model: Model, x: Array) -> Array:
    """The formula, row by row and component by component."""
    prior = Prior(reg_covar=RESOLUTION)
    found = estimate(model.spec.family_value, model.moments, prior)
    roots, out = np.sqrt(found.weights), []
    for z in model.basis.forward(x):
        seen = ~np.isnan(z)
        terms = []
        for root, mean, matrix in zip(roots, found.means, found.matrices, strict=True):
            delta = (z - mean)[seen]
            distance = delta @ np.linalg.solve(matrix[np.ix_(seen, seen)], delta)
            terms.append(np.log(root) + float(chi2.logsf(distance, seen.sum())))
        out.append(np.log(roots.sum()) - np.logaddexp.reduce(terms))
    return np.array(out)


@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_its_formula(family: str, missing: float) -> None:
    x, _, _ = blobs(400, k=3, d=3, seed=1, spread=4.0)
    model = begun(family, HalfLife(500.0), x, k=4)
    rows = np.concatenate([x[:40], x[:20] * 2.0])
    rows = holes(rows, missing, seed=2) if missing else rows
    np.testing.assert_allclose(remoteness(model, rows), slow(model, rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("family", ALL_FAMILIES)
@pytest.mark.parametrize("d", [1, 2, 5, 9, 60])
def test_live_says_the_same(isa: str, family: str, d: int) -> None:
    x, _, _ = blobs(400, k=3, d=d, seed=d, spread=4.0)
    model = begun(family, HalfLife(500.0), x, k=11)
    live = live_of(model, tuple(range(d)), isa=isa)
    assert live is not None
    rows = strange_rows(x)
    rows[2, 0] = np.nan
    said = [live.remoteness_one(dict(enumerate(row))) for row in rows.tolist()]
    np.testing.assert_allclose(said, remoteness(model, rows), rtol=1e-9, atol=1e-9)
    before = live.strangeness_one(dict(enumerate(rows[0].tolist())))
    assert before == pytest.approx(-posterior(model, rows[:1]).log_density[0], rel=1e-9)


@pytest.mark.parametrize("degrees", [1, 2, 3, 8, 37, 300, 900, 1401, 3000])
def test_log_survival_is_the_logarithm_of_it(degrees: int) -> None:
    x = np.concatenate([[0.0], np.geomspace(1e-6, 1e5, 400), degrees * np.linspace(0.5, 1.5, 41)])
    # Where the library underflows it says -inf; far out the logarithm goes as -x/2 + (degrees/2 - 1) log x.
    known = np.isfinite(chi2.logsf(x, degrees))
    x = x[known]
    np.testing.assert_allclose(log_survival(x, degrees), chi2.logsf(x, degrees), rtol=1e-9, atol=1e-11)
    far = np.array([1e8, 2e8])
    fall = -0.5 * far + (0.5 * degrees - 1.0) * np.log(0.5 * far) - math.lgamma(0.5 * degrees)
    np.testing.assert_allclose(log_survival(far, degrees), fall, rtol=1e-9)


@pytest.mark.parametrize("d", [1500, 1501])
def test_rows_of_very_many_features_are_told_apart(d: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, d))
    model, _ = learn(Model.new(Spec(1, "diag", batch_size=600), d), Rows.of(x))
    rows = rng.normal(size=(20, d)) * np.geomspace(0.9, 1.2, 20)[:, None]
    found = remoteness(model, rows)
    np.testing.assert_allclose(found, slow(model, rows), rtol=1e-6, atol=1e-9)
    assert (np.argsort(found)[-5:] >= 13).all()


def test_anomalies_that_won_a_component_stay_remote() -> None:
    rng = np.random.default_rng(0)
    label = rng.random(4000) < 0.02
    x = rng.normal(size=(4000, 6)) + rng.integers(0, 2, 4000)[:, None] * 3.0
    x[label] = -6.0 + 0.1 * rng.normal(size=(int(label.sum()), 6))
    model, _ = learn(Model.new(Spec(8, batch_size=50), 6), Rows.of(x))
    assert roc_auc_score(label, -posterior(model, x).log_density) < 0.6
    assert roc_auc_score(label, remoteness(model, x)) > 0.9


def test_it_has_no_bound_and_begins_at_nothing() -> None:
    x, _, _ = blobs(600, k=1, d=2, seed=3)
    model, _ = learn(Model.new(Spec(1, batch_size=50), 2), Rows.of(x))
    steps = model.basis.backward(model.parameters.means + np.array([[0.0, 0.0]]))
    assert remoteness(model, steps)[0] == pytest.approx(0.0, abs=1e-12)
    out = remoteness(model, x[:1] + 10.0 ** np.arange(1, 9)[:, None])
    assert (np.diff(out) > 0.0).all()
    assert remoteness(model, [[np.nan, np.nan]]).tolist() == [0.0]
    assert remoteness(Model.new(Spec(2), 2), x[:2]).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="remoteness: x has 1 features, expected 2"):
        remoteness(model, [[1.0]])
