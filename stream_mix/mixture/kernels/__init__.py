"""The hot loops, behind two functions.

    posterior(x, natural)             E-step: responsibilities, label, log density, squared distance
    accumulate(x, w, natural, hard)   E-step and sums in one visit; the E-step is told only where asked for

Both take complete rows and a `Natural`, the log-linear form that every family comes down to: score_k(x) =
theta_k . features(x). A kernel knows three shapes of second moments and no family. `reference` is NumPy.
"""

from .natural import Natural
from .reference import Sums, Told, accumulate, posterior

IMPLEMENTATION = "reference (NumPy)"

__all__ = ["IMPLEMENTATION", "Natural", "Sums", "Told", "accumulate", "posterior"]
