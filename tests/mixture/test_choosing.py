"""Where nobody says how many components there are, the rows do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_mix.mixture import (
    HalfLife,
    Model,
    Rows,
    Spec,
    flush,
    from_state,
    learn,
    merge,
    posterior,
    to_state,
)
from stream_mix.mixture.batch import fit
from stream_mix.mixture.changes import Change
from stream_mix.mixture.state import state_hash

AUTO = Spec(n_components=1, up_to=64, batch_size=64)


def clusters(k: int, n: int, seed: int, *, d: int = 2, apart: float = 9.0) -> np.ndarray:
    """n rows of k round clusters on a grid, in random order."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(k)))
    centres = np.zeros((k, d))
    centres[:, 0], centres[:, 1] = np.arange(k) % side, np.arange(k) // side
    return apart * centres[rng.integers(k, size=n)] + rng.normal(size=(n, d))


def learned(x: np.ndarray, spec: Spec = AUTO, piece: int = 10**9) -> tuple[Model, list[Change]]:
    model = Model.new(spec, x.shape[1])
    changes: list[Change] = []
    for start in range(0, len(x), piece):
        model, done = learn(model, Rows.of(x[start : start + piece]))
        changes += done.changes
    model, done = flush(model)
    return model, changes + list(done.changes)


@pytest.mark.parametrize(("k", "n"), [(1, 300), (3, 400), (7, 700), (12, 1500)])
@pytest.mark.parametrize("family", ["full", "diag", "spherical"])
def test_as_many_components_as_there_are_clusters(k: int, n: int, family: str) -> None:
    model, _ = learned(clusters(k, n, seed=k), replace(AUTO, family=family))
    assert model.k == model.spec.n_components == k
    assert np.unique(posterior(model, clusters(k, 400, seed=99)).label).tolist() == sorted(model.components)


def test_as_many_in_a_dozen_features_with_ninety_rows_each() -> None:
    x = clusters(6, 520, seed=3, d=12)
    assert learned(x)[0].k == 6


def test_noise_of_one_shape_is_one_cluster() -> None:
    rng = np.random.default_rng(4)
    for x in (rng.normal(size=(600, 3)), rng.standard_t(5, size=(600, 2)), rng.random((600, 2))):
        assert learned(x)[0].k == 1


def test_there_are_never_more_than_asked_for() -> None:
    model, _ = learned(clusters(9, 900, seed=5), replace(AUTO, up_to=4))
    assert model.k <= 4


def test_how_rows_are_grouped_changes_nothing() -> None:
    x = clusters(5, 3000, seed=6)
    whole, pieces = learned(x), learned(x, piece=37)
    assert state_hash(whole[0]) == state_hash(pieces[0])
    assert whole[1] == pieces[1]


def test_a_model_that_was_written_down_goes_on_alike() -> None:
    x = clusters(4, 3000, seed=7)
    for n in (100, 1000, 2500):
        model, _ = learn(Model.new(AUTO, 2), Rows.of(x[:n]))
        back = from_state(to_state(model))
        assert back.spec == model.spec
        assert state_hash(learn(back, Rows.of(x[n:]))[0]) == state_hash(learn(model, Rows.of(x[n:]))[0])


def test_clusters_that_come_later_are_told_and_get_ids_of_their_own() -> None:
    first, later = clusters(3, 3000, seed=8), clusters(9, 9000, seed=9)
    model, before = learned(first)
    assert (model.k, [change.kind for change in before]) == (3, ["born"] * 3)
    old = model.components
    model, done = learn(model, Rows.of(later))
    assert model.k == 9
    assert len(set(model.components)) == 9
    born = {change.component for change in done.changes if change.kind in ("born", "split")}
    assert set(model.components) - set(old) <= born


def test_clusters_that_are_forgotten_go() -> None:
    spec = replace(AUTO, memory=HalfLife(3000))
    model, _ = learned(clusters(9, 6000, seed=10), spec)
    assert model.k == 9
    model, done = learn(model, Rows.of(clusters(2, 40_000, seed=11)))
    assert model.k == 2
    assert {change.kind for change in done.changes} & {"died", "merged"}


def test_a_fit_to_all_rows_chooses_too() -> None:
    fitted = fit(Rows.of(clusters(8, 2000, seed=12)), AUTO, max_iter=50, tol=1e-3)
    assert fitted.model.k == fitted.model.spec.n_components == 8


def test_models_of_different_clusters_merge_to_all_of_them() -> None:
    spec = replace(AUTO, up_to=20)
    x = clusters(4, 3000, seed=13)
    one, _ = learned(x, spec)
    two, _ = learned(x + 60.0, spec)
    both, merged = merge(one, two)
    assert (both.k, both.spec.n_components, merged.exact) == (8, 8, False)


def test_a_bound_that_makes_no_sense_is_refused() -> None:
    for bad in (0, 2.5, True, "8"):
        with pytest.raises(ValueError, match="up_to is"):
            Spec(n_components=1, up_to=bad)  # type: ignore[arg-type]  # what is refused
    with pytest.raises(ValueError, match="up_to is 8, expected None with family 'kmeans'"):
        Spec(n_components=1, family="kmeans", up_to=8)
    with pytest.raises(ValueError, match="up_to is 3, expected 8 at least"):
        Spec(n_components=8, up_to=3)
