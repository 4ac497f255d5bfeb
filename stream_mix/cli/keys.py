"""`stream-mix keys`: who may come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .ending import CODES, OK
from .options import Json
from .show import print_json

app = typer.Typer(
    no_args_is_help=True, epilog=CODES,
    help="Make, list and revoke the keys by which clients are let in ([security] server_key). "
    "A running engine notices by itself.",
)  # fmt: skip

Folder = Annotated[Path, typer.Option("--folder", help="Where the engine's key and the folder clients are.")]


@app.command(epilog=CODES)
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The client, and the source it speaks for.")],
    folder: Folder = Path("keys"),
    to: Annotated[
        str | None, typer.Option(help="Endpoints it may use: push,acked,publish,query; by default all.")
    ] = None,
    any_source: Annotated[
        bool, typer.Option("--any-source", help="It may speak for every source, as a gateway does.")
    ] = False,
    json: Json = False,
) -> int:
    """Make a client's keys and let it in; the engine's own are made too where there are none.

    The secret file is to be brought to where the client runs, by a way that nobody reads along.
    """
    from stream_mix.keys import ENDPOINTS, new_client

    endpoints = ENDPOINTS if to is None else tuple(item.strip() for item in to.split(","))
    secret, public = new_client(folder, name, endpoints, any_source=any_source)
    if json:
        print_json({"name": name, "secret_file": str(secret), "public_file": str(public)})
        return OK
    print(f"{name} is let in: {public}\nits secret, for the client alone: {secret}")
    print(f'the engine needs: [security] server_key = "{folder / "server.secret"}"')
    return OK


@app.command("list", epilog=CODES)
def list_(folder: Folder = Path("keys"), json: Json = False) -> int:
    """Print who is let in, by which endpoints; and who was once."""
    from stream_mix.keys import cards, revoked

    clients = folder / "clients"
    if not clients.is_dir():
        raise ValueError(f"{clients}: no such folder, expected that of `stream-mix keys new`")
    found, wrong = cards(clients)
    if json:
        let_in = [
            {name: getattr(card, name) for name in ("name", "public", "endpoints", "any_source")}
            for card in found
        ]
        print_json({"let_in": let_in, "revoked": revoked(clients), "unusable": wrong})
        return OK
    for card in found:
        every = ", any source" if card.any_source else ""
        print(f"{card.name}  {card.public}  {','.join(card.endpoints)}{every}")
    for name in revoked(clients):
        print(f"{name}  revoked")
    for line in wrong:
        print(f"unusable: {line}")
    return OK


@app.command(epilog=CODES)
def revoke(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The client.")],
    folder: Folder = Path("keys"),
    json: Json = False,
) -> int:
    """Let a client in no more. A running engine ends what it hears within half a second."""
    from stream_mix.keys import revoke as end

    kept = end(folder, name)
    if json:
        print_json({"name": name, "file": str(kept)})
    else:
        print(f"{name} is let in no more")
    return OK
