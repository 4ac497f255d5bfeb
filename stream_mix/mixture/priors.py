"""What is believed before any data: pseudo-rows and floors, given to the M-step and never kept in the
record."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array


@dataclass(frozen=True)
class Prior:
    """How far estimates are pulled from the raw moments. All in rows or in units of the basis, so free of the
    data's units.

    Attributes:
        weight: pseudo-rows spread evenly over the components, so that no weight is 0.
        covariance: pseudo-rows with which every component starts from the pooled covariance; a component with
            few rows looks like the others until it has its own, and then less and less (`pseudo_rows`).
        correlation: strength, 0 to 1, of the shrinkage of correlations towards 0. The amount follows the data
            (Schäfer & Strimmer 2005, eq. 8): much where correlations are within the noise of so few rows,
            next to nothing where they are plain.
        reg_covar: added to every variance, in units of the squared scale of the feature.
    """

    weight: float = 1.0
    covariance: float = 1.0
    correlation: float = 1.0
    reg_covar: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("weight", "covariance", "correlation", "reg_covar"):
            value = getattr(self, name)
            if not 0.0 <= value < float("inf"):
                raise ValueError(f"prior: {name} is {value!r}, expected a finite number >= 0")


    def pseudo_rows(self, mass: Array, needed: int) -> Array:
        """Pseudo-rows (k,) of the pooled covariance beside rows of `mass` (k,), where a covariance needs
        `needed` of them to be one: covariance * needed / (mass + needed).

        They fade as a component comes to know its own spread: beside clusters a hundred times as wide even
        one row of the pooled covariance would blow it up.

        >>> import numpy as np
        >>> Prior().pseudo_rows(np.array([0.0, 3.0, 297.0]), 3)
        array([1.  , 0.5 , 0.01])
        """
        found: Array = self.covariance * needed / (mass + needed)
        return found


MAXIMUM_LIKELIHOOD = Prior(weight=0.0, covariance=0.0, correlation=0.0, reg_covar=0.0)
