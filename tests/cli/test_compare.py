"""`stream-mix compare` as a person calls it."""

from __future__ import annotations

from pathlib import Path

from tests.cli.commands import call, process, told
from tests.mixture.streams import blobs


def table(path: Path, n: int = 1500) -> Path:
    x, label, _ = blobs(n, k=3, d=2)
    rows = [f"{a!r},{b!r},{c}" for (a, b), c in zip(x.tolist(), label.tolist(), strict=True)]
    path.write_text("\n".join(["a,b,kind", *rows]) + "\n")
    return path


def test_a_real_process_prints_table_picture_and_words(tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.csv")
    arguments = ("--components", "2..4", "--family", "full,diag", "--labels", "kind", "--picture", "out.png")
    done = process("compare", rows, *arguments, folder=tmp_path)
    out, err = done.communicate(timeout=120)
    assert (done.returncode, err) == (0, "")
    for word in ("log-likelihood", "ICL", "silhouette", "Xie-Beni", "stability", "ARI", "AMI", "CI"):
        assert word in out, word
    assert "favour 3 components" in out.splitlines()[-1]
    assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


def test_figures_as_json_of_a_journal_and_a_configuration(tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.csv", 600)
    journal, config = tmp_path / "rows.journal", tmp_path / "two.toml"
    told("journal", "import", rows, journal)
    models = [f'[[models]]\nname = "{name}"\nn_components = {k}\n' for name, k in (("few", 2), ("some", 3))]
    config.write_text("".join(models))
    found = told("compare", journal, "--config", config, "--labels", "kind", "--no-stability")
    assert [line["name"] for line in found["models"]] == ["few", "some"]
    assert (found["rows"], found["chosen"]) == (600, "some")
    assert found["models"][1]["rand_index"] == 1.0
    assert found["models"][1]["stability"] is None
    more = ("--components", "1", "--family", "tied", "--drop", "kind")
    both = told("compare", rows, "--config", config, *more)
    assert [line["family"] for line in both["models"]] == ["tied", "full", "full"]
    assert both["models"][1]["rand_index"] is None
    tried = told("compare", rows, "--components", "3", "--family", "auto", "--drop", "kind", "--no-stability")
    assert [line["name"] for line in tried["models"]] == ["auto 3"]
    assert tried["models"][0]["family"] in ("spherical", "diag", "tied", "full")
    shown = call("compare", journal, "--config", config, "--no-stability").stdout
    assert "model" in shown
    assert "stability" not in shown.splitlines()[2]


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.csv", 30)
    for arguments, words in (
        (("--components", "5..2"), "--components '5..2': expected numbers such as 2..12 or 2,4,8"),
        (("--components", "two"), "--components 'two': expected"),
        (("--family", "round"), "family is 'round', expected one of"),
        (("--labels", "none"), "no column 'none'"),
    ):
        done = process("compare", rows, *arguments, folder=tmp_path)
        out, err = done.communicate(timeout=60)
        assert (done.returncode, out) == (2, "")
        assert words in err
        assert err.count("\n") == 1
    done = process("compare", tmp_path / "nothing.csv", folder=tmp_path)
    assert "nothing.csv: cannot be read: No such file" in done.communicate(timeout=60)[1]
