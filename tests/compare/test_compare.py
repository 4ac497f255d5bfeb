"""Models side by side: each as it would be alone, whatever the grouping; what is favoured; the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from stream_mix.compare import Entry, Line, Piece, Result, compare, pieces, verdict
from stream_mix.compare.picture import draw
from stream_mix.compare.truth import SHOWN, Sample, Truth
from stream_mix.mixture import HalfLife, Model, Rows, Spec, flush, learn, posterior, state_hash
from stream_mix.mixture.agreement import rand_index, tabled
from stream_mix.ports.journal import JournalError
from stream_mix.protocol import Frame
from stream_mix.recording import RecordingError, import_rows
from tests.mixture.streams import blobs


def entries(*numbers: int, family: str = "full", **choices: object) -> list[Entry]:
    return [
        Entry(f"{family} {k}", Spec(k, family, batch_size=100, **choices))  # type: ignore[arg-type]  # a spec's
        for k in numbers
    ]


def stream(x: np.ndarray, label: np.ndarray, size: int = 100) -> list[Piece]:
    return [
        Piece(Frame(x[i : i + size], len(x[i : i + size]), features=("a", "b")), label[i : i + size])
        for i in range(0, len(x), size)
    ]


def test_three_clusters_are_found_and_that_is_sure(tmp_path: Path) -> None:
    x, label, _ = blobs(3000, k=3, d=2)
    result = compare(stream(x, label), entries(1, 2, 3, 4, 5))
    assert result.chosen == 2
    best = result.lines[2]
    assert (best.components, best.clusters, best.centroid_index) == (3, 3, 0)
    for figure in (best.stability, best.rand_index, best.mutual_information, best.merged_rand_index):
        assert figure == pytest.approx(1.0)
    words = verdict(result)
    assert words.startswith("ICL, ")
    assert "favour 3 components (full)." in words
    assert words.endswith("This is sure, as far as one stream can tell.")
    draw(tmp_path / "a.png", result, "three")
    picture = imread(tmp_path / "a.png")
    assert picture.shape[0] > 400
    assert picture[..., :3].std() > 0.02, "something is drawn"


def test_a_model_in_company_is_the_model_alone() -> None:
    x, label, _ = blobs(1550, k=3, d=2)
    result = compare(stream(x, label, 77), entries(2, 3), stability=False)
    for place, k in enumerate((2, 3)):
        alone = Model.new(Spec(k, "full", batch_size=100), 2)
        for i in range(0, len(x), 100):
            alone, _ = learn(alone, Rows.of(x[i : i + 100]))
        assert state_hash(result.models[place]) == state_hash(flush(alone)[0])
    again = compare(stream(x, label, 512), entries(2, 3), stability=False)
    for one, other in zip(result.lines, again.lines, strict=True):
        for name in ("icl", "bic", "silhouette", "rand_index", "centroid_index"):
            assert getattr(one, name) == getattr(other, name), name
    assert result.lines[0].stability is None


def test_labels_are_those_that_the_stream_would_have_and_early_rows_get_theirs_late() -> None:
    """The start is settled at 500 rows: those are judged by the model of that moment, later ones as they
    come."""
    x, label, _ = blobs(900, k=3, d=2, spread=3.0)
    spec = Spec(3, "full", batch_size=100, memory=HalfLife(300))
    model, labels, held = Model.new(spec, 2), [], []
    for i in range(0, 900, 100):
        rows, settled = x[i : i + 100], model.next_start == 0
        said = posterior(model, rows).label
        model, _ = learn(model, Rows.of(rows))
        if settled:
            labels.append(said)
        else:
            held.append(rows)
            if model.next_start == 0:
                labels += [posterior(model, one).label for one in held]
    found = compare(stream(x, label), [Entry("one", spec)], stability=False).lines[0]
    assert found.rand_index == pytest.approx(rand_index(tabled(label, np.concatenate(labels))))


def test_log_likelihoods_are_of_the_same_rows_and_their_difference_has_an_error() -> None:
    x, label, _ = blobs(4000, k=3, d=2, spread=4.0)
    result = compare(stream(x, label), entries(2, 3, 4))
    lead, error = result.lead(1, 0)
    two, three = result.lines[0].log_likelihood, result.lines[1].log_likelihood
    assert two is not None
    assert three is not None
    assert lead == pytest.approx(three - two)
    assert lead > 5 * error > 0
    assert result.favoured["the log-likelihood"] == 1, "a fourth component adds no more than chance"
    assert result.lead(1, 1) == (0.0, 0.0)


def test_few_rows_are_judged_all_the_same() -> None:
    x, label, _ = blobs(60, k=2, d=2)
    result = compare(stream(x, label), entries(1, 2, 3))
    assert result.lines[1].log_likelihood is None
    assert result.lines[1].rand_index == pytest.approx(1.0)
    assert result.chosen == 1
    assert "favour 2 components" in verdict(result)


def test_doubts_are_named() -> None:
    noise = np.random.default_rng(0).normal(size=(3000, 2))
    none = compare(stream(noise, np.full(3000, -1)), entries(1, 2, 3))
    assert "no clusters are to be seen" in verdict(none)
    assert none.lines[0].rand_index is None
    x, label, _ = blobs(2000, k=4, d=2)
    edge = verdict(compare(stream(x, label), entries(2, 3, 4), stability=False))
    assert "no larger number was tried" in edge
    assert "not sure" in edge


def line(k: int, icl: float | None, family: str = "full", **figures: float | int | None) -> Line:
    blank = dict.fromkeys(Line.__dataclass_fields__)
    return Line(**{  # type: ignore[arg-type]  # its own fields
        **blank, "name": f"{family} {k}", "components": k, "family": family, "icl": icl, "mass": 1000.0,
        "seconds": 0.0, **figures,
    })  # fmt: skip


def result(*lines: Line) -> Result:
    none = np.empty((0, len(lines)))
    return Result(lines, (), 1000, ("a",), none, none, np.empty(0))


def test_most_figures_outvote_icl_and_without_a_majority_it_decides() -> None:
    two, three = line(2, 5.0, bic=4.0, silhouette=0.5, xie_beni=0.3), line(3, 5.1, bic=3.0, silhouette=0.6)
    outvoted = result(two, three)
    assert outvoted.chosen == 0, "two against two"
    better = line(3, 5.1, bic=3.0, silhouette=0.6, xie_beni=0.2)
    assert result(two, better).chosen == 1
    assert "ICL prefers 2" in verdict(result(two, better))
    assert result(line(3, 5.0, "diag", bic=5.0), line(3, 4.0, bic=4.0)).chosen == 1
    nothing = result(line(2, None))
    assert nothing.chosen is None
    assert verdict(nothing).startswith("Nothing is favoured")


def test_close_calls_and_alike_lines_are_told_apart() -> None:
    words = verdict(result(line(2, 5.0, bic=5.0), line(3, 5.001, bic=5.1, stability=0.4)))
    assert "ICL hardly tells it from 3" in words
    twins = (line(2, 5.0, name="slow", stability=0.2), line(2, 5.2, name="fast"))
    words = verdict(result(*twins))
    assert "slow, 2 components (full)" in words
    assert "the seed matters" in words
    assert "Two seeds found clusters that differ (0.20)." in words


def test_tables_and_journals_give_the_same_rows(tmp_path: Path) -> None:
    x, label, _ = blobs(300, k=3, d=2)
    table, journal = tmp_path / "rows.csv", tmp_path / "rows.journal"
    lines = [f"{a!r},{b!r},{c}" for (a, b), c in zip(x.tolist(), label.tolist(), strict=True)]
    table.write_text("\n".join(["a,b,kind", *lines]) + "\n")
    import_rows(table, journal)
    of_table, of_journal = list(pieces(table, "kind")), list(pieces(journal, "kind"))
    for found in (of_table, of_journal):
        np.testing.assert_array_equal(np.concatenate([piece.frame.x for piece in found]), x)
        truth = np.concatenate([piece.truth for piece in found])
        assert rand_index(tabled(truth, label)) == 1.0
        assert found[0].frame.features == ("a", "b")
    assert sum(piece.frame.n for piece in pieces(table, "kind", limit=130)) == 130
    unlabelled = next(pieces(journal))
    assert unlabelled.frame.d == 3
    assert (unlabelled.truth == -1).all()


def test_labels_may_be_words_or_missing_and_negative_ones_are_noise(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("a,kind\n1,x\n2,y\n3,\n4,-1\n5,x\n")
    truth = np.concatenate([piece.truth for piece in pieces(table, "kind")])
    assert truth.tolist() == [0, 1, -1, -1, 0]
    named, journal = tmp_path / "named.csv", tmp_path / "named.journal"
    named.write_text("a,id\n1,x\n2,y\n3,x\n")
    import_rows(named, journal)
    assert np.concatenate([piece.truth for piece in pieces(journal, "id")]).tolist() == [0, 1, 0]


def test_what_cannot_be_compared_is_one_line(tmp_path: Path) -> None:
    table, journal = tmp_path / "rows.csv", tmp_path / "rows.journal"
    table.write_text("a,b\n1,2\n3,4\n")
    import_rows(table, journal)
    with pytest.raises(RecordingError, match="no feature 'kind', expected one that holds the labels"):
        list(pieces(journal, "kind"))
    with pytest.raises(RecordingError, match="a journal; --columns, --drop go with tables"):
        list(pieces(journal, columns=["a"], drop=["b"]))
    with pytest.raises(RecordingError, match="no column 'kind'"):
        list(pieces(table, "kind"))
    (tmp_path / "one.csv").write_text("kind\n1\n2\n")
    import_rows(tmp_path / "one.csv", tmp_path / "one.journal")
    with pytest.raises(RecordingError, match="no feature is left besides the labels"):
        list(pieces(tmp_path / "one.journal", "kind"))
    (tmp_path / "bad.journal").write_bytes(b"SQLite format 3\x00" + b"?" * 100)
    with pytest.raises(JournalError):
        list(pieces(tmp_path / "bad.journal"))
    with pytest.raises(RecordingError, match="no rows to compare models by"):
        compare([], entries(2))
    odd = [Piece(Frame(np.zeros((1, d)), 1), np.zeros(1, np.int64)) for d in (2, 3)]
    with pytest.raises(RecordingError, match="rows that do not fit those before them"):
        compare([*odd[:1] * 2000, *odd[1:]], entries(2))


def test_true_means_are_those_of_the_rows_and_a_late_feature_joins() -> None:
    x, label, _ = blobs(500, k=3, d=2)
    x = x + 1e9
    x[::7, 1] = np.nan
    truth = Truth()
    truth.add(x[:100, :1], label[:100])
    truth.add(x[100:], label[100:])
    wanted = [np.r_[x[label == c, 0].mean(), np.nanmean(x[100:][label[100:] == c, 1])] for c in range(3)]
    means = truth.means(2)
    assert means is not None
    order = np.argsort(means[:, 0])
    np.testing.assert_allclose(means[order], np.array(wanted)[np.argsort(np.array(wanted)[:, 0])], rtol=1e-15)
    assert Truth().means(2) is None


def test_the_sample_is_even() -> None:
    sample = Sample()
    for start in range(0, 20_000, 1000):
        sample.add(np.arange(start, start + 1000.0)[:, None])
    assert sample.x.shape == (SHOWN, 1)
    assert abs(sample.x.mean() - 10_000) < 5 * 5774 / SHOWN**0.5


@pytest.mark.parametrize(("d", "family"), [(1, "full"), (5, "full"), (5, "diag"), (3, "tied"), (2, "kmeans")])
def test_every_number_of_features_has_its_picture(d: int, family: str, tmp_path: Path) -> None:
    x, label, _ = blobs(700, k=3, d=d)
    x[::5, 0] = np.nan if d > 1 else x[::5, 0]
    rows = [Piece(Frame(x, len(x), features=tuple("abcde"[:d])), label)]
    draw(tmp_path / "a.png", compare(rows, entries(2, 3, family=family), stability=False), "many")
    assert imread(tmp_path / "a.png")[..., :3].std() > 0.02
