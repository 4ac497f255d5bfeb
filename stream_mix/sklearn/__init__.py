"""The learners as scikit-learn estimators: `fit` to convergence, or `partial_fit` on a stream.

Both keep their model in `model_`, a `stream_mix.mixture.Model`; attributes such as `means_` are views of it
in the data's units. Missing values (NaN) are allowed everywhere; infinite ones are refused.

>>> from stream_mix.sklearn import GaussianMixture, KMeans
>>> X = [[1.0, 2.0], [1.0, 4.0], [1.0, 0.0], [10.0, 2.0], [10.0, 4.0], [10.0, 0.0]]
>>> sorted(KMeans(n_clusters=2, random_state=0).fit(X).cluster_centers_.round(9).tolist())
[[1.0, 2.0], [10.0, 2.0]]
"""

from .gaussian_mixture import GaussianMixture
from .kmeans import KMeans

__all__ = ["GaussianMixture", "KMeans"]
