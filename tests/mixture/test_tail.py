"""The chi-square distribution against the library that knows it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from stream_mix.mixture.tail import chi_square_cdf


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 32, 129, 500, 701, 1301, 2000])
def test_equals_scipy(degrees: int) -> None:
    x = np.concatenate([np.zeros(1), np.geomspace(1e-9, 1e5, 400), degrees * np.linspace(0.5, 1.5, 41)])
    np.testing.assert_allclose(chi_square_cdf(x, degrees), chi2.cdf(x, degrees), atol=1e-12)


def test_each_row_its_own_degrees_and_none_is_no_surprise() -> None:
    x, degrees = np.array([1.0, 1.0, 5.0]), np.array([0, 1, 3])
    np.testing.assert_allclose(chi_square_cdf(x, degrees), [0.0, chi2.cdf(1, 1), chi2.cdf(5, 3)], atol=1e-12)
