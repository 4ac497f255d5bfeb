"""Online Gaussian mixtures and k-means for River: clusterers and an anomaly detector over named features.

    from stream_mix.river import GaussianMixture, KMeans, GaussianMixtureScorer, iter_recording

All three learn by row (`learn_one`) or by data frame (`learn_many`, the same to the last bit), take weights
(`w`) and event times (`t`), and let features appear, vanish and come in any order.
"""

from __future__ import annotations

from .gaussian_mixture import GaussianMixture
from .k_means import KMeans
from .recordings import iter_recording
from .scorer import GaussianMixtureScorer

__all__ = ["GaussianMixture", "GaussianMixtureScorer", "KMeans", "iter_recording"]
