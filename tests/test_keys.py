"""Key files: made, listed, revoked, refused; and a secret is in nothing that is printed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_mix.keys import Card, KeyFileError, cards, new_client, new_server, read_card, read_secret, revoke
from tests.cli.commands import call, told


def test_secrets_are_their_owners_alone_from_the_first_moment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        secret, public = new_client(tmp_path, "press", ["push"])
    finally:
        os.umask(before)
    for path in (secret, tmp_path / "server.secret"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_card(public) == Card("press", read_secret(secret).public, ("push",))
    assert read_secret(secret).server == read_secret(tmp_path / "server.secret").public
    assert not list(tmp_path.rglob(".*"))


def test_what_is_there_is_not_replaced(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    own, kept = (tmp_path / "server.secret").read_bytes(), secret.read_bytes()
    with pytest.raises(KeyFileError, match=r"press\.public: press is let in already"):
        new_client(tmp_path, "press")
    with pytest.raises(KeyFileError, match=r"server\.secret: is there already"):
        new_server(tmp_path)
    assert ((tmp_path / "server.secret").read_bytes(), secret.read_bytes()) == (own, kept)
    revoke(tmp_path, "press")
    assert cards(tmp_path / "clients") == ([], [])
    new_client(tmp_path, "press")
    assert secret.read_bytes() != kept


@pytest.mark.parametrize("name", ["", "server", "../x", "a b", ".hidden", "x" * 65, "a/b"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="expected"):
        new_client(tmp_path, name)
    with pytest.raises(KeyFileError, match="is not let in"):
        revoke(tmp_path, name)
    assert not list(tmp_path.iterdir())


@given(st.binary(max_size=6000))
def test_any_bytes_are_keys_or_one_line(data: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        for name, read in (("a.secret", read_secret), ("a.public", read_card)):
            path = Path(folder) / name
            path.write_bytes(data)
            path.chmod(0o600)
            with pytest.raises(KeyFileError) as caught:
                read(path)
            assert "\n" not in str(caught.value)


def test_a_damaged_secret_is_not_quoted(tmp_path: Path) -> None:
    secret, _ = new_client(tmp_path, "press")
    text = secret.read_text()
    hidden = read_secret(secret).secret
    longer = text.replace('secret = "', 'secret = "!!')
    for damaged in (longer, text[:-60] + "\x00" + text[-60:], text + text):
        secret.write_text(damaged)
        with pytest.raises(KeyFileError) as caught:
            read_secret(secret)
        assert hidden[5:15] not in str(caught.value)
    other, _ = new_client(tmp_path, "other")
    secret.write_text(text.replace(hidden, read_secret(other).secret))
    with pytest.raises(KeyFileError, match="not that of the secret one"):
        read_secret(secret)


def test_the_commands(tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path))
    said = call("keys", "new", "press", *folder, "--to", "push, query")
    made = told("keys", "new", "gate", *folder, "--any-source")
    listed = told("keys", "list", *folder)
    assert [(card["name"], card["endpoints"], card["any_source"]) for card in listed["let_in"]] == [
        ("gate", ["push", "acked", "publish", "query"], True), ("press", ["push", "query"], False),
    ]  # fmt: skip
    ended = call("keys", "revoke", "press", *folder)
    words = call("keys", "list", *folder)
    assert "press  revoked" in words.stdout
    assert told("keys", "revoke", "gate", *folder)["name"] == "gate"
    secrets = [read_secret(path).secret for path in tmp_path.glob("*.secret")]
    assert len(secrets) == 3
    shown = repr(read_secret(tmp_path / "gate.secret"))
    for text in (said.output, str(made), str(listed), ended.output, words.output, shown):
        assert not any(secret in text for secret in secrets)
    assert call("keys", "revoke", "press", *folder).exit_code == 2
    assert call("keys", "new", "x", *folder, "--to", "nowhere").exit_code == 2
    assert call("keys", "list", "--folder", str(tmp_path / "none")).exit_code == 2
