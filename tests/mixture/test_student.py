"""Components of heavy tails: the library's t distribution, EM by its definition, and what they are for."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f, kstest, multivariate_t

from stream_mix.mixture import (
    FAMILIES,
    MAXIMUM_LIKELIHOOD,
    Model,
    Parameters,
    Rows,
    Spec,
    estimate,
    flush,
    from_state,
    learn,
    measured,
    parameters,
    posterior,
    remoteness,
    state_hash,
    to_state,
)
from stream_mix.mixture.arrays import Array
from stream_mix.mixture.beta import f_cdf, log_f_survival
from stream_mix.mixture.em import batch_moments, e_step
from stream_mix.mixture.families import heavy as tails
from stream_mix.mixture.kernels.student import Student
from stream_mix.mixture.remoteness import RESOLUTION
from stream_mix.mixture.spec import MOST_DEGREES
from stream_mix.mixture.validity import draws

from .naive import covariance_matrices
from .streams import blobs, fitted, holes, oval

KINDS = ["diag", "full", "spherical", "tied"]
NU = 3.0


def heavy(family: str, x: Array, k: int = 3) -> tuple[Array, Parameters]:
    """Rows in a basis, and some parameters of heavy tails there."""
    basis, found = fitted(family, x, k)
    return basis.forward(x), replace(found, family=tails(FAMILIES[family], NU))


def log_joint(found: Parameters, row: Array) -> Array:
    """log weight + log density of what was observed of one row, for each component, by the library."""
    o = ~np.isnan(row)
    return np.array([
        np.log(w) + (multivariate_t(mean[o], s[np.ix_(o, o)], NU).logpdf(row[o]) if o.any() else 0.0)
        for w, mean, s in zip(found.weights, found.means, covariance_matrices(found), strict=True)
    ])


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_densities_and_responsibilities_are_those_of_a_mixture_of_t(family: str, missing: float) -> None:
    x = oval(60)
    x[:3] *= 1e4
    z, found = heavy(family, holes(x, missing) if missing else x)
    told = e_step(found, z)
    for row, p, log_density in zip(z, told.p, told.log_density, strict=True):
        scores = log_joint(found, row)
        total = np.logaddexp.reduce(scores)
        assert log_density == pytest.approx(total, rel=1e-10)
        np.testing.assert_allclose(p, np.exp(scores - total), atol=1e-10)


@pytest.mark.parametrize("family", KINDS)
def test_moments_are_those_of_em_by_its_definition(family: str) -> None:
    x = oval(50)
    x[:2] += 100.0
    z, found = heavy(family, x)
    w = np.random.default_rng(1).uniform(0.5, 2.0, 50)
    basis, _ = fitted(family, x, 3)
    moments, _ = batch_moments(found, z, w, basis, "", None)
    p, d = e_step(found, z).p, z.shape[1]
    scatter = np.zeros((3, d, d))
    for k, sigma in enumerate(covariance_matrices(found)):
        away = z - found.means[k]
        u = (NU + d) / (NU + np.einsum("ni,ij,nj->n", away, np.linalg.inv(sigma), away))
        r, ru = w * p[:, k], w * p[:, k] * u
        mean = ru @ z / ru.sum()
        scatter[k] = ((z - mean).T * ru) @ (z - mean)
        said = moments.mass[k], *moments.seen[k], *moments.mean[k]
        np.testing.assert_allclose(said, (r.sum(), *[ru.sum()] * d, *mean), rtol=1e-9)
    kept = {"tied": lambda: scatter.sum(axis=0), "full": lambda: scatter}
    expected = kept.get(moments.kind, lambda: np.einsum("kjj->kj", scatter))()
    np.testing.assert_allclose(moments.scatter, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("family", KINDS)
def test_every_m_step_makes_rows_likelier_missing_values_or_not(family: str) -> None:
    x = np.random.default_rng(0).standard_t(3, (400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.3], [0, 0, 2]])
    spec = Spec(2, family, degrees_of_freedom=NU, batch_size=400)
    for rows in (x, holes(x, 0.3)):
        basis, start = fitted(family, rows, 2)
        z, found, said = basis.forward(rows), start, []
        for _ in range(8):
            own = Parameters(spec.family_value, found.weights, found.means, found.covariances)
            moments, log_density = batch_moments(own, z, None, basis, "", None)
            said.append(log_density.sum())
            found = estimate(spec.family_value, moments, MAXIMUM_LIKELIHOOD)
        assert (np.diff(said) > -1e-7).all()


def drawn(n: int, seed: int) -> tuple[Array, Array]:
    """Rows (n, 2) of two t distributions of 3 degrees, and their labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    noise = rng.normal(size=(n, 2)) / np.sqrt(rng.chisquare(NU, (n, 1)) / NU)
    return 12.0 * label[:, None] + noise @ np.array([[1.0, 0.6], [0.0, 0.8]]), label


@pytest.mark.parametrize("batch_size", [1, 100])
def test_location_and_scale_of_heavy_tails_are_found_where_normal_components_inflate(batch_size: int) -> None:
    x, _ = drawn(6000, 0)
    truth = np.array([[1.0, 0.6], [0.6, 1.0]])
    far = {}
    for degrees in (NU, None):
        spec = Spec(2, degrees_of_freedom=degrees, batch_size=batch_size)
        model, _ = learn(Model.new(spec, 2), Rows.of(x))
        found = parameters(flush(model)[0])
        order = found.means[:, 0].argsort()
        far[degrees] = (
            np.abs(found.means[order] - [[0.0, 0.0], [12.0, 12.0]]).max(),
            np.abs(found.covariances - truth).max(),
        )
    assert far[NU][0] < 0.1
    assert far[NU][1] < 0.15
    assert far[None][1] > 1.0


