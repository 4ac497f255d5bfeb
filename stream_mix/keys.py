"""Key files of CURVE: one pair for the engine, one for each client, and the folder of those it lets in.

    keys/server.secret            the engine's own pair; 0600
    keys/clients/NAME.public      may come in, as NAME
    keys/clients/NAME.revoked     could, once
    keys/NAME.secret              to be brought to where NAME runs; 0600

All are TOML. Secrets are in no representation, message or log: what is shown of a pair is its name and its
public half.
"""

from __future__ import annotations

import os
import re
import struct
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import zmq
from zmq.utils import z85

ENDPOINTS = ("push", "acked", "publish", "query")
"""The sockets of an engine that a key may be good for."""
SERVER = "server"
PUBLIC, REVOKED, SECRET = ".public", ".revoked", ".secret"
MOST_BYTES = 4096
"""A key file is longer than this only by mistake."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY_CHARACTERS = 40

Where: TypeAlias = str | os.PathLike[str]


class KeyFileError(ValueError):
    """A key file that cannot be used; the message is one line that names it, and never holds a secret."""


@dataclass(frozen=True, slots=True)
class Keys:
    """A pair of keys in Z85 text, and the public key of the engine that the pair is for (None: an engine's
    own).

    >>> Keys("a", "p" * 40, "s" * 40)
    Keys(name='a', public='pppppppppppppppppppppppppppppppppppppppp', server=None)
    """

    name: str
    public: str
    secret: str = field(repr=False)
    server: str | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """A client that is let in: its name, public key in Z85 text, and the endpoints that it may use.

    It speaks for the source of its name, and for those that begin with its name and a stroke; with
    `any_source` for all, as a gateway or a replay does.
    """

    name: str
    public: str
    endpoints: tuple[str, ...] = ENDPOINTS
    any_source: bool = False

    def speaks_for(self, source: str | None) -> bool:
        """Whether a frame of this source may come from this client; one without a source speaks for nobody.

        >>> card = Card("press", "")
        >>> [card.speaks_for(source) for source in (None, "press", "press/2", "press2", "oven")]
        [True, True, True, False, False]
        """
        own = source is None or source == self.name or source.startswith(f"{self.name}/")
        return own or self.any_source


def read_secret(path: Where) -> Keys:
    """The pair in a secret file. Raises KeyFileError where it is none, or others may read it."""
    found = _read(path)
    if os.name == "posix" and (mode := os.stat(path).st_mode & 0o077):
        raise KeyFileError(f"{path}: others may read this secret ({mode:03o} too many), expected chmod 600")
    for key in ("name", "public", "secret"):
        if not isinstance(found.get(key), str):
            raise KeyFileError(f"{path}: has no {key}, expected a secret file of `stream-mix keys new`")
    for key in ("public", "secret", "server"):
        if found.get(key) is not None and not _is_key(found[key]):
            raise KeyFileError(f"{path}: {key} is no key, expected {_KEY_CHARACTERS} characters of Z85")
    pair = Keys(found["name"], found["public"], found["secret"], found.get("server"))
    if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
        raise KeyFileError(f"{path}: the public key is not that of the secret one")
    return pair


def read_card(path: Where) -> Card:
    """A client's public file; the file's name is the client's. Raises KeyFileError."""
    found, name = _read(path), Path(path).stem
    if not _NAME.fullmatch(name):
        raise KeyFileError(f"{path}: expected a file name of letters, digits, '.', '_' or '-' and {PUBLIC}")
    if not _is_key(found.get("public")):
        raise KeyFileError(f"{path}: has no public key, expected {_KEY_CHARACTERS} characters of Z85")
    endpoints = found.get("endpoints", list(ENDPOINTS))
    if not isinstance(endpoints, list) or not all(item in ENDPOINTS for item in endpoints):
        raise KeyFileError(f"{path}: endpoints, expected some of {', '.join(ENDPOINTS)}")
    return Card(name, found["public"], tuple(endpoints), found.get("any_source") is True)


def new_server(folder: Where) -> Keys:
    """Make the engine's pair in `folder`, which may not have one. Raises KeyFileError."""
    path = Path(folder) / f"{SERVER}{SECRET}"
    pair = _pair(SERVER)
    os.makedirs(Path(folder) / "clients", exist_ok=True)
    _write_secret(path, pair, "The engine's own. Whoever has this file can pose as the engine.")
    return pair


