"""`stream-mix demo`: a real stream through a real engine, in half a minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .run import one_thread


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the picture, the configuration and the journal.")
    ] = Path("out/demo"),
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="How long the stream takes.")] = 8.0,
    picture: Annotated[
        bool, typer.Option("--picture/--no-picture", help="Draw the PNG; needs matplotlib.")
    ] = True,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare", help="Learn with the other libraries too; needs scikit-learn."
        ),
    ] = True,
) -> int:
    """Stream a real data set through an engine on this machine: live clusters, a picture, a comparison.

    Needs no data, no broker and no network; what it writes goes into one folder.
    """
    one_thread()
    from stream_mix import demo as show

    return show.run(out, seconds=seconds, picture=picture, compare=compare)
