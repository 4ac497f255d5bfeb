"""Whatever a person gets wrong is one line on standard error that names it, exit code 2, and no traceback."""

from __future__ import annotations

import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import zmq

from stream_mix.cli.ending import BUG, complain, ended, explained
from stream_mix.ports.journal import Journal
from tests.cli.commands import COMMAND, call, csv_of, told
from tests.workers.serving import rows, serving, settings, until

NOBODY = "tcp://127.0.0.1:1"


def refused(*arguments: str | Path, stdin: str | None = None) -> str:
    """The one line that a command line is refused with."""
    done = call(*arguments, stdin=stdin)
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    return done.stderr.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[engin]\n", "c.toml: engin: unknown key, did you mean engine?"),
        ("[ingest]\nbind = ''", "c.toml: ingest.bind: unknown key"),
        ("[[models]]\nn_components = 'x'", "models[0].n_components: found 'x', expected a whole number"),
        ("[ingest]\npush = 'tcp://0.0.0.0:5555'", "which other machines can reach"),
        ("[metrics]\nbind = '0.0.0.0:9464'", "address (127.0.0.1:PORT), or [security] allow_insecure = true"),
        ("[[models]]\nhalf_life = 1\nwindow = 5", "expected at most one memory"),
        ("x = = 1", "c.toml"),
    ],
)
def test_configurations(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    assert line in refused("run", tmp_path / "c.toml")
    assert line in refused("run", tmp_path / "c.toml", "--check")


def test_a_sound_configuration_is_said_to_be() -> None:
    folder = Path(__file__).parents[2] / "configs"
    for path in folder.glob("*.toml"):
        assert call("run", path, "--check").stdout.startswith(f"{path}: sound; engine")


def test_missing_files(tmp_path: Path) -> None:
    missing = tmp_path / "nix"
    assert refused("run", missing) == f"{missing}: no such file, expected a TOML configuration"
    for arguments in (
        ("send", missing), ("replay", missing), ("journal", "info", missing), ("journal", "verify", missing),
        ("journal", "export", missing, "-"), ("journal", "import", missing, tmp_path / "x.journal"),
        ("query", "predict", missing),
    ):  # fmt: skip
        assert str(missing) in refused(*arguments)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_files_of_another_kind(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(10))
    assert "not a journal of stream_mix" in refused("replay", table)
    assert "not a journal of stream_mix" in refused("journal", "verify", table)
    (tmp_path / "nothing").write_bytes(b"")
    assert refused("replay", tmp_path / "nothing").endswith("not a journal of stream_mix (the file is empty)")
    with Journal.open(tmp_path / "a.journal"):
        (tmp_path / "b.journal").write_bytes((tmp_path / "a.journal").read_bytes())
    assert "copied without the -wal file beside it" in refused("replay", tmp_path / "b.journal")
    (tmp_path / "words.csv").write_text("a,b\nx,1\ny,2\n")
    assert "column" in refused("send", tmp_path / "words.csv")
    (tmp_path / "head.csv").write_text("a,b\n")
    (tmp_path / "rubbish.csv").write_bytes(bytes(range(256)) * 8)
    with serving(settings()) as service:
        to = ("--to", service.sockets.endpoints["push"])
        assert "no row to send, it holds none" in refused("send", tmp_path / "head.csv", *to)
        assert "rubbish.csv: binary data" in refused("send", tmp_path / "rubbish.csv", *to)
    (tmp_path / "empty.csv").write_text("")
    assert "empty" in refused("send", tmp_path / "empty.csv")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    assert "t.parquet" in refused("send", tmp_path / "t.parquet")
    assert "no column 'z'" in refused("send", table, "--time", "z")
    assert "no column 'z'" in refused("send", table, "--columns", "a,z")
    assert "format 'xml', expected one of csv" in refused("send", table, "--format", "xml")


def test_nobody_there(tmp_path: Path) -> None:
    table = csv_of(tmp_path / "rows.csv", rows(10))
    told("journal", "import", table, tmp_path / "a.journal")
    assert "nobody took a frame within 0.1 s" in refused("send", table, "--to", NOBODY, "--timeout", "0.1")
    assert "nobody publishes there" in refused("watch", NOBODY, "--timeout", "0.1")
    assert "nobody publishes there" in refused("watch", NOBODY, "--timeout", "0.1", "--json")
    asked = refused("query", "health", "--endpoint", NOBODY, "--timeout", "0.1")
    assert asked == f"{NOBODY}: no answer within 0.1 s; is an engine running there, or does it ask for keys?"
    assert NOBODY in refused("replay", tmp_path / "a.journal", "--to", NOBODY, "--timeout", "0.1")
    for command in ("send", "replay"):
        path = table if command == "send" else tmp_path / "a.journal"
        assert "ftp://x" in refused(command, path, "--to", "ftp://x")


def test_ports_in_use(tmp_path: Path) -> None:
    with zmq.Context() as context, context.socket(zmq.PULL) as taken:
        port = taken.bind_to_random_port("tcp://127.0.0.1")
        (tmp_path / "c.toml").write_text(f'[ingest]\npush = "tcp://127.0.0.1:{port}"\n[metrics]\nbind = ""\n')
        line = refused("run", tmp_path / "c.toml")
        assert line.startswith(f"ingest.push: cannot bind tcp://127.0.0.1:{port}: the address is in use")
        line = refused("record", tmp_path / "r.journal", "--push", f"tcp://127.0.0.1:{port}")
        assert "the address is in use" in line
    assert not (tmp_path / "r.journal").exists()
    assert "which other machines can reach" in refused("record", tmp_path / "r", "--push", "tcp://0.0.0.0:5")
    assert "durability" in refused("record", tmp_path / "r", "--durability", "some")


def test_questions_that_have_no_answer(tmp_path: Path) -> None:
    with serving(settings()) as service:
        ask = ("--endpoint", service.sockets.endpoints["query"])
        assert "no batch was learned yet" in refused("query", "snapshot", *ask)
        assert "'nix' is not known, expected m" in refused("query", "snapshot", *ask, "--model", "nix")
        assert "expected a number, got 'x'" in refused("query", "predict", *ask, "--row", '{"a": "x"}')
        assert "expected a JSON object" in refused("query", "predict", *ask, "--row", "[1]")
        assert "expected a JSON object" in refused("query", "score", *ask, "--row", "{")
        assert "either a FILE or --row" in refused("query", "predict", *ask)
        told("send", csv_of(tmp_path / "rows.csv", rows(10)), "--to", service.sockets.endpoints["push"])
        until(lambda: service.state.offset == 10)
        line = refused("query", "predict", *ask, "--row", '{"pressure": 3}')
        assert line.endswith("this model has not seen 'pressure'; it knows a, b, c")


def test_replays_that_mean_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    told("journal", "import", csv_of(tmp_path / "rows.csv", rows(10)), path)
    (tmp_path / "c.toml").write_text("")
    config = ("--config", tmp_path / "c.toml")
    assert "pace 'quick': expected fast, original" in refused("replay", path, *config, "--pace", "quick")
    assert "--since 'then': expected Unix seconds" in refused("replay", path, *config, "--since", "then")
    assert "none from offset 10 on" in refused("replay", path, *config, "--from", "10")
    nobody = refused("replay", path, *config, "--source", "nobody")
    assert nobody == f"{path}: nothing matches --source nobody; it has 10 rows"
    assert "nothing matches --to-offset 0" in refused("replay", path, *config, "--to-offset", "0")
    assert "loop needs a running engine" in refused("replay", path, *config, "--loop", "2")
    assert "--verify compares a whole journal" in refused("replay", path, *config, "--verify", "--limit", "1")
    assert "--clock 'mine': expected received" in refused("replay", path, *config, "--clock", "mine")
    assert "--config says how to learn here" in refused("replay", path, *config, "--to", NOBODY)
    assert "does not go with --pace 5/s" in refused("replay", path, "--pace", "5/s", "--max-gap", "1")
    assert "--verify compares a whole journal" in refused("replay", path, *config, "--verify", "--pace", "x2")


def test_wrong_command_lines() -> None:
    assert "No such command 'sned'. Did you mean 'send'?" in refused("sned")
    assert "Invalid value for '--rate': " in refused("send", "a.csv", "--rate", "x")
    assert "Missing argument" in refused("replay")
    assert "No such option" in refused("run", "--fast", "a.toml")
    assert "--rate 0: expected rows per second" in refused("send", "a.csv", "--rate", "0")
    assert "STREAM_MIX_ENGINE__NAME is engine.name." in " ".join(call("run", "--help").stdout.split())


def test_standard_input_that_is_no_table(tmp_path: Path) -> None:
    done = subprocess.run([*COMMAND, "send", "-"], input="", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: standard input: empty, expected a header or a row in the first line\n"


def test_help_is_quick_and_names_exit_codes() -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
        times.append(time.perf_counter() - start)
    assert "Exit codes: 0 done; 1 a check failed; 2 bad input" in " ".join(done.stdout.split())
    assert min(times) < 1.5, "half a second where nothing else runs"


def test_importing_the_command_leaves_numpy_out() -> None:
    code = "import sys, stream_mix.cli; print(sorted({'numpy', 'zmq', 'river', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ctrl_c_while_the_commands_are_imported_is_no_traceback() -> None:
    code = """if True:
        import sys, stream_mix.command
        class Stop:
            def find_spec(self, name, *_):
                if name == "typer":
                    raise KeyboardInterrupt
        sys.meta_path.insert(0, Stop())
        stream_mix.command.main()"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"stream-mix": "stream_mix.command:main"}


def test_an_engine_has_one_thread_for_linear_algebra_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from stream_mix.cli.run import one_thread

    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    one_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    one_thread()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_errors_that_are_nobodys_fault_are_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> None:
        raise KeyError("k")

    assert ended(broken) == BUG
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.startswith("error: a bug of stream_mix: KeyError: 'k' (test_refusals.py:")
    assert explained(MemoryError()) == (2, "MemoryError")
    assert explained(zmq.ZMQError(zmq.EADDRINUSE))[0] == 2
    complain("words", "note")
    assert capsys.readouterr().err == "note: words\n"


def test_a_missing_extra_says_what_to_install() -> None:
    assert explained(ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib.figure")) == (
        2, "needs matplotlib, which is not installed: pip install 'stream_mix[plot]'",
    )  # fmt: skip
