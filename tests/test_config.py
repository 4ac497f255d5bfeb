from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stream_mix.config import ConfigError, Settings, describe, from_text, load, loads, markdown
from stream_mix.config.addresses import parse_endpoint, parse_seconds
from stream_mix.config.settings import build
from stream_mix.mixture.spec import MOST_DEGREES

ROOT = Path(__file__).resolve().parent.parent


def message(text: str, **environ: str) -> str:
    """Return the one line that refuses this configuration."""
    with pytest.raises(ConfigError) as caught:
        read(text, **environ)
    line = str(caught.value)
    assert "\n" not in line
    return line


def read(text: str, **environ: str) -> Settings:
    return build(tomllib.loads(text), "a.toml", {f"STREAM_MIX_{key}": environ[key] for key in environ})


def test_empty_file_gives_one_default_mixture(tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.touch()
    settings = load(path, {})
    assert settings == Settings()
    (model,) = settings.models
    assert (model.name, model.family, model.n_components, model.batch_size) == ("mixture", "full", 8, 256)
    assert settings.ingest.push == "tcp://127.0.0.1:5555"
    assert settings.ingest.acked == "tcp://127.0.0.1:5558"
    assert settings.publish.bind == "tcp://127.0.0.1:5556"
    assert settings.query.bind == "tcp://127.0.0.1:5557"
    assert settings.metrics.bind == "127.0.0.1:9464"


def test_one_key_is_enough() -> None:
    assert loads("[[models]]\nn_components = 5").models[0].n_components == 5


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.models = ()  # type: ignore[misc] # the assignment that must fail
    with pytest.raises(ValidationError, match="frozen"):
        settings.engine.name = "other"  # type: ignore[misc] # the assignment that must fail


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[engin]", "engin: unknown key, did you mean engine?"),
        ("[[models]]\nn_component = 5", "models[0].n_component: unknown key, did you mean n_components?"),
        ("n_components = 5", "n_components: unknown key here, did you mean models.n_components?"),
        ("[engine]\nbogus = 1", "engine.bogus: unknown key, expected one of name, features, log, log_level"),
        ('[[models]]\nn_components = "5"', "models[0].n_components: found '5', expected a whole number"),
        ("[[models]]\nn_components = true", "models[0].n_components: found true, expected a whole number"),
        ('[[models]]\nfamily = "kmeans"\nn_components = "auto"',
         'models[0]: found n_components "auto" with family "kmeans", expected a number or another family'),
        ("[[models]]\nn_components = 0", "models[0].n_components: found 0, expected a number >= 1"),
        ("[[models]]\nhalf_life = nan", "models[0].half_life: found nan, expected a finite number"),
        ("[[models]]\nhalf_life = 0", "models[0].half_life: found 0, expected a number > 0"),
        ("[[models]]\nhalf_life = 'soon'", "models[0].half_life: found 'soon', expected a number"),
        (
            "[[models]]\ntime_half_life = 'auto'",
            "models[0].time_half_life: found 'auto', "
            "expected seconds > 0, or text such as \"90s\", \"10m\", \"1h30m\", \"2d\"",
        ),
        ("[engine]\nname = 7", "engine.name: found 7, expected text in quotes"),
        ("[publish]\nresponsibilities = 1", "publish.responsibilities: found 1, expected true or false"),
        ("[engine]\nfeatures = 'x'", "engine.features: found 'x', expected a list in square brackets"),
        ("engine = 3", "engine: found 3, expected a table"),
        ("[models]", "models: found a table, expected one [[models]] table for each model"),
        ("models = []", "models: found [], expected one [[models]] table for each model"),
        ("models = [3]", "models[0]: found 3, expected a table"),
        (
            "[[models]]\nfamily = 'ful'",
            "models[0].family: found 'ful', expected 'kmeans', 'spherical', 'diag', 'tied', 'full' or 'auto'",
        ),
        (
            "[[models]]\nhalf_life = 5\nwindow = 4",
            "models[0]: found half_life and window, expected at most one memory",
        ),
        (
            "[[models]]\nfamily = 'kmeans'\ndegrees_of_freedom = 4",
            'models[0]: found degrees_of_freedom with family "kmeans", expected another family',
        ),
        (
            "[[models]]\ndegrees_of_freedom = 1e13",
            "models[0].degrees_of_freedom: found 10000000000000.0, expected a number <= 1e+06",
        ),
        ("[[models]]\nstep_exponent = 1.5", "models[0].step_exponent: found 1.5, expected a number <= 1"),
        ("[[models]]\nstep_exponent = '0.7'", "models[0].step_exponent: found '0.7', expected a number"),
        (
            "[[models]]\nstep_exponent = 0.7\nhalf_life = 4",
            "models[0]: found half_life and step_exponent, expected at most one memory",
        ),
        (
            "[[models]]\n[[models]]",
            "models[1].name: found 'mixture' a second time, expected a name for each model",
        ),
        (
            "[[models]]\nname = 'a/b'",
            "models[0].name: found 'a/b', expected 1 to 64 letters, digits, '.', '_' or '-', "
            "the first a letter or digit",
        ),
        (
            "[[models]]\ntime_half_life = '10 minutes'",
            "models[0].time_half_life: found '10 minutes', "
            'expected seconds > 0, or text such as "90s", "10m", "1h30m", "2d"',
        ),
        (
            "[ingest]\npush = 'inproc://x'",
            "ingest.push: found 'inproc://x', "
            "expected tcp://HOST:PORT or ipc://PATH (inproc:// cannot leave the process)",
        ),
        (
            "[ingest]\npush = 'tcp://127.0.0.1:70000'",
            "ingest.push: found 'tcp://127.0.0.1:70000', "
            "expected tcp://HOST:PORT or ipc://PATH with a port from 1 to 65535",
        ),
        (
            "[query]\nbind = 'tcp://127.0.0.1:5556'",
            "query.bind: found 'tcp://127.0.0.1:5556', which publish.bind has already, "
            "expected an address of its own",
        ),
        (
            "[metrics]\nbind = 'localhost:5555'",
            "metrics.bind: found 'localhost:5555', which ingest.push has already, "
            "expected an address of its own",
        ),
        (
            "[ingest]\nacked = 'tcp://127.0.0.1:5555'",
            "ingest.acked: found 'tcp://127.0.0.1:5555', which ingest.push has already, "
            "expected an address of its own",
        ),
        (
            "[ingest]\nsubscribe = ['tcp://127.0.0.1:5556']",
            "ingest.subscribe: found 'tcp://127.0.0.1:5556', which is this engine's publish.bind, "
            "expected another feed",
        ),
        (
            "[ingest]\npush = ''\nacked = ''",
            "ingest: found push and acked off and no subscribe, expected one source of rows at least",
        ),
        ("[engine]\nnam = 1\nname = 2", "engine.nam: unknown key, did you mean name? (and 1 more)"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(text: str, line: str) -> None:
    assert message(text) == f"a.toml: {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = ?", "line 1, column 5: not TOML: invalid value"),
        ("\n\n[engine\n", "line 3, column 8: not TOML: expected ']' at the end of a table declaration"),
        ('x = "a', "end of file: not TOML: unterminated string"),
    ],
)
def test_what_is_not_toml_is_named_with_its_place(text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(f'a.toml: {line}')}$"):
        loads(text, "a.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'a = "\xff"')
    for file, line in [
        (tmp_path / "none.toml", "no such file, expected a TOML configuration"),
        (tmp_path, "found a folder, expected a TOML configuration"),
        (path, "byte 5 is not UTF-8, expected TOML"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(file, {})
        assert str(caught.value) == f"{file}: {line}"


@pytest.mark.parametrize(
    "bind", ["tcp://0.0.0.0:5555", "tcp://*:5555", "tcp://192.0.2.1:5555", "tcp://eth0:5555"]
)
def test_a_bind_that_others_can_reach_needs_a_word(bind: str) -> None:
    for key, other in (("push", "acked"), ("acked", "push")):
        text = f"[ingest]\n{other} = ''\n{key} = '{bind}'\n"
        assert f"ingest.{key}: found" in message(text)
        assert "[security] allow_insecure = true" in message(text)
        assert getattr(loads(text + "[security]\nallow_insecure = true").ingest, key) == bind


@pytest.mark.parametrize(
    "bind", ["tcp://127.0.0.9:1", "tcp://localhost:1", "tcp://[::1]:1", "ipc:///tmp/x", "tcp://127.0.0.1:*"]
)
def test_loopback_needs_none(bind: str) -> None:
    assert loads(f"[ingest]\npush = '{bind}'").ingest.push == bind


def test_ports_left_to_the_system_do_not_clash() -> None:
    free = "tcp://127.0.0.1:*"
    settings = Settings(ingest={"push": free}, publish={"bind": free}, query={"bind": free})
    assert settings.query.bind == free


def test_environment_goes_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[engine]\nname = 'file'\nfeatures = ['a']\n[journal]\npath = 'x.journal'\n")
    settings = load(
        path,
        {
            "STREAM_MIX_ENGINE__NAME": "7",
            "STREAM_MIX_JOURNAL__PATH": "",
            "STREAM_MIX_JOURNAL__KEEP_CHECKPOINTS": "5",
            "STREAM_MIX_PUBLISH__RESPONSIBILITIES": "false",
            "STREAM_MIX_MODELS": '[{"name": "a", "time_half_life": "2h"}]',
            "STREAM_MIX_KERNELS": "not a setting",
            "HOME": "/nowhere",
        },
    )
    assert (settings.engine.name, settings.engine.features) == ("7", ("a",))
    assert (settings.journal.path, settings.journal.keep_checkpoints) == ("", 5)
    assert settings.publish.responsibilities is False
    assert settings.models[0].time_half_life == 7200.0


def test_load_reads_the_process_environment_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.toml"
    path.touch()
    monkeypatch.setenv("STREAM_MIX_ENGINE__NAME", "outside")
    assert load(path).engine.name == "outside"
    assert load(path, {}).engine.name == Settings().engine.name == "stream_mix"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ENGINE__NAMEE", "x", "engine.namee: unknown key, did you mean name?"),
        ("ENGIN__NAME", "x", "engin: unknown key, did you mean engine?"),
        ("LIMITS__ROWS", "many", "limits.rows: found 'many', expected a whole number"),
        ("INGEST__TOPICS", "a,b", "ingest.topics: found 'a,b', expected JSON"),
        (
            "MODELS__N_COMPONENTS",
            "3",
            "a key of a model cannot be set in the environment, expected it in the file"
            " (or all models as JSON in STREAM_MIX_MODELS)",
        ),
        ("MODELS", '[{"nam": "q"}]', "models[0].nam: unknown key, did you mean name?"),
    ],
)
def test_errors_from_the_environment_name_the_variable(name: str, value: str, line: str) -> None:
    assert message("", **{name: value}) == f"environment STREAM_MIX_{name}: {line}"


def test_settings_survive_the_journal() -> None:
    settings = loads("[[models]]\nname = 'a'\ntime_half_life = '10m'\n[engine]\nfeatures = ['x', 'y']")
    assert from_text(settings.text()) == settings
    assert from_text(settings.text()).digest() == settings.digest()
    with pytest.raises(ConfigError, match=r"^old\.journal: settings are not a JSON object"):
        from_text("[engine]", "old.journal")


@given(st.floats(min_value=1e-3, max_value=1e9))
def test_a_duration_in_seconds_is_itself(seconds: float) -> None:
    assert parse_seconds(seconds) == seconds


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_a_duration_adds_its_units(days: int, hours: int, minutes: int, seconds: int) -> None:
    total = 86400 * days + 3600 * hours + 60 * minutes + seconds
    assert parse_seconds(f"{days}d{hours}h{minutes}m{seconds}s") == total


@given(st.text(max_size=30))
def test_any_text_as_endpoint_is_read_or_refused(text: str) -> None:
    try:
        address = parse_endpoint(text)
    except ValueError as error:
        assert str(error).startswith(("tcp://HOST:PORT or ipc://PATH", "an ipc:// path"))
    else:
        assert address.scheme in ("tcp", "ipc")
        assert 0 <= address.port < 65536


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*Settings.model_fields, "name", "bind", "x"]), inner, max_size=4),
    max_leaves=12,
))  # fmt: skip
def test_any_tree_is_settings_or_one_line(tree: object) -> None:
    if not isinstance(tree, dict):
        tree = {"models": tree}
    try:
        assert isinstance(build(tree, "a.toml", {}), Settings)
    except ConfigError as error:
        assert str(error).startswith("a.toml: ")
        assert "\n" not in str(error)


