"""Our learners: the rows once, in batches, as a stream brings them."""

from __future__ import annotations

import numpy as np

from stream_mix.mixture import Model, Rows, Spec, flush, learn, parameters, posterior

from .learner import CHUNK, Fit, Learner


def one_pass(family: str, x: np.ndarray, k: int, seed: int) -> Model:
    """The model after the rows x (n, d) went by once."""
    model = Model.new(Spec(n_components=k, family=family, random_state=seed), x.shape[1])
    for start in range(0, len(x), CHUNK):
        model, _ = learn(model, Rows.of(x[start : start + CHUNK]))
    return flush(model)[0]


def _fit(family: str, x: np.ndarray, k: int, seed: int) -> Fit:
    model = one_pass(family, x, k, seed)
    density = None if family == "kmeans" else lambda rows: posterior(model, rows).log_density
    return Fit(parameters(model).means, lambda rows: posterior(model, rows).label, density)


def _learner(family: str, name: str) -> Learner:
    return Learner(name, "1", lambda x, k, seed: _fit(family, x, k, seed), ours=True, judged=family != "diag")


LEARNERS = (
    _learner("kmeans", "stream_mix kmeans"),
    _learner("full", "stream_mix full"),
    _learner("diag", "stream_mix diag"),
)