def new_client(
    folder: Where, name: str, endpoints: Iterable[str] = ENDPOINTS, *, any_source: bool = False
) -> tuple[Path, Path]:
    """Make a client's pair, let it in, and return its secret and its public file.

    The engine's pair is made too where there is none yet. Raises KeyFileError where the name cannot be one,
    or is taken.
    """
    folder = Path(folder)
    if not _NAME.fullmatch(name) or name == SERVER:
        raise KeyFileError(
            f"name {name!r}: expected 1 to 64 letters, digits, '.', '_' or '-', the first a letter or "
            f"digit, and not {SERVER!r}"
        )
    endpoints = tuple(endpoints)
    if not endpoints or not all(item in ENDPOINTS for item in endpoints):
        raise KeyFileError(f"endpoints {', '.join(endpoints)!r}: expected some of {', '.join(ENDPOINTS)}")
    public, secret = folder / "clients" / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    if public.exists():
        raise KeyFileError(f"{public}: {name} is let in already, expected another name, or revoke it first")
    own = folder / f"{SERVER}{SECRET}"
    server = read_secret(own) if own.exists() else new_server(folder)
    pair = _pair(name, server.public)
    if secret.exists():
        secret.unlink()  # of a client that was revoked: this key opens nothing
    # The secret first: a client that is let in and whose secret was lost would keep its name taken.
    _write_secret(secret, pair, f"Whoever has this file can speak as {name}.")
    listed = ", ".join(f'"{item}"' for item in endpoints)
    more = "any_source = true\n" if any_source else ""
    _write(public, f'public = "{pair.public}"\nendpoints = [{listed}]\n{more}', 0o644)
    return secret, public


def revoke(folder: Where, name: str) -> Path:
    """Let a client in no more; an engine that runs notices by itself. Raises KeyFileError."""
    public = Path(folder) / "clients" / f"{name}{PUBLIC}"
    if not _NAME.fullmatch(name) or not public.exists():
        known = ", ".join(card.name for card in cards(Path(folder) / "clients")[0]) or "nobody"
        raise KeyFileError(f"{name!r} is not let in by {Path(folder) / 'clients'}, which lets in {known}")
    return public.rename(public.with_suffix(REVOKED))


def revoked(clients: Where) -> list[str]:
    """Names that were let in once."""
    return sorted(path.stem for path in Path(clients).glob(f"*{REVOKED}"))


def cards(clients: Where) -> tuple[list[Card], list[str]]:
    """Everybody whom a folder lets in, by name, and a line for each file that lets in nobody.

    A key that two files have is let in by neither: which of the names it bears cannot be told.
    """
    found: dict[str, list[Card]] = {}
    wrong: list[str] = []
    for path in sorted(Path(clients).glob(f"*{PUBLIC}")):
        try:
            card = read_card(path)
        except KeyFileError as error:
            wrong.append(str(error))
            continue
        found.setdefault(card.public, []).append(card)
    for same in found.values():
        if len(same) > 1:
            names = " and ".join(card.name for card in same)
            wrong.append(f"{clients}: {names} have one key, none is let in")
    return sorted((same[0] for same in found.values() if len(same) == 1), key=lambda card: card.name), wrong


def _pair(name: str, server: str | None = None) -> Keys:
    public, secret = zmq.curve_keypair()
    return Keys(name, public.decode(), secret.decode(), server)


def _is_key(value: object) -> bool:
    if not isinstance(value, str) or len(value) != _KEY_CHARACTERS:
        return False
    try:
        z85.decode(value.encode("ascii"))
    except (ValueError, KeyError, struct.error):
        return False
    return True


def _read(path: Where) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
        # What does not parse may be a secret: nothing of it is quoted.
        return tomllib.loads(data.decode()) if len(data) <= MOST_BYTES else {}
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    except ValueError:
        raise KeyFileError(f"{path}: not a key file, expected one of `stream-mix keys new`") from None


def _write_secret(path: Path, pair: Keys, warning: str) -> None:
    server = f'server = "{pair.server}"\n' if pair.server else ""
    text = f'# SECRET. {warning}\nname = "{pair.name}"\npublic = "{pair.public}"\nsecret = "{pair.secret}"\n'
    _write(path, text + server, 0o600)


def _write(path: Path, text: str, mode: int) -> None:
    """A whole file or none, never readable by more than `mode` says; one that is there is not replaced."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        file = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(file, "w") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(half, path)
        finally:
            half.unlink(missing_ok=True)
    except FileExistsError:
        raise KeyFileError(f"{path}: is there already, and is not replaced") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from None