def test_every_key_is_described() -> None:
    keys = describe()
    assert len({key.key for key in keys}) == len(keys)
    assert all(key.meaning and key.type for key in keys)
    assert {key.key.split(".")[0] for key in keys} == set(Settings.model_fields)


def test_defaults_of_the_table_are_the_defaults() -> None:
    lines: dict[str, list[str]] = {}
    for key in describe():
        section, name = key.key.split(".")
        if key.default:
            lines.setdefault(section, []).append(f"{name} = {key.default}")
    text = "\n".join(
        "\n".join([f"[[{section}]]" if section == "models" else f"[{section}]", *keys])
        for section, keys in lines.items()
    )
    assert loads(text) == Settings()


def test_module_prints_the_table() -> None:
    command = [sys.executable, "-W", "error", "-m", "stream_mix.config"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == markdown() + "\n"


def test_models_convert_to_specs() -> None:
    from stream_mix import mixture

    text = """
        [[models]]
        name = "a"
        [[models]]
        name = "b"
        half_life = 500
        [[models]]
        name = "c"
        time_half_life = "1h"
        family = "diag"
        [[models]]
        name = "d"
        window = 4096
        family = "kmeans"
        reg_covar = 1e-3
        [[models]]
        name = "e"
        half_life = "auto"
        n_components = 4
        batch_size = 16
    """
    settings = loads(text)
    # A warning of the serializer is an error here.
    assert json.loads(settings.model_dump_json())["models"][4]["half_life"] == "auto"
    a, b, c, d, e = [model.spec() for model in settings.models]
    assert a == mixture.Spec(n_components=8, family="full", batch_size=256)
    assert b.memory == mixture.HalfLife(500)
    assert (c.memory, c.family) == (mixture.TimeHalfLife(3600), "diag")
    assert (d.memory, d.family, d.prior.reg_covar) == (mixture.Window(4096), "kmeans", 1e-3)
    assert e.memory == mixture.Adaptive.suited(n_components=4, batch_size=16)


def test_degrees_of_freedom_have_the_mixture_s_bound() -> None:
    text = f"[[models]]\ndegrees_of_freedom = {MOST_DEGREES!r}"
    assert loads(text).models[0].spec().degrees_of_freedom == MOST_DEGREES
    beyond = math.nextafter(MOST_DEGREES, math.inf)
    with pytest.raises(ConfigError, match=r"degrees_of_freedom: found .*, expected a number <= 1e\+06"):
        loads(f"[[models]]\ndegrees_of_freedom = {beyond!r}")


def test_limits_default_to_the_protocol_s_own() -> None:
    from stream_mix.protocol.limits import Limits

    assert Settings().limits.limits() == Limits()
    assert loads("[limits]\nrows = 10").limits.limits() == Limits(rows=10)
