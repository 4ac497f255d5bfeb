"""`stream-mix doctor`: would this configuration run here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .ending import FAILED, OK
from .options import Json
from .show import print_json


def doctor(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="What is to run.")],
    json: Json = False,
) -> int:
    """Check what an engine needs before it runs: libraries, addresses, keys, disk, limits, clock.

    One line a check; 1 where one fails. An engine that runs already has its addresses taken.
    """
    from stream_mix.config import load
    from stream_mix.ports.checkup import checkup

    settings = load(config)
    failed = 0
    for finding in checkup(settings):
        failed += finding.verdict == "fail"
        if json:
            print_json(finding._asdict())
        else:
            print(f"{finding.verdict:<5} {finding.what:<13} {finding.line}", flush=True)
    return FAILED if failed else OK
