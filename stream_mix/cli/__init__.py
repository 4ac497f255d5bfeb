"""The `stream-mix` command: a thin layer of arguments and words over workers and libraries.

What a command needs is imported by that command when it runs, so that `stream-mix --help` is quick and `run`
can say how many threads the linear algebra takes before NumPy is there.
"""

from __future__ import annotations

from typing import Annotated

import typer

from . import compare, demo, doctor, info, journal, keys, query, record, replay, run, send, watch
from .ending import CODES, Commands

__all__ = ["app", "main"]

app = typer.Typer(
    name="stream-mix", cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, epilog=CODES,
)  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        from stream_mix import __version__

        print(f"stream-mix {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Live soft clusters of an event stream: Gaussian mixtures and k-means, recorded and replayed."""


app.command("demo", epilog=CODES)(demo.demo)
app.command("run", epilog=CODES)(run.run)
app.command("send", epilog=CODES)(send.send)
app.command("watch", epilog=CODES)(watch.watch)
app.add_typer(query.app, name="query")
app.command("record", epilog=CODES)(record.record)
app.command("replay", epilog=CODES)(replay.replay)
app.command("compare", epilog=CODES)(compare.compare)
app.add_typer(journal.app, name="journal")
app.add_typer(keys.app, name="keys")
app.command("doctor", epilog=CODES)(doctor.doctor)
app.command("info", epilog=CODES)(info.info)


def main() -> None:
    """Run the command line of this process and exit."""
    app(prog_name="stream-mix")
