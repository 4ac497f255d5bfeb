"""Where the `stream-mix` script begins: so light that Ctrl-C while the rest is imported is no traceback."""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""As `stream_mix.cli.ending` has it, which may not be there yet."""


def main() -> None:
    """Import the commands, run the command line of this process, and exit."""
    try:
        from .cli import main as command
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    command()