def test_a_few_rows_very_far_out_move_nothing() -> None:
    x, _, centres = blobs(3000, 2, 2, seed=4)
    x[500::100] = 1e4
    spec = Spec(2, degrees_of_freedom=4.0, batch_size=50)
    found = parameters(learn(Model.new(spec, 2), Rows.of(x))[0])
    nearest = np.abs(found.means[:, None] - centres).max(axis=2).min(axis=0)
    assert nearest.max() < 0.2


@pytest.mark.parametrize("family", ["diag", "full"])
def test_the_tail_probability_is_uniform_over_its_own_rows(family: str) -> None:
    x, _ = drawn(20_000, 1)
    if family == "diag":
        rng = np.random.default_rng(1)
        x = rng.normal(size=(20_000, 2)) / np.sqrt(rng.chisquare(NU, (20_000, 1)) / NU)
    spec = Spec(2 if family == "full" else 1, family, degrees_of_freedom=NU, batch_size=200)
    model, _ = learn(Model.new(spec, 2), Rows.of(x[:15_000]))
    assert kstest(posterior(model, x[15_000:]).outlier, "uniform").statistic < 0.03
    normal, _ = learn(Model.new(Spec(spec.n_components, family, batch_size=200), 2), Rows.of(x[:15_000]))
    assert kstest(posterior(normal, x[15_000:]).outlier, "uniform").statistic > 0.1


@given(d=st.integers(1, 400), degrees=st.floats(0.5, 300.0), seed=st.integers(0, 99))
def test_the_f_distribution_is_the_library_s(d: int, degrees: float, seed: int) -> None:
    near = np.random.default_rng(seed).uniform(0.0, 3.0 * d, 20)
    distance = np.concatenate([[0.0], near, np.geomspace(1e-3, 1e9, 20)])
    np.testing.assert_allclose(f_cdf(distance, d, degrees), f.cdf(distance / d, d, degrees), atol=1e-10)
    log = f.logsf(distance / d, d, degrees)
    known = log > -200.0
    np.testing.assert_allclose(log_f_survival(distance, d, degrees)[known], log[known], rtol=1e-8, atol=1e-10)


def test_remoteness_asks_the_t_distribution() -> None:
    x, _ = drawn(3000, 2)
    model, _ = learn(Model.new(Spec(1, degrees_of_freedom=NU, batch_size=100), 2), Rows.of(x[:, :2] / 5.0))
    rows = np.array([[0.0, 0.0], [3.0, 2.0], [1e3, 0.0], [1e5, np.nan]])
    found = estimate(model.spec.family_value, model.moments, replace(model.spec.prior, reg_covar=RESOLUTION))
    for row, said in zip(model.basis.forward(rows), remoteness(model, rows), strict=True):
        o = ~np.isnan(row)
        away, m = (row - found.means[0])[o], int(o.sum())
        distance = away @ np.linalg.solve(found.covariances[0][np.ix_(o, o)], away)
        assert said == pytest.approx(-f.logsf(distance / m, m, NU), rel=1e-6)


@pytest.mark.parametrize("family", KINDS)
def test_a_state_goes_on_and_grouping_changes_no_bit(family: str) -> None:
    x = holes(blobs(900, 3, 3, 6)[0], 0.1)
    spec = Spec(3, family, degrees_of_freedom=5, batch_size=50)
    whole, _ = learn(Model.new(spec, 3), Rows.of(x))
    parts = Model.new(spec, 3)
    for start in range(0, 900, 70):
        parts, _ = learn(from_state(to_state(parts)), Rows.of(x[start : start + 70]))
    assert state_hash(whole) == state_hash(parts)


def test_rows_that_a_model_draws_have_its_tails_and_moments_do_not_tell_what_bic_asks() -> None:
    x, _ = drawn(3000, 3)
    model, _ = learn(Model.new(Spec(2, degrees_of_freedom=NU, batch_size=100), 2), Rows.of(x))
    z, counts = draws(model.parameters) or (x, np.ones(len(x)))
    outlier = posterior(model, model.basis.backward(z)).outlier
    assert counts @ (outlier > 0.99) == pytest.approx(0.01, abs=0.005)
    found = measured(model)
    assert (found.bic, found.icl) == (None, None)
    assert found.silhouette is not None
    assert found.silhouette > 0.7


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), True, "4"])
def test_senseless_degrees_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"degrees_of_freedom is .*, expected a number of degrees > 0"):
        Spec(2, degrees_of_freedom=value)


def test_so_many_degrees_that_they_are_lost_in_rounding_are_refused() -> None:
    most, d = MOST_DEGREES, 6
    # Of even numbers of features the gamma functions are products.
    expected = np.log1p(2.0 * np.arange(d // 2) / most).sum()
    assert Student(most).height(d) == pytest.approx(expected, abs=1e-8)
    distance = np.array([0.1, 3.0, 6.0, 12.0, 60.0])
    np.testing.assert_allclose(
        log_f_survival(distance, d, most), f.logsf(distance / d, d, most), rtol=1e-8, atol=1e-8
    )
    Spec(2, degrees_of_freedom=most)
    for degrees in (math.nextafter(most, math.inf), 1e13):
        with pytest.raises(ValueError, match=r"degrees_of_freedom is .*, expected 1e\+06 at most, or None"):
            Spec(2, degrees_of_freedom=degrees)


def test_spheres_of_k_means_have_no_tails() -> None:
    with pytest.raises(ValueError, match=r"degrees_of_freedom is 4\.0, expected None with family 'kmeans'"):
        Spec(2, "kmeans", degrees_of_freedom=4.0)
